"""A clock that moves only when a test says so.

Nothing here waits in real time: ``advance`` wakes those who sleep on the clock in the order in which
they are due, and lets the event loop run dry after each, so that what a woken task does at its moment is
done before the next one wakes. What waits for a thread, a process or a socket is not waited for.
"""

from __future__ import annotations

import asyncio
import heapq
from collections.abc import Coroutine
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

T = TypeVar("T")

START = datetime(2026, 1, 1, tzinfo=UTC)

_TURNS = 100_000
"""Turns of the loop after which something evidently spins: far above what any test needs."""


class ManualClock:
    """A ``Clock`` owned by a test."""

    def __init__(self, *, monotonic: float = 1_000.0, now: datetime = START) -> None:
        self._monotonic = monotonic
        self._now = now
        self._sleepers: list[tuple[float, int, asyncio.Future[None]]] = []
        self._count = 0

    def now(self) -> datetime:
        return self._now

    def monotonic(self) -> float:
        return self._monotonic

    async def sleep(self, seconds: float) -> None:
        if seconds <= 0:
            await asyncio.sleep(0)
            return
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._count += 1
        heapq.heappush(self._sleepers, (self._monotonic + seconds, self._count, waiter))
        await waiter

    @property
    def sleepers(self) -> int:
        """How many wait on this clock now."""
        return sum(1 for _, _, waiter in self._sleepers if not waiter.done())

    @property
    def next_due(self) -> float | None:
        """The monotonic moment of the first sleeper, None when nobody sleeps."""
        while self._sleepers and self._sleepers[0][2].done():
            heapq.heappop(self._sleepers)
        return self._sleepers[0][0] if self._sleepers else None

    def jump(self, seconds: float) -> None:
        """Move the wall clock alone, as an operator or NTP does; durations are not touched."""
        self._now += timedelta(seconds=seconds)

    async def settle(self) -> None:
        """Let the event loop run until nothing is ready any more."""
        ready = asyncio.get_running_loop()._ready  # type: ignore[attr-defined]
        for _ in range(_TURNS):
            await asyncio.sleep(0)
            if not ready:
                return
        raise AssertionError(f"the event loop did not come to rest in {_TURNS} turns: something spins")

    async def advance(self, seconds: float) -> None:
        """Move both clocks on by ``seconds`` and wake, one after the other, those who are due by then."""
        end = self._monotonic + seconds
        await self.settle()
        while (due := self.next_due) is not None and due <= end:
            self._move_to(due)
            heapq.heappop(self._sleepers)[2].set_result(None)
            await self.settle()
        self._move_to(end)

    async def run(self, work: Coroutine[Any, Any, T], *, limit: float = 3_600.0) -> T:
        """Advance from sleeper to sleeper until ``work`` is done; its result.

        AssertionError when it is not done after ``limit`` seconds of this clock, or waits for something else.
        """
        task = asyncio.ensure_future(work)
        end = self._monotonic + limit
        try:
            await self.settle()
            while not task.done():
                due = self.next_due
                assert due is not None, "the work waits, but not on this clock"
                assert due <= end, f"the work is not done after {limit} s"
                await self.advance(due - self._monotonic)
        finally:
            task.cancel()
        return await task

    def _move_to(self, moment: float) -> None:
        step = max(moment - self._monotonic, 0.0)
        self._monotonic = max(moment, self._monotonic)
        self._now += timedelta(seconds=step)
