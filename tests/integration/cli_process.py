"""``llm-service`` as its own process: run to its end, or watched while it runs, in pipes or on a terminal."""

from __future__ import annotations

import fcntl
import os
import pty
import signal
import struct
import subprocess
import sys
import termios
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

LIMIT_S = 60.0
# What a shell's interactive job has: pytest may have been started with SIGINT ignored.
_START = (
    "import signal; signal.signal(signal.SIGINT, signal.default_int_handler); "
    "from llm_service.cli.main import main; main(prog_name='llm-service')"
)
COMMAND = (sys.executable, "-P", "-c", _START)


@dataclass(frozen=True, slots=True)
class Done:
    """How a command ended."""

    code: int
    out: str
    err: str


def environment(**more: str) -> dict[str, str]:
    # PYTHONPATH is how a checkout beside the installed one is tested.
    kept = {name: os.environ[name] for name in ("PATH", "PYTHONPATH") if name in os.environ}
    return {**kept, "LANG": "C.UTF-8", **more}


def run_command(
    folder: Path, *arguments: str | Path | bytes, env: Mapping[str, str], stdin: bytes = b""
) -> Done:
    """Run it in ``folder`` to its end; stdout and stderr are pipes."""
    done = subprocess.run(
        [*COMMAND, *(a if isinstance(a, bytes) else str(a) for a in arguments)],
        cwd=folder,
        env=environment(**env),
        input=stdin,
        capture_output=True,
        timeout=LIMIT_S,
        check=False,
    )
    return Done(done.returncode, done.stdout.decode(), done.stderr.decode())


class Running:
    """A command that runs; what it writes is gathered as it comes."""

    def __init__(self, process: subprocess.Popen[bytes], out: int, err: int | None) -> None:
        self.process = process
        self._gathered = {"out": b"", "err": b""}
        streams = {"out": out} | ({"err": err} if err is not None else {})
        self._threads = [
            threading.Thread(target=self._gather, args=(name, stream), daemon=True)
            for name, stream in streams.items()
        ]
        for thread in self._threads:
            thread.start()

    @property
    def out(self) -> str:
        return self._gathered["out"].decode("utf-8", "replace")

    @property
    def err(self) -> str:
        return self._gathered["err"].decode("utf-8", "replace")

    def until(self, text: str, seconds: float = 20.0) -> None:
        """Return when it has written ``text`` to either."""
        deadline = time.monotonic() + seconds
        while text not in self.out and text not in self.err:
            gone = self.process.poll() is not None
            assert time.monotonic() < deadline, f"no {text!r} in {seconds} s: {self.out!r} {self.err!r}"
            time.sleep(0.02)
            if gone:
                assert text in self.out + self.err, f"it ended without {text!r}: {self.out!r} {self.err!r}"

    def signal(self, number: signal.Signals = signal.SIGINT) -> None:
        self.process.send_signal(number)

    def wait(self, seconds: float = 20.0) -> Done:
        """How it ended, when all that it wrote is here."""
        code = self.process.wait(seconds)
        self.join()
        return Done(code, self.out, self.err)

    def join(self) -> None:
        for thread in self._threads:
            thread.join(5)

    def _gather(self, name: str, stream: int) -> None:
        while True:
            try:
                piece = os.read(stream, 65536)
            except OSError:  # Linux's way to say that the other side of a terminal is closed
                break
            if not piece:
                break
            self._gathered[name] += piece


@contextmanager
def running(
    folder: Path,
    *arguments: str | Path,
    env: Mapping[str, str],
    terminal: tuple[int, int] | None = None,
) -> Iterator[Running]:
    """Start it in ``folder``; on a ``terminal`` of so many columns and lines, or in pipes."""
    process, out, err = _started(folder, arguments, env, terminal)
    made = Running(process, out, err)
    with process:
        try:
            yield made
        finally:
            if process.poll() is None:
                process.kill()
            process.wait(LIMIT_S)
            made.join()
            if terminal is not None:
                os.close(out)


def _started(
    folder: Path, arguments: tuple[str | Path, ...], env: Mapping[str, str], terminal: tuple[int, int] | None
) -> tuple[subprocess.Popen[bytes], int, int | None]:
    """The process, and where its stdout and its stderr can be read; a terminal gives both."""
    words = [*COMMAND, *map(str, arguments)]
    if terminal is None:
        piped = subprocess.Popen(
            words,
            cwd=folder,
            env=environment(**env),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        assert piped.stdout is not None
        assert piped.stderr is not None
        return piped, piped.stdout.fileno(), piped.stderr.fileno()
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", terminal[1], terminal[0], 0, 0))
    shown = subprocess.Popen(
        words,
        cwd=folder,
        env=environment(**{"TERM": "xterm-256color", **env}),
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
    )
    os.close(theirs)
    return shown, ours, None
