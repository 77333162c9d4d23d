"""``llm-service demo`` as its own process, with a temporary folder of its own in which nothing may stay."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil

LIMIT_S = 60.0
_HEEDS = "DEMO_HEEDS"
# What scripts/demo runs when the environment is made; and it says when it heeds a signal, which is not before Python itself
# has started.
START = (
    "import os, signal; signal.signal(signal.SIGINT, lambda *_: os._exit(130)); "
    f"open(os.environ.pop('{_HEEDS}', os.devnull), 'w').close(); "
    "from llm_service.cli.main import main; main(prog_name='demo')"
)
COMMAND = (sys.executable, "-P", "-c", START, "demo")


class DemoProcess:
    """A demonstration that runs; its stdout is read line by line."""

    def __init__(self, process: subprocess.Popen[str], temporary: Path, heeds: Path) -> None:
        self.process = process
        self.temporary = temporary
        self._heeds = heeds
        self.lines: list[str] = []

    def until_it_heeds(self) -> None:
        """Return when a signal that is sent is its own, not the interpreter's that has just been started."""
        until = time.monotonic() + LIMIT_S
        while not self._heeds.exists():
            assert self.process.poll() is None, self._errors()
            assert time.monotonic() < until, "it has not started"
            time.sleep(0.005)

    def until(self, text: str) -> str:
        """The first line from here on that holds ``text``."""
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.lines.append(line)
            if text in line:
                return line
        raise AssertionError(f"no line with {text!r}: {''.join(self.lines)}{self._errors()}")

    def event(self, name: str) -> dict[str, Any]:
        """The next JSON line of that event."""
        found: dict[str, Any] = json.loads(self.until(f'"event": "{name}"'))
        return found

    def interrupt(self, number: signal.Signals = signal.SIGINT) -> tuple[int, str]:
        """Send the signal; exit code and stderr, when it and all its children are gone."""
        children = psutil.Process(self.process.pid).children(recursive=True)
        began = time.monotonic()
        self.process.send_signal(number)
        _, errors = self.process.communicate(timeout=LIMIT_S)
        assert time.monotonic() - began < 10, "an interrupted demonstration must end soon"
        _, alive = psutil.wait_procs(children, timeout=3)
        assert alive == []
        return self.process.returncode, errors

    def finish(self) -> tuple[int, str, str]:
        """Exit code, stdout and stderr of a demonstration that ends by itself."""
        out, errors = self.process.communicate(timeout=LIMIT_S)
        return self.process.returncode, "".join(self.lines) + out, errors

    def left(self) -> list[str]:
        """What it left in its temporary folder."""
        return sorted(path.name for path in self.temporary.iterdir())

    def _errors(self) -> str:
        return self.process.stderr.read() if self.process.stderr is not None else ""


@contextmanager
def demo(
    folder: Path, *arguments: str | Path, environment: Mapping[str, str] | None = None
) -> Iterator[DemoProcess]:
    """Start one in ``folder``, where there is no .env unless a test put it there."""
    temporary = folder / "tmp"
    temporary.mkdir(exist_ok=True)
    heeds = folder / "heeds"
    heeds.unlink(missing_ok=True)
    process = subprocess.Popen(
        [*COMMAND, *map(str, arguments)],
        cwd=folder,
        env={
            "PATH": os.environ["PATH"],
            "LANG": "C.UTF-8",
            "TMPDIR": str(temporary),
            _HEEDS: str(heeds),
            **(environment or {}),
        },
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        encoding="utf-8",
    )
    with process:
        try:
            yield DemoProcess(process, temporary, heeds)
        finally:
            if process.poll() is None:
                process.kill()
