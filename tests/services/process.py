"""A service as a process of this run."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.services.reaper import Reaper
from tests.services.runtime import Unavailable

_TAIL_BYTES = 2_000


class OwnProcess:
    """One command in a process group of its own, with its output in a file and the reaper behind it."""

    def __init__(
        self,
        command: Sequence[str],
        folder: Path,
        reaper: Reaper,
        env: Mapping[str, str] | None = None,
        user: str | None = None,
        stop_signal: signal.Signals = signal.SIGTERM,
    ) -> None:
        self._command = list(command)
        self._log = folder / "output.log"
        self._folder = folder
        self._reaper = reaper
        self._env = dict(env) if env is not None else None
        self._user = user
        self._stop_signal = stop_signal
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def is_running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    @property
    def pid(self) -> int:
        if self._process is None:
            raise Unavailable(f"{self._command[0]} is not running")
        return self._process.pid

    def start(self) -> None:
        if self.is_running:
            return
        self._reap()
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                self._command,
                cwd=self._folder,
                env=self._env,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                user=self._user,
                extra_groups=[] if self._user else None,
            )
        self._reaper.watch_group(self._process.pid)

    def kill(self) -> None:
        self._signal(signal.SIGKILL)
        self._reap()

    def stop(self, limit_s: float = 20) -> None:
        """SIGTERM to the process itself, SIGKILL to the whole group when it takes longer than the limit."""
        if self._process is not None and self._process.poll() is None:
            self.resume()
            self._process.send_signal(self._stop_signal)
            try:
                self._process.wait(limit_s)
            except subprocess.TimeoutExpired:
                self._signal(signal.SIGKILL)
        self._reap()

    def pause(self) -> None:
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        self._signal(signal.SIGCONT)

    def log_tail(self) -> str:
        if not self._log.exists():
            return ""
        return self._log.read_bytes()[-_TAIL_BYTES:].decode("utf-8", "replace")

    def _signal(self, number: signal.Signals) -> None:
        if self.is_running:
            os.killpg(self.pid, number)

    def _reap(self) -> None:
        if self._process is None:
            return
        group = self._process.pid
        self._process.wait(30)
        # What the process itself had started may outlive it; a group lives while one member does.
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(group, signal.SIGKILL)
        self._reaper.forget_group(group)
        self._process = None
