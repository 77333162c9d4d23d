"""The producer and the reader of statuses of each language, made from a page's blocks and run by its commands."""

from __future__ import annotations

import os
import shlex
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from tests.acceptance.readme.blocks import Block
from tests.services.cache import Cache
from tests.services.commands import run
from tests.services.toolchains import go, jdk, maven, node

COMMANDS = "commands"
# A first `go run` compiles the client: 18 s on one idle core.
_PRODUCE_LIMIT_S = 120.0
_END_LIMIT_S = 20.0


def _go_folder(cache: Cache) -> Path:
    return Path(go(cache, (1, 25))).parent


def _java_folder(_cache: Cache) -> Path:
    maven()
    return Path(jdk()).parent


def _node_folder(cache: Cache) -> Path:
    return node(cache, (22, 22))


def _python_folder(_cache: Cache) -> Path:
    return Path(shutil.which("python3") or "/usr/bin/python3").parent


# By language: makes sure of its tools, and the folder that goes first on the PATH. Versions as the clients ask for.
TOOLS: Mapping[str, Callable[[Cache], Path]] = MappingProxyType(
    {"python": _python_folder, "go": _go_folder, "java": _java_folder, "node": _node_folder}
)


@dataclass(frozen=True, slots=True)
class Client:
    """What a page says about one language."""

    language: str
    files: Mapping[str, str]
    commands: Sequence[str]
    """Lines of the shell block: setting up, following statuses, producing."""

    @staticmethod
    def of(blocks: Sequence[Block], language: str) -> Client:
        """From the blocks that are marked with the language and a file's name, or with ``commands``."""
        named = {
            block.name.removeprefix(f"{language} "): block.text
            for block in blocks
            if block.how == "test" and block.name.startswith(f"{language} ")
        }
        commands = named.pop(COMMANDS).strip().splitlines()
        return Client(language, named, commands)

    def line(self, word: str) -> str:
        """The one command that runs the program of that name."""
        (found,) = (line for line in self.commands if word in line.lower())
        return found

    def setting_up(self) -> str:
        own = {self.line("statuses"), self.line("produce")}
        return "\n".join(line for line in self.commands if line not in own)


class Workplace:
    """A folder where a client's programs lie as a reader would put them, with what they need installed."""

    def __init__(self, client: Client, cache: Cache, folder: Path, environment: Mapping[str, str]) -> None:
        self._client = client
        self._folder = folder
        tools = TOOLS[client.language](cache)
        self._environment = {
            **os.environ,
            "PYTHONUNBUFFERED": "1",
            **environment,
            "PATH": f"{tools}:{os.environ['PATH']}",
        }
        for name, text in client.files.items():
            (folder / name).write_text(text)
        for entry in self._installed(cache).iterdir():
            if not (folder / entry.name).exists():
                (folder / entry.name).symlink_to(entry)

    def produce(self, storage_path: str) -> str:
        """Run the producer's command for another file; what it printed: the task's id."""
        words = shlex.split(self._client.line("produce"), comments=True)
        done = subprocess.run(
            [*words[:-1], storage_path],
            cwd=self._folder,
            env=self._environment,
            capture_output=True,
            text=True,
            timeout=_PRODUCE_LIMIT_S,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout.strip()

    @contextmanager
    def following(self) -> Iterator[Following]:
        """The reader of statuses at work; Ctrl-C must end it."""
        log, errors = self._folder / "statuses.out", self._folder / "statuses.err"
        # Whatever started the tests may have had SIGINT ignored, as a shell's background has.
        command = ["env", "--default-signal=INT", "bash", "-c", self._client.line("statuses")]
        with log.open("wb") as out, errors.open("wb") as err:
            process = subprocess.Popen(
                command,
                cwd=self._folder,
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
                start_new_session=True,
            )
        try:
            yield Following(process, log, errors)
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait(_END_LIMIT_S)

    def _installed(self, cache: Cache) -> Path:
        """What the first commands make, made once: the same commands and files are the same build."""
        needs = {name: text for name, text in self._client.files.items() if name.endswith(".xml")}
        recipe = self._client.setting_up()

        def build(draft: Path) -> None:
            for name, text in needs.items():
                (draft / name).write_text(text)
            run(["bash", "-euc", recipe], self._environment, draft)

        return cache.get(f"client-{self._client.language}", recipe + "".join(needs.values()), build)


class Following:
    """A reader of statuses that runs; its lines begin with the task's id."""

    def __init__(self, process: subprocess.Popen[bytes], log: Path, errors: Path) -> None:
        self._process = process
        self._log = log
        self._errors = errors

    def of(self, task_id: str) -> list[str]:
        """What it said of a task."""
        lines = self._log.read_text("utf-8", "replace").splitlines()
        return [line.removeprefix(task_id).strip() for line in lines if line.startswith(task_id)]

    def until(self, task_id: str, word: str, seconds: float = 60.0) -> str:
        """The first line of a task that begins with ``word``; fails the test when none comes."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            for line in self.of(task_id):
                if line.startswith(word):
                    return line
            assert self._process.poll() is None, self._said()
            time.sleep(0.05)
        raise AssertionError(f"no {word} of {task_id} within {seconds:.0f} s: {self._said()}")

    def interrupt(self) -> None:
        """Ctrl-C, as a terminal sends it to all of them; ended when this returns."""
        os.killpg(self._process.pid, signal.SIGINT)
        self._process.wait(_END_LIMIT_S)
        assert "Traceback" not in self._errors.read_text("utf-8", "replace"), self._said()

    def _said(self) -> str:
        return self._log.read_text("utf-8", "replace") + self._errors.read_text("utf-8", "replace")[-3000:]
