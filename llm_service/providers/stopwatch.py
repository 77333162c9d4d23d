"""Where the seconds of one call go, measured at the places where they pass."""

from __future__ import annotations

from contextvars import ContextVar

from llm_service.providers.protocol import Timings
from llm_service.resilience.clock import Clock


class Stopwatch:
    """Runs from its making. Connections that are opened while it is the current one are counted to it."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._began = clock.monotonic()
        self._connecting_s = 0.0
        self._first_s: float | None = None
        _CURRENT.set(self)

    def first(self) -> None:
        """A piece of the answer is here; only the first counts."""
        if self._first_s is None:
            self._first_s = self._clock.monotonic() - self._began

    def connected(self, seconds: float) -> None:
        """A connection was opened, or tried."""
        self._connecting_s += seconds

    def timings(self) -> Timings:
        """All that is known now, the end of the answer."""
        whole = self._clock.monotonic() - self._began
        return Timings(connect_s=self._connecting_s, first_token_s=self._first_s, whole_s=whole)


_CURRENT: ContextVar[Stopwatch | None] = ContextVar("llm_service_stopwatch", default=None)


def current_stopwatch() -> Stopwatch | None:
    """The stopwatch of the call that the running code is a part of.

    Vendors' clients take no argument that would reach the connection, so that it is found by the context, as the
    task of a log line is.
    """
    return _CURRENT.get()
