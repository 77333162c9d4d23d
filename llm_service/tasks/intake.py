"""Takes deliveries on the event loop: one owned asyncio task each, cut only where it was asked for."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from contextvars import copy_context

from llm_service.events import end_task
from llm_service.tasks.course import Course, Stage
from llm_service.tasks.ports import Delivery

# Outcomes that are final when the drain ends get this long to be acknowledged: some round trips to a broker. With
# what closing takes it stays within the 5 s that the settings leave after the drain.
_LAST_SETTLE_S = 1.0


class TaskIntake:
    """Owns the lives of all deliveries taken. Their number is bounded by the source's window."""

    def __init__(self, live: Callable[[Course], Awaitable[None]]) -> None:
        self._live = live
        self._running: dict[asyncio.Task[None], Course] = {}
        self._draining = False

    def __len__(self) -> int:
        return len(self._running)

    def count(self, stage: Stage) -> int:
        """Deliveries at that stage."""
        return sum(course.stage is stage for course in self._running.values())

    def oldest_received_at(self) -> float | None:
        """When the oldest of them was read, on the monotonic clock; None when there is none."""
        return min((course.delivery.received_at for course in self._running.values()), default=None)

    def take(self, deliveries: Sequence[Delivery]) -> None:
        if self._draining:
            return  # unfinished, so never committed: another worker gets them
        for delivery in deliveries:
            course = Course(delivery)
            context = copy_context()
            task = asyncio.create_task(self._run(course), context=context)
            self._running[task] = course
            # In the task's own context: what is said of a failed life says whose.
            task.add_done_callback(self._forget, context=context)

    async def revoke(self, is_gone: Callable[[Delivery], bool]) -> None:
        gone = [task for task, course in self._running.items() if is_gone(course.delivery)]
        await self._end(gone, settle_s=None)

    async def drain(self, timeout: float) -> None:
        """Take nothing more, give back what waits, let what works finish for ``timeout`` seconds, cut the rest."""
        self._draining = True
        waiting = [task for task, course in self._running.items() if course.stage is Stage.WAITING]
        for task in waiting:
            task.cancel()
        if self._running:
            await asyncio.wait(self._running, timeout=timeout)
        await self._end(list(self._running), settle_s=_LAST_SETTLE_S)

    async def _end(self, tasks: Iterable[asyncio.Task[None]], settle_s: float | None) -> None:
        """Cancel the undecided, wait for the decided; after ``settle_s`` seconds cancel those too."""
        ending = set(tasks)
        for task in ending:
            if self._running[task].stage is not Stage.DECIDED:
                task.cancel()
        if ending:
            _, late = await asyncio.wait(ending, timeout=settle_s)
            for task in late:
                task.cancel()
            if late:
                await asyncio.wait(late, timeout=settle_s)

    async def _run(self, course: Course) -> None:
        await self._live(course)

    def _forget(self, task: asyncio.Task[None]) -> None:
        del self._running[task]
        if not task.cancelled() and task.exception() is not None:
            asyncio.get_running_loop().call_exception_handler(
                {"message": "the life of a task failed", "exception": task.exception(), "task": task}
            )
        end_task()
