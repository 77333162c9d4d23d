"""A command of a check run: in a process group of its own, alive to whoever waits, gone when the run is."""

from __future__ import annotations

import os
import selectors
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import IO

from tests.services.reaper import Reaper

_HEARTBEAT_S = 25.0
# pytest ends its fixtures at SIGINT; real services are down within this, and the reaper has the rest.
_END_LIMIT_S = 20.0


class Child:
    """A started command. ``wait`` shows what it says; ``end`` interrupts it."""

    def __init__(
        self, command: Sequence[str], reaper: Reaper, log: Path | None = None, nice: int = 0
    ) -> None:
        """With a log its output goes there; else it is shown by ``wait``."""
        self._reaper = reaper
        self._log = log
        self._passes_through = log is None and sys.stdout.isatty()
        target: int | IO[bytes] | None = None if self._passes_through else subprocess.PIPE
        if log is not None:
            target = log.open("wb")
        try:
            self._process = subprocess.Popen(
                ["nice", "-n", str(nice), *command] if nice else list(command),
                stdin=subprocess.DEVNULL,
                stdout=target,
                stderr=subprocess.STDOUT,
                process_group=0,
            )
        finally:
            if log is not None and not isinstance(target, int | None):
                target.close()
        reaper.watch_group(self._process.pid)

    @property
    def is_running(self) -> bool:
        return self._process.poll() is None

    def wait(self, name: str) -> int:
        """Its exit code; meanwhile a line now and then when it says nothing itself."""
        if self._process.stdout is not None:
            _copy(self._process.stdout, name)
        began = time.monotonic()
        while self._process.poll() is None:
            try:
                self._process.wait(_HEARTBEAT_S)
            except subprocess.TimeoutExpired:
                if not self._passes_through:
                    _beat(name, began, self._last_word())
        self._reaper.forget_group(self._process.pid)
        return self._process.returncode

    def end(self) -> None:
        if self.is_running:
            os.killpg(self._process.pid, signal.SIGINT)
            try:
                self._process.wait(_END_LIMIT_S)
            except subprocess.TimeoutExpired:
                os.killpg(self._process.pid, signal.SIGKILL)
                self._process.wait()
        self._reaper.forget_group(self._process.pid)

    def _last_word(self) -> str:
        """The newest line of the log, which nobody else shows."""
        lines = self._log.read_text(errors="replace").splitlines() if self._log else []
        return lines[-1].lstrip("# ") if lines else "still running"


def _copy(source: IO[bytes], name: str) -> None:
    """To our own output as it comes, until it ends."""
    began = time.monotonic()
    with selectors.DefaultSelector() as selector:
        selector.register(source, selectors.EVENT_READ)
        while True:
            if not selector.select(_HEARTBEAT_S):
                _beat(name, began)
                continue
            chunk = os.read(source.fileno(), 65536)
            if not chunk:
                return
            sys.stdout.buffer.write(chunk)
            sys.stdout.buffer.flush()


def _beat(name: str, began: float, word: str = "still running") -> None:
    print(f"\n... {name}: {time.monotonic() - began:.0f} s, {word}", flush=True)
