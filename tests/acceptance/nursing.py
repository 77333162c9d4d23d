"""The nursery as a test asks it, and the workers that come from it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from tests.acceptance.worker import ROOT, Worker
from tests.chaos.crash_points import CrashPoint

_LOOK_S = 0.02


class Nursery:
    """Forks workers. Any thread."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process
        self._lock = threading.Lock()

    def start(self, point: str, folder: Path, environment: Mapping[str, str], log: Path) -> int:
        """A worker's process id."""
        start = {
            "point": point,
            "folder": str(folder),
            "environment": json.dumps(environment),
            "log": str(log),
        }
        pid = self._ask({"start": start})
        assert pid is not None
        return pid

    def look(self, pid: int) -> int | None:
        """Its exit status, negative for a signal; None while it runs. Asked no more after it has ended."""
        return self._ask({"look": pid})

    def _ask(self, question: object) -> int | None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        with self._lock:
            self._process.stdin.write(json.dumps(question) + "\n")
            self._process.stdin.flush()
            answer: int | None = json.loads(self._process.stdout.readline())
        return answer


@contextmanager
def nursery() -> Iterator[Nursery]:
    """Ready to start workers; those that are left are killed at the end."""
    command = [sys.executable, "-m", "tests.chaos.nursery"]
    with subprocess.Popen(
        command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            yield Nursery(process)
        finally:
            assert process.stdin is not None
            process.stdin.close()
            process.wait(20)


class Doomed(Worker):
    """A worker that ends by SIGKILL at its point, once it is armed."""

    def __init__(
        self, nursery: Nursery, environment: Mapping[str, str], log: Path, point: CrashPoint
    ) -> None:
        super().__init__(environment, log)
        self._nursery = nursery
        self._point = point
        self._folder = log.parent / log.stem
        self._folder.mkdir()
        self._pid = 0
        self._returncode: int | None = None

    def start(self, *, wait: bool = True) -> Worker:
        self._pid = self._nursery.start(self._point.name, self._folder, self.environment, self.log)
        if wait:
            self.wait_ready()
        return self

    def arm(self) -> None:
        (self._folder / "armed").touch()

    @property
    def running(self) -> bool:
        if self._returncode is None and self._pid:
            self._returncode = self._nursery.look(self._pid)
        return bool(self._pid) and self._returncode is None

    @property
    def returncode(self) -> int | None:
        return None if self.running else self._returncode

    def signal(self, number: signal.Signals) -> None:
        if self.running:
            os.kill(self._pid, number)

    def wait(self, seconds: float) -> int:
        until = time.monotonic() + seconds
        while self.running:
            assert time.monotonic() < until, f"{self.log.stem} has not ended"
            time.sleep(_LOOK_S)
        return self._returncode or 0

    @property
    def died_at(self) -> str | None:
        """The point at which it says that it died, where it was killed."""
        said = self._folder / "died"
        return said.read_text() if self.returncode == -signal.SIGKILL and said.exists() else None
