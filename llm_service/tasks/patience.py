"""How one task waits for what it needs from outside: without a worker slot, and not for ever at the cost of others."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from llm_service.errors import ProviderUnavailable, ServiceError
from llm_service.providers.guard import Guard
from llm_service.resilience.breaker import CLOSED, OPEN
from llm_service.resilience.deadline import Deadline
from llm_service.tasks.course import Course
from llm_service.tasks.cutting import Pause
from llm_service.tasks.pool import Slot, WorkerPool
from llm_service.tasks.waiting_room import SentRound, Wait, WaitingRoom


class Patience:
    """The waits of one task. Each may raise SentRound."""

    def __init__(
        self,
        pool: WorkerPool,
        room: WaitingRoom,
        guard: Guard,
        course: Course,
        deadline: Deadline,
        may_leave: Callable[[], bool],
    ) -> None:
        """``may_leave``: whether the task can wait on the retry topic."""
        self._pool = pool
        self._room = room
        self._guard = guard
        self._course = course
        self._deadline = deadline
        self._is_suspect = course.delivery.is_suspect
        place = course.delivery.place
        self._wait = Wait(place, guard.provider.name, lambda: guard.is_away, may_leave, self._cause)

    async def until_ready(self) -> None:
        """Wait for a provider whose breaker is open: without a slot, and before any file is fetched."""
        if self._guard.is_open:
            with self._room.seat(self._wait), self._pool.blocking():
                await self._guard.wait_ready(self._deadline)
            self._give_turn_up()

    async def while_open(self, pause: Pause) -> None:
        """The same, where the breaker opened while the task waited for its slot.

        Half-open is let by: this task may be the one that was asked to try, and if not, the call waits.
        """
        while self._guard.state == OPEN:
            async with pause():
                await self._guard.wait_ready(self._deadline)

    @asynccontextmanager
    async def pause(self, slot: Slot) -> AsyncIterator[None]:
        """Only wait inside, without the slot."""
        is_away = self._guard.is_away
        # The seat outside: a task that is sent round takes no slot again.
        with self._course.waiting(), self._room.seat(self._wait):
            # Beside a suspect nothing is begun for the sake of a moment; for that of an outage it is.
            async with slot.waiting(is_idle=is_away or not self._is_suspect):
                yield
        if is_away:
            self._give_turn_up()

    def _give_turn_up(self) -> None:
        """A suspect goes round when an outage is over: all that waited would go on together. Raises SentRound.

        Where the breaker still tries, this is the one that was let through for it; and where calls were made it goes on,
        since going round would cost it the tries that it has left.
        """
        may_leave = self._guard.state == CLOSED and not self._course.has_spent and self._wait.may_leave()
        if self._is_suspect and may_leave:
            raise SentRound(self._cause())

    def _cause(self) -> ServiceError:
        if self._is_suspect:
            return ProviderUnavailable("a task beside which processes ended waits where no other task is")
        if not self._guard.is_away:
            return ProviderUnavailable("the task waited for longer than its partition can go on without it")
        return ProviderUnavailable(self._guard.reason or f"{self._guard.provider.name} asks to come later")
