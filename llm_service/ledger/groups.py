"""Questions asked together: who comes while a group is under way shares the next one."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Generic, TypeVar

Q = TypeVar("Q")
A = TypeVar("A")


class Groups(Generic[Q, A]):
    """One group at a time. Those who wait are as many as there are tasks here, so the queue has that bound."""

    def __init__(
        self,
        ask: Callable[[Sequence[Q]], Awaitable[Sequence[A]]],
        most: int,
        size: Callable[[Q], int],
        limit: int,
    ) -> None:
        """At most ``most`` questions a group, and ``limit`` bytes by ``size`` unless one alone has more."""
        self._ask = ask
        self._most = most
        self._size = size
        self._limit = limit
        self._waiting: deque[tuple[Q, asyncio.Future[A]]] = deque()
        self._asking: asyncio.Task[None] | None = None

    def __len__(self) -> int:
        return len(self._waiting)

    async def ask(self, question: Q) -> A:
        """The answer to this one. Raises what its group met."""
        answer: asyncio.Future[A] = asyncio.get_running_loop().create_future()
        self._waiting.append((question, answer))
        if self._asking is None or self._asking.done():
            self._asking = asyncio.create_task(self._run(), name="ledger group")
        return await answer

    async def close(self) -> None:
        """Nobody waits any longer."""
        if self._asking is not None:
            self._asking.cancel()
            await asyncio.wait([self._asking], timeout=1.0)
        _fail(self._waiting, ConnectionError("nobody is asked any longer"))
        self._waiting.clear()

    async def _run(self) -> None:
        while self._waiting:
            group = self._next()
            if not group:
                continue
            try:
                answers = await self._ask([question for question, _ in group])
            except asyncio.CancelledError:
                # To be cancelled is for those who were: a task that asked goes on without an answer.
                _fail(group, ConnectionError("nobody is asked any longer"))
                raise
            except Exception as error:
                _fail(group, error)
            else:
                for (_, answer), found in zip(group, answers, strict=True):
                    if not answer.done():
                        answer.set_result(found)

    def _next(self) -> list[tuple[Q, asyncio.Future[A]]]:
        group: list[tuple[Q, asyncio.Future[A]]] = []
        size = 0
        while self._waiting and len(group) < self._most:
            question, answer = self._waiting[0]
            size += self._size(question)
            if group and size > self._limit:
                break
            self._waiting.popleft()
            # Who was cancelled, or waited too long, is not asked for.
            if not answer.done():
                group.append((question, answer))
        return group


def _fail(group: Iterable[tuple[Q, asyncio.Future[A]]], error: Exception) -> None:
    for _, answer in group:
        if not answer.done():
            answer.set_exception(error)
