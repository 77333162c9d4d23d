"""The child processes: what they are given, how they end, and what that does to documents."""

from __future__ import annotations

import asyncio
import errno
import importlib.util
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from llm_service.errors import ConversionUnavailable, DocumentTooCostly, DocumentUnsupported
from llm_service.files.content_type import detect
from llm_service.files.conversion import formats, process
from llm_service.files.conversion.bounds import Bounds
from llm_service.files.conversion.converter import Converter
from llm_service.files.conversion.kinds import Kind
from llm_service.files.conversion.policy import ConversionPolicy
from llm_service.files.store import LocalFile
from llm_service.resilience.shortage import shortage
from tests.unit.files import documents

POLICY = ConversionPolicy(timeout_s=20, memory_bytes=300_000_000, cpu_s=10, max_pages=20_000)
# Some 0.8 ms a page: these keep a child busy for about 15 s, far longer than any test waits.
LONG_PAGES = 20_000


@pytest.fixture(scope="module")
def long_pdf(tmp_path_factory: pytest.TempPathFactory) -> LocalFile:
    return stored(tmp_path_factory.mktemp("long"), "long.pdf", documents.pdf(*[b"page"] * LONG_PAGES))


def stored(folder: Path, name: str, content: bytes) -> LocalFile:
    path = folder / name
    path.write_bytes(content)
    return LocalFile(name, path, len(content), detect(path, name))


@pytest.fixture
def text(tmp_path: Path) -> LocalFile:
    return stored(tmp_path, "a.txt", b"text")


@pytest.fixture
async def converter() -> AsyncIterator[Converter]:
    made = Converter(POLICY)
    yield made
    await made.close()
    assert not children()


def children() -> list[psutil.Process]:
    return [child for child in psutil.Process().children() if _is_ours(child)]


def _is_ours(child: psutil.Process) -> bool:
    try:
        return "llm_service.files.conversion" in " ".join(child.cmdline())
    except psutil.Error:
        return False  # gone in the meantime


async def busy(child: psutil.Process, file: LocalFile) -> None:
    """Until the child is in the middle of the document."""
    while str(file.path) not in {opened.path for opened in child.open_files()}:  # noqa: ASYNC110
        await asyncio.sleep(0.01)
    await asyncio.sleep(0.1)


async def test_starting_does_not_wait_and_warms_beforehand(converter: Converter, text: LocalFile) -> None:
    began = time.monotonic()
    await converter.start()
    assert time.monotonic() - began < 0.1
    assert await converter.to_text(text) == "text"
    (child,) = children()
    mapped = Path(f"/proc/{child.pid}/maps").read_text()  # noqa: ASYNC240
    assert "lxml" in mapped, "the libraries of office documents are loaded though none has come"


async def test_the_child_has_no_secret_no_network_and_no_rights(
    converter: Converter, text: LocalFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MINIO_SECRET_KEY", "canary")
    await converter.to_text(text)
    (child,) = children()
    assert "canary" not in repr(child.environ())
    assert set(child.environ()) <= {"PATH", "LANG", "OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS"}
    assert child.cwd() == "/"
    assert descriptors_of(child.pid) <= {"/dev/null", "socket:"}, (
        "no file of the service, nor the last document"
    )
    assert child.rlimit(psutil.RLIMIT_FSIZE)[0] == 0
    assert child.rlimit(psutil.RLIMIT_NOFILE)[1] == 64
    assert child.rlimit(psutil.RLIMIT_DATA)[0] < 600_000_000
    assert child.rlimit(psutil.RLIMIT_CPU)[0] < 20
    assert child.nice() >= min(19, psutil.Process().nice() + 5)
    if namespaces_are_allowed():
        assert network_of(child.pid) != network_of(os.getpid())


def descriptors_of(pid: int) -> set[str]:
    """What it has open, but for libraries' anonymous ones."""
    links = [str(each.readlink()) for each in Path(f"/proc/{pid}/fd").iterdir()]
    return {link.partition(":")[0] + ":" if ":" in link else link for link in links}


def network_of(pid: int) -> str:
    return str(Path(f"/proc/{pid}/ns/net").readlink())


def namespaces_are_allowed() -> bool:
    return subprocess.run(["unshare", "-Urn", "true"], capture_output=True, check=False).returncode == 0


_CONFINED = """
import os, sys, socket, subprocess, ctypes, _socket
from llm_service.files.conversion import confinement
alone = confinement.leave_network(os.getppid())
beside = os.path.join(os.path.dirname(os.path.dirname(confinement.__file__)), "..", "..", "pyproject.toml")
open(beside).close()
filtered = confinement.forbid()
port = int(sys.argv[1])
def refused(do):
    try:
        do()
    except OSError:
        return True
    return False
print([
    refused(lambda: socket.create_connection(("127.0.0.1", port))),
    refused(lambda: _socket.socket()),
    refused(lambda: socket.getaddrinfo("localhost", port)),
    refused(lambda: subprocess.run(["/bin/true"])),
    refused(lambda: os.system("true")),
    refused(lambda: os.fork()),
    refused(lambda: open("/etc/passwd")),
    refused(lambda: open(f"/proc/{os.getppid()}/environ")),
    refused(lambda: open(beside)),
    refused(lambda: open("/work/../etc/passwd", "rb")),
    refused(lambda: os.write(os.open(sys.prefix + "/canary", os.O_CREAT | os.O_WRONLY), b"x")),
], alone)
# Past Python, as a parser written in C might go.
libc = ctypes.CDLL(None, use_errno=True)
fd = libc.socket(2, 1, 0)
address = b"\\x02\\x00" + port.to_bytes(2, "big") + bytes([127, 0, 0, 1]) + bytes(8)
print(libc.connect(fd, address, 16) == 0)
import threading
thread = threading.Thread(target=lambda: None)
thread.start()
thread.join()
own = os.path.abspath(sys.argv[2]).encode()
argv = (ctypes.c_char_p * 2)(b"/bin/true", None)
print(filtered, [
    fd,
    libc.socket(1, 1, 0),
    libc.socketpair(1, 1, 0, (ctypes.c_int * 2)()),
    libc.fork(),
    libc.execve(b"/bin/true", argv, None),
    libc.system(b"true") and -1,
    libc.kill(os.getppid(), 0),
    libc.ptrace(16, os.getppid(), 0, 0),
    libc.unlink(own),
    libc.rename(own, own + b"2"),
    libc.truncate(own, 0),
    libc.chmod(own, 0),
    libc.mkdir(own + b"3", 0o700),
])
def opened(path):
    fd = libc.open(os.fsencode(path), 0)
    return fd >= 0 and len(os.read(fd, 10)) > 0
print(libc.syscall(444, None, ctypes.c_size_t(0), 1) > 0, [
    opened(f"/proc/{os.getppid()}/environ"),
    opened(f"/proc/{os.getppid()}/maps"),
    opened("/etc/passwd"),
    opened(own),
    opened(beside),
    libc.open(os.fsencode(os.path.dirname(own)), 0o200000) >= 0,
], opened(os.__file__), opened("/proc/self/statm"))
"""


def test_nothing_leaves_a_confined_process(tmp_path: Path) -> None:
    own = tmp_path / "own"
    own.write_text("mine")
    with socket.create_server(("127.0.0.1", 0)) as canary:
        port = canary.getsockname()[1]
        ran = subprocess.run(
            [sys.executable, "-B", "-c", _CONFINED, str(port), str(own)],
            capture_output=True,
            text=True,
            check=True,
        )
        by_python, past_python, by_kernel, reading = ran.stdout.strip().splitlines()
        assert by_python.startswith(str([True] * 11)), by_python
        Path(sys.prefix, "canary").unlink(missing_ok=True)
        assert by_kernel == f"True {[-1] * 13}"
        has_landlock = reading.startswith("True")
        assert reading.endswith("True True"), "its own libraries and figures are read all the same"
        assert not has_landlock or reading == f"True {[False] * 6} True True"
        assert own.read_text() == "mine"
        assert past_python == "False"
        canary.settimeout(0.1)
        with pytest.raises(TimeoutError):
            canary.accept()


async def test_no_descriptor_for_a_child_or_for_its_document_is_no_fault_of_the_document(
    converter: Converter, text: LocalFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    def short(*_: object, **__: object) -> None:
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

    for module, name in ((subprocess, "Popen"), (socket, "socketpair"), (socket, "send_fds")):
        with monkeypatch.context() as patched:
            patched.setattr(module, name, short)
            with pytest.raises(ConversionUnavailable) as raised:
                await converter.to_text(text)
        assert raised.value.retryable
        assert "descriptor" in (shortage(raised.value) or "")
        assert await converter.to_text(text) == "text"
        for child in children():
            child.kill()
            child.wait(10)


async def test_a_child_killed_once_costs_its_document_nothing(
    converter: Converter, tmp_path: Path, text: LocalFile
) -> None:
    document = stored(tmp_path, "pages.pdf", documents.pdf(*[b"page"] * 400))
    await converter.to_text(text)
    (child,) = children()
    converting = asyncio.create_task(converter.to_text(document))
    await busy(child, document)
    child.send_signal(signal.SIGKILL)
    assert (await converting).count("page") == 400


async def test_a_document_whose_child_dies_twice_fails_alone(
    converter: Converter, long_pdf: LocalFile, text: LocalFile
) -> None:
    await converter.to_text(text)
    converting = asyncio.create_task(converter.to_text(long_pdf))
    waiting = asyncio.create_task(converter.to_text(text))
    for _ in range(2):
        (child,) = await until_there_is_a_child()
        await busy(child, long_pdf)
        child.send_signal(signal.SIGKILL)
        while child in children():  # noqa: ASYNC110 # another process's end
            await asyncio.sleep(0.01)
    with pytest.raises(DocumentTooCostly, match=r"long\.pdf.*killed from outside twice"):
        await converting
    assert await waiting == "text"


async def until_there_is_a_child() -> list[psutil.Process]:
    while not (found := children()):  # noqa: ASYNC110 # another process's birth
        await asyncio.sleep(0.01)
    return found


async def test_the_wall_clock_ends_a_document_and_its_child(long_pdf: LocalFile, text: LocalFile) -> None:
    converter = Converter(replace(POLICY, timeout_s=0.5))
    first = await pid_after(converter, text)
    with pytest.raises(DocumentTooCostly, match=r"long\.pdf.*0\.5 s"):
        await converter.to_text(long_pdf)
    assert await converter.to_text(text) == "text"
    assert [child.pid for child in children()] != [first]
    await converter.close()


async def test_processor_time_ends_a_document(long_pdf: LocalFile, text: LocalFile) -> None:
    converter = Converter(replace(POLICY, cpu_s=1))
    await converter.start()
    with pytest.raises(DocumentTooCostly, match=r"long\.pdf.*1 s of processor time"):
        await converter.to_text(long_pdf)
    # The limit is each document's own, not the child's for life.
    for _ in range(3):
        assert await converter.to_text(text) == "text"
    await converter.close()


async def test_a_cancelled_document_does_not_hold_its_child(
    converter: Converter, long_pdf: LocalFile, text: LocalFile
) -> None:
    first = await pid_after(converter, text)
    converting = asyncio.create_task(converter.to_text(long_pdf))
    await busy(psutil.Process(first), long_pdf)
    converting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await converting
    assert await converter.to_text(text) == "text"
    assert [child.pid for child in children()] != [first]


async def test_a_child_is_replaced_after_its_share(text: LocalFile) -> None:
    converter = Converter(replace(POLICY, recycle_after=2))
    pids = [await pid_after(converter, text) for _ in range(3)]
    assert pids[0] == pids[1] != pids[2]
    await converter.close()


async def pid_after(converter: Converter, text: LocalFile) -> int:
    """The child that converts next; which one a document gets is not asked before it has one."""
    pid: list[int] = []
    original = process.ChildProcess.convert

    async def noting(child: process.ChildProcess, file: LocalFile, kind: Kind) -> str:
        pid.append(child.pid)
        return await original(child, file, kind)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(process.ChildProcess, "convert", noting)
        assert await converter.to_text(text) == "text"
    return pid[0]


async def test_two_children_work_side_by_side(tmp_path: Path) -> None:
    converter = Converter(replace(POLICY, processes=2))
    document = stored(tmp_path, "pages.pdf", documents.pdf(*[b"page"] * 100))
    texts = await asyncio.gather(*(converter.to_text(document) for _ in range(4)))
    assert len(children()) == 2
    assert {len(text) for text in texts} == {len(texts[0])}
    await converter.close()


async def test_closing_ends_a_child_in_the_middle(long_pdf: LocalFile) -> None:
    converter = Converter(POLICY)
    converting = asyncio.create_task(converter.to_text(long_pdf))
    (child,) = await until_there_is_a_child()
    await busy(child, long_pdf)
    converting.cancel()
    await converter.close()
    assert not children()
    with pytest.raises(asyncio.CancelledError):
        await converting
    with pytest.raises(ConversionUnavailable):
        await converter.to_text(long_pdf)


async def test_closing_ends_a_child_that_is_still_starting() -> None:
    converter = Converter(POLICY)
    await converter.start()
    await until_there_is_a_child()
    await converter.close()
    assert not children()


async def test_a_child_that_can_not_start_is_said_and_tried_again(
    converter: Converter, text: LocalFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    for executable in ("/no/such/python", "/bin/false"):
        monkeypatch.setattr(sys, "executable", executable)
        with pytest.raises(ConversionUnavailable) as caught:
            await converter.to_text(text)
        assert caught.value.retryable
    monkeypatch.undo()
    assert await converter.to_text(text) == "text"


_SERVICE = """
import asyncio, sys, pathlib
from llm_service.files.conversion.converter import Converter
from llm_service.files.conversion.policy import ConversionPolicy
from llm_service.files.store import LocalFile
async def main():
    converter = Converter(ConversionPolicy(max_pages=20_000))
    path = pathlib.Path(sys.argv[1])
    await converter.to_text(LocalFile("a.txt", pathlib.Path(sys.argv[2]), 4, "text/plain"))
    print("warm", flush=True)
    await converter.to_text(LocalFile("long.pdf", path, 1, "application/pdf"))
asyncio.run(main())
"""


def test_no_child_outlives_a_service_that_was_killed(long_pdf: LocalFile, text: LocalFile) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", _SERVICE, str(long_pdf.path), str(text.path)], stdout=subprocess.PIPE
    ) as service:
        assert service.stdout is not None
        service.stdout.readline()
        (child,) = psutil.Process(service.pid).children()
        time.sleep(0.3)
        service.kill()
        service.wait()
    gone, alive = psutil.wait_procs([child], timeout=3)
    assert gone
    assert not alive


def test_without_the_extra_plain_kinds_still_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = importlib.util.find_spec
    monkeypatch.setattr(formats, "find_spec", lambda name: None if name == "markitdown" else found(name))
    reader = formats.Reader("rus+eng", None)
    bounds = Bounds("b.docx", 10, 1_000)
    page = stored(tmp_path, "a.html", "<p>текст</p>".encode())
    with page.path.open("rb") as stream:
        assert reader.to_text(stream, Kind.HTML, bounds) == "<p>текст</p>"
        for kind in (Kind.DOCX, Kind.PDF, Kind.ODT, Kind.EPUB):
            with pytest.raises(DocumentUnsupported, match=r"'b\.docx'.*llm-service\[documents\]"):
                reader.to_text(stream, kind, bounds)
    letter = stored(tmp_path, "a.rtf", documents.rtf("Договор"))
    with letter.path.open("rb") as stream:
        assert reader.to_text(stream, Kind.RTF, bounds) == "Договор"


async def test_the_loop_goes_on_while_a_child_works(converter: Converter, long_pdf: LocalFile) -> None:
    converting = asyncio.create_task(converter.to_text(long_pdf))
    longest = 0.0
    for _ in range(50):
        began = time.monotonic()
        await asyncio.sleep(0.01)
        longest = max(longest, time.monotonic() - began)
    converting.cancel()
    assert longest < 0.3
    assert threading.active_count() < 20
