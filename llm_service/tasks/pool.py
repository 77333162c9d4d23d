"""The worker pool: N slots, given by priority with ageing.

A task that waits is served by its arrival less its priority's head start, so that with time any task comes
first: the lowest unfinished offset of a partition starts in bounded time, and the commit goes on.
"""

from __future__ import annotations

import asyncio
import heapq
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, nullcontext
from itertools import count

# Priorities beyond this are cut to it: with it, and the head start of one step, the longest a task
# can be overtaken is 2 × LIMIT × head start.
PRIORITY_LIMIT = 10.0


class WorkerPool:
    """At most ``size`` tasks work at once."""

    def __init__(
        self, size: int, head_start_s: float, on_blocked: Callable[[int], None] = lambda _: None
    ) -> None:
        """``head_start_s``: seconds of waiting that one step of priority is worth; ``on_blocked``: told how many are."""
        self._size = size
        self._head_start_s = head_start_s
        self._on_blocked = on_blocked
        self._blocked = 0
        self._active = 0
        self._order = count()
        self._waiting: list[tuple[float, int, asyncio.Future[None]]] = []

    @property
    def size(self) -> int:
        return self._size

    @property
    def active(self) -> int:
        """Slots taken now."""
        return self._active

    @property
    def waiting(self) -> int:
        """Tasks that wait for a slot."""
        return sum(not future.done() for _, _, future in self._waiting)

    @property
    def blocked(self) -> int:
        """Tasks that wait for a provider, a store, or the first task of their id, without a slot."""
        return self._blocked

    @contextmanager
    def blocking(self) -> Iterator[None]:
        """Count as blocked inside: the task holds no slot and waits for something outside."""
        self._blocked += 1
        self._on_blocked(self._blocked)
        try:
            yield
        finally:
            self._blocked -= 1
            self._on_blocked(self._blocked)

    @asynccontextmanager
    async def slot(self, arrived_at: float, priority: float) -> AsyncIterator[Slot]:
        """Hold a slot; ``arrived_at`` in seconds of the monotonic clock."""
        bounded = max(-PRIORITY_LIMIT, min(PRIORITY_LIMIT, priority))
        slot = Slot(self, arrived_at - bounded * self._head_start_s)
        await self._acquire(slot.rank)
        slot.held = True
        try:
            yield slot
        finally:
            if slot.held:
                self._release()

    async def _acquire(self, rank: float) -> None:
        if self._active < self._size and not self._waiting:
            self._active += 1
            return
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        heapq.heappush(self._waiting, (rank, next(self._order), future))
        self._serve()
        try:
            await future
        except asyncio.CancelledError:
            if future.done() and not future.cancelled():
                self._release()  # the slot came in the same moment as the cancellation
            raise

    def _release(self) -> None:
        self._active -= 1
        self._serve()

    def _serve(self) -> None:
        while self._waiting and self._active < self._size:
            _, _, future = heapq.heappop(self._waiting)
            if not future.done():
                self._active += 1
                future.set_result(None)


class Slot:
    """One held slot. ``waiting`` gives it up for as long as its task only waits."""

    __slots__ = ("_pool", "held", "rank")

    def __init__(self, pool: WorkerPool, rank: float) -> None:
        self._pool = pool
        self.rank = rank
        self.held = False

    @asynccontextmanager
    async def waiting(self, *, is_idle: bool = True) -> AsyncIterator[None]:
        """Give the slot up inside; take one again, by the same rank, before leaving.

        ``is_idle``: whether another task may be taken in its place meanwhile.
        """
        self.held = False
        self._pool._release()  # noqa: SLF001 -- a slot is the pool's own other half
        try:
            with self._pool.blocking() if is_idle else nullcontext():
                yield
        finally:
            # A cancelled task needs no slot to clean up: what it holds is released where it was taken.
            task = asyncio.current_task()
            if task is None or not task.cancelling():
                await self._pool._acquire(self.rank)  # noqa: SLF001
                self.held = True
