"""Limits of time: the task's deadline, and any other span a piece of work may take.

Both cancel their body on a ``Clock`` and turn that cancellation, and no other, into their error.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from types import TracebackType

from llm_service.errors import DeadlineExceeded
from llm_service.resilience.clock import Clock


class TimeLimit:
    """Cancels its body at a monotonic moment and raises ``error()`` in place of that cancellation.

    ``asyncio.timeout`` on a ``Clock``. A cancellation from outside stays a cancellation, also when it
    comes together with the limit; an exception of the body's own stays what it is. ``at`` None is no limit.
    """

    def __init__(self, clock: Clock, at: float | None, error: Callable[[], Exception]) -> None:
        self._clock = clock
        self._at = at
        self._error = error
        self._fired = False
        self._body: asyncio.Task[object] | None = None
        self._watcher: asyncio.Task[None] | None = None
        self._cancelled_before = 0

    async def __aenter__(self) -> None:
        if self._at is None:
            return
        if self._at <= self._clock.monotonic():
            raise self._error()
        self._body = asyncio.current_task()
        if self._body is None:
            raise RuntimeError("a time limit needs a task to cancel")
        self._cancelled_before = self._body.cancelling()
        self._watcher = asyncio.create_task(self._watch(self._body, self._at), name="time limit")

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._watcher is not None:
            self._watcher.cancel()
        if not self._fired or self._body is None:
            return
        # uncancel() takes back the one request that _watch made; what is left came from outside.
        outside = self._body.uncancel() > self._cancelled_before
        if kind is asyncio.CancelledError and not outside:
            raise self._error() from None

    async def _watch(self, body: asyncio.Task[object], at: float) -> None:
        # In a loop, since a loop's timer may be early by the clock's resolution: once this has fired,
        # whoever asks the clock must find the moment passed.
        while (left := at - self._clock.monotonic()) > 0:
            await self._clock.sleep(left)
        self._fired = True
        body.cancel()


def is_cancelled() -> bool:
    """Whether somebody asked the running task to end.

    Told apart from a CancelledError that a library let out of its own inside: that one is a failure.
    """
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


@dataclass(frozen=True, slots=True)
class Deadline:
    """The moment until which a task wants its answer, in seconds of ``Clock.monotonic``; None is never."""

    at: float | None = None

    @classmethod
    def after(cls, clock: Clock, seconds: float) -> Deadline:
        """``seconds`` from now."""
        return cls(clock.monotonic() + seconds)

    @classmethod
    def until(cls, clock: Clock, moment: datetime | None) -> Deadline:
        """A moment of the wall clock (aware), put on the monotonic one: a later jump does not move it."""
        if moment is None:
            return cls(None)
        return cls.after(clock, (moment - clock.now()).total_seconds())

    def remaining(self, clock: Clock) -> float | None:
        """Seconds left, never below 0; None when there is no deadline."""
        return None if self.at is None else max(self.at - clock.monotonic(), 0.0)

    def expired(self, clock: Clock) -> bool:
        """Whether the moment has come."""
        return self.at is not None and self.at <= clock.monotonic()

    def limit(self, clock: Clock) -> TimeLimit:
        """``async with deadline.limit(clock):`` the body is cancelled at the deadline.

        Raises DeadlineExceeded then, and at once when it has passed already; nothing else turns into it.
        """
        return TimeLimit(clock, self.at, DeadlineExceeded)
