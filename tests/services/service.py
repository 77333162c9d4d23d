"""What every service of the test bed can do."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod

from tests.services.runtime import Runtime, Unavailable


class Service(ABC):
    """A running service. All calls block, within limits: a coroutine goes through ``asyncio.to_thread``."""

    ready_limit_s = 60.0

    def __init__(self, how: str, runtime: Runtime) -> None:
        self.how = how
        """Its version and who runs it, for the summary."""
        self._runtime = runtime

    def is_running(self) -> bool:
        """A paused service runs."""
        return self._runtime.is_running

    def start(self) -> None:
        """Start it on the same data and port, and return when it serves.

        Raises Unavailable with its log's end.
        """
        self._runtime.start()
        deadline = time.monotonic() + self.ready_limit_s
        while time.monotonic() < deadline and self._runtime.is_running:
            if self._serves():
                return
            time.sleep(0.05)
        raise Unavailable(f"{self.how} did not come up: {self.log_tail()}")

    def kill(self) -> None:
        """SIGKILL. Like stop, pause and restart it raises Unavailable for a service that is not ours."""
        self._runtime.kill()

    def stop(self) -> None:
        """SIGTERM and its end."""
        self._runtime.stop()

    def restart(self) -> None:
        """SIGKILL and a start."""
        self.kill()
        self.start()

    def pause(self) -> None:
        """SIGSTOP: connections stay open and nothing answers."""
        self._runtime.pause()

    def resume(self) -> None:
        self._runtime.resume()

    def ensure_up(self) -> None:
        """Undo what a test left: a paused or killed service serves again."""
        self._runtime.resume()
        if not self._runtime.is_running:
            self.start()

    def log_tail(self) -> str:
        return self._runtime.log_tail()

    @abstractmethod
    def _serves(self) -> bool:
        """Whether it answers as it should, asked for a few seconds at most."""
