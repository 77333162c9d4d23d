"""The life of one task: from a delivery to its settled outcome.

received → repeat? → plan → slot → PROCESSING → files → provider → answer → settled. Whatever goes wrong on the way
ends in an outcome too; only a stop or a revoke ends without one, and then the delivery comes again.
"""

from __future__ import annotations

import asyncio
from typing import assert_never

from llm_service import events
from llm_service.contract.envelope import Envelope
from llm_service.contract.status import Success
from llm_service.contract.task import Task
from llm_service.errors import DeliveryRevoked, IdConflict, InvalidMessage, Poison, ServiceError
from llm_service.resilience.shortage import MachineShort
from llm_service.tasks.attempts import Attempts
from llm_service.tasks.course import Course, Stage
from llm_service.tasks.ending import failed
from llm_service.tasks.outcome import Decided
from llm_service.tasks.placing import Placing
from llm_service.tasks.ports import Outcome
from llm_service.tasks.tools import Case, Tools
from llm_service.tasks.window import (
    Admission,
    Answered,
    Claimed,
    Conflict,
    Elsewhere,
    Finished,
    OnRetry,
    Repeat,
)

# A message is a megabyte at most, some times that as objects: whoever can't have it for a minute has no other work either.
_READINGS = 60
_READ_AGAIN_S = 1.0


class TaskLife:
    """Lives deliveries; holds no state of any of them."""

    def __init__(self, tools: Tools) -> None:
        self._tools = tools
        self._attempts = Attempts(tools)
        self._placing = Placing(tools)

    async def live(self, course: Course) -> None:
        """Bring one delivery to its settled outcome.

        Cancelled, or revoked while settling, it gives the delivery back.
        """
        delivery = course.delivery
        envelope = Envelope(
            delivery.key,
            delivery.value,
            delivery.headers,
            *delivery.run_place,
        )
        who = envelope.identity()
        ref = events.TaskRef(who.task_id, who.trace_id, *delivery.run_place)
        events.begin_task(ref)
        case = Case(delivery, who, ref, course)
        done = False
        try:
            await self._route(case, envelope)
            done = True
        except DeliveryRevoked:
            self._tools.observe(events.OutcomeDropped(ref))
        finally:
            if not done:
                self._tools.settler.release(delivery)
                self._tools.observe(events.TaskReleased(ref, course.stage.name.lower()))

    async def _route(self, case: Case, envelope: Envelope) -> None:
        task = await self._read(case, envelope)
        if task is None:
            await self._tools.settler.settle(case.delivery, Outcome())
            self._tools.observe(events.MessageSkipped(*case.delivery.place))
        elif isinstance(task, ServiceError) and not case.who.known:
            # No producer knows the id that we would make up for it: the letter is all there is to say.
            outcome = await self._tools.outcomes.dead_letter_only(
                case.delivery, case.who, task.code, task.message
            )
            await self._placing.settle(case, Decided(outcome, failed(task, None, 0)))
        else:
            self._tools.observe(events.TaskReceived(case.ref))
            if case.delivery.round:
                came_back = events.TaskCameBack(case.ref, case.delivery.attempt, case.delivery.round)
                self._tools.observe(came_back)
            await self._once(case, task, envelope.digest())

    async def _read(self, case: Case, envelope: Envelope) -> Task | ServiceError | None:
        """What the message asks for. A machine that is short of memory reads it again: no task fails for that at once."""
        for left in reversed(range(_READINGS)):
            try:
                # What kills a process may be in its reading too.
                return Poison() if case.delivery.is_poisoned else envelope.task()
            except InvalidMessage as error:
                return error
            except Exception as bug:
                crash = self._attempts.crashed(case, bug)
                if not left or not isinstance(crash, MachineShort):
                    return crash
            await self._tools.clock.sleep(_READ_AGAIN_S)
        raise AssertionError("the last reading returns")

    # --- repeats --------------------------------------------------------------------------------

    async def _once(self, case: Case, task: Task | ServiceError, digest: str) -> None:
        """Work on the task unless its id is known; a bad message goes the same way, so that it contradicts no good one."""
        while True:
            match self._admitted(case, digest):
                case Claimed():
                    return await self._claimed(case, task, digest)
                case Answered(finished):
                    return await self._again(case, finished)
                case Conflict():
                    return await self._conflict(case)
                case Elsewhere(waiting):
                    if await self._waits_elsewhere(case, task, digest, waiting):
                        return None
                case Repeat(flight):
                    self._tools.observe(events.TaskRepeated(case.ref, "waiting"))
                    # Blocked, so that the repeats of a slow task leave the window's room to others. The future
                    # is its owner's: a waiter that is cancelled must not cancel it for the others.
                    with self._tools.pool.blocking():
                        finished_first = await asyncio.shield(flight.ended)
                    if finished_first is not None and finished_first.digest == digest:
                        return await self._again(case, finished_first)
                case unexpected:
                    assert_never(unexpected)

    def _admitted(self, case: Case, digest: str) -> Admission:
        delivery = case.delivery
        return self._tools.window.admit(case.who.task_id, delivery.run_place, digest, delivery.round)

    async def _waits_elsewhere(
        self, case: Case, task: Task | ServiceError, digest: str, waiting: OnRetry
    ) -> bool:
        """Settle a repeat of what waits on the retry topic; False where it is to be worked on after all.

        That one answers for it. Another body follows that one round, to be compared with how it ends.
        """
        if waiting.digest == digest or waiting.run == case.delivery.run_place:
            self._tools.observe(events.TaskRepeated(case.ref, "retry"))
            case.course.stage = Stage.DECIDED
            await self._tools.settler.settle(case.delivery, Outcome())
            return True
        if isinstance(task, Task) and self._tools.rounds.may_wait(case.delivery, task, has_spent=False):
            error = IdConflict()
            going = self._tools.rounds.waiting(case.delivery, error, case.course.spent, has_spent=False)
            if going is not None:
                decided = Decided(Outcome(retry=going.record), failed(error, None, 0), going=going)
                await self._placing.settle(case, decided)
                return True
        self._tools.window.forget(case.who.task_id)
        return False

    async def _claimed(self, case: Case, task: Task | ServiceError, digest: str) -> None:
        finished: Finished | None = None
        waiting: OnRetry | None = None
        try:
            finished = await self._recalled(case, digest)
            if finished is not None:
                return
            decided = await self._attempts.decide(case, task)
            decided = await self._tools.recall.first(case.delivery, case.who, decided, digest)
            try:
                decided = await self._placing.settle(case, decided, digest)
            except DeliveryRevoked:
                # Perhaps it was said already, and only its offset not committed: whoever reads the message again
                # here says the same, and asks no provider for it. That it goes round is only sure when it is settled.
                finished = _finished(case, decided, digest) if decided.going is None else None
                raise
            if decided.going is not None:
                waiting = OnRetry(case.delivery.run_place, digest, decided.going.round, decided.going.until)
            else:
                finished = _finished(case, decided, digest)
        finally:
            if waiting is not None:
                self._tools.window.park(case.who.task_id, waiting)
            elif finished is not None:
                self._tools.window.finish(case.who.task_id, finished)
            else:
                self._tools.window.release(case.who.task_id)

    async def _recalled(self, case: Case, digest: str) -> Finished | None:
        """What the ledger knows of it, settled again as it was; None for a task that is to be done."""
        known = await self._tools.recall.ask(case.delivery, case.who, digest)
        if known is None:
            return None
        if known.place != case.delivery.run_place and known.digest != digest:
            await self._conflict(case)
        else:
            await self._again(case, known)
        return known

    async def _again(self, case: Case, finished: Finished) -> None:
        self._tools.observe(events.TaskRepeated(case.ref, "replayed"))
        case.course.stage = Stage.DECIDED
        # The dead letter was written for the first message; only a redelivery of that very message repeats it.
        letter = finished.dead_letter if finished.place == case.delivery.run_place else None
        await self._placing.place(case, Decided(Outcome(finished.status, letter), None, smallest=True))

    async def _conflict(self, case: Case) -> None:
        self._tools.observe(events.TaskRepeated(case.ref, "conflict"))
        error = IdConflict()
        outcome = await self._tools.outcomes.dead_letter_only(
            case.delivery, case.who, error.code, error.message
        )
        await self._placing.settle(case, Decided(outcome, None))


def _finished(case: Case, decided: Decided, digest: str) -> Finished:
    outcome = decided.outcome
    is_success = isinstance(decided.event, Success)
    return Finished(case.delivery.run_place, digest, is_success, outcome.status, outcome.dead_letter)
