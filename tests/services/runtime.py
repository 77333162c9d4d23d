"""What can be done to a running service, whoever runs it."""

from __future__ import annotations

from typing import Protocol


class Unavailable(Exception):
    """A service that cannot be had here; the message says why and what would help."""


class Runtime(Protocol):
    """One service's process or container. Every call blocks; each is bounded."""

    @property
    def is_running(self) -> bool: ...

    def start(self) -> None:
        """Start it, on the same data and port as before. Raises Unavailable with the end of its log."""
        ...

    def kill(self) -> None:
        """SIGKILL: nothing is flushed, nothing is said."""
        ...

    def stop(self) -> None:
        """SIGTERM and its end."""
        ...

    def pause(self) -> None:
        """SIGSTOP: connections stay open and nothing answers."""
        ...

    def resume(self) -> None: ...

    def log_tail(self) -> str: ...


class Foreign:
    """A service given by its address: used, never touched."""

    def __init__(self, address: str) -> None:
        self._address = address

    @property
    def is_running(self) -> bool:
        return True

    def start(self) -> None:
        """Nothing: it runs."""

    def kill(self) -> None:
        raise self._refusal()

    def stop(self) -> None:
        raise self._refusal()

    def pause(self) -> None:
        raise self._refusal()

    def resume(self) -> None:
        """Nothing: it was never paused."""

    def log_tail(self) -> str:
        return f"{self._address} is not ours; look at its own log"

    def _refusal(self) -> Unavailable:
        return Unavailable(f"{self._address} was given by its address and is not ours to stop")
