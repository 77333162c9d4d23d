"""The life of one task: from a delivery to its settled outcome.

received → repeat? → plan → slot → PROCESSING → files → provider → answer → settled. Whatever goes wrong on the way
ends in an outcome too; only a stop or a revoke ends without one, and then the delivery comes again.
"""

from __future__ import annotations

import asyncio
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import assert_never

from llm_service import events
from llm_service.contract.envelope import Envelope, Identity
from llm_service.contract.status import Processing, Success
from llm_service.contract.task import Task
from llm_service.errors import (
    DeadlineExceeded,
    DeliveryRevoked,
    IdConflict,
    InvalidMessage,
    MessageTooLarge,
    Poison,
    PublishFailed,
    ServiceError,
    TopicNotWritable,
)
from llm_service.prompts.catalogue import Catalogue
from llm_service.providers.guard import Guard
from llm_service.resilience.clock import Clock
from llm_service.resilience.deadline import Deadline
from llm_service.tasks.course import Course, Stage
from llm_service.tasks.ending import failed, settled, succeeded
from llm_service.tasks.outcome import Decided, Outcomes
from llm_service.tasks.patience import Patience
from llm_service.tasks.plan import Plan, PlanDefaults, make_plan
from llm_service.tasks.pool import WorkerPool
from llm_service.tasks.ports import Delivery, Outcome, Settler, StatusSink
from llm_service.tasks.recall import Recall
from llm_service.tasks.rounds import Going, Rounds
from llm_service.tasks.waiting_room import SentRound, WaitingRoom
from llm_service.tasks.window import (
    Admission,
    Answered,
    Claimed,
    Conflict,
    DedupWindow,
    Elsewhere,
    Finished,
    OnRetry,
    Repeat,
)
from llm_service.tasks.work import Answer, Pause, Work

# Between two tries to publish PROCESSING: Kafka is away, and nothing is gained by asking more often.
_PROCESSING_RETRY_S = 1.0
# The guard meets the deadline first where it waits, since it knows for what; timers of one moment come in any order.
_GUARD_FIRST_S = 0.05
# Between two tries to publish what its topic does not take even at its smallest: an operator's time.
_TOO_LARGE_RETRY_S = 10.0
# Of a bug's traceback, the innermost: the outer ones are this module's own.
_FRAMES = 8
# Of a model's name in PROCESSING: the task's word for it, before any provider has looked at it.
_MODEL_CHARS = 255


@dataclass(frozen=True, slots=True)
class Tools:
    """All that the life of a task works with."""

    window: DedupWindow
    recall: Recall
    pool: WorkerPool
    work: Work
    outcomes: Outcomes
    settler: Settler
    progress: StatusSink
    guards: Mapping[str, Guard]
    catalogue: Callable[[], Catalogue]
    defaults: PlanDefaults
    rounds: Rounds
    room: WaitingRoom
    clock: Clock
    observe: events.Observer


@dataclass(frozen=True, slots=True)
class _Case:
    """One delivery with who it is."""

    delivery: Delivery
    who: Identity
    ref: events.TaskRef
    course: Course


class TaskLife:
    """Lives deliveries; holds no state of any of them."""

    def __init__(self, tools: Tools) -> None:
        self._tools = tools

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
        case = _Case(delivery, who, ref, course)
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

    async def _route(self, case: _Case, envelope: Envelope) -> None:
        try:
            # What kills a process may be in its reading too.
            task: Task | ServiceError | None = Poison() if case.delivery.is_poisoned else envelope.task()
        except InvalidMessage as error:
            task = error
        except Exception as bug:
            task = self._crashed(case, bug)
        if task is None:
            await self._tools.settler.settle(case.delivery, Outcome())
            self._tools.observe(events.MessageSkipped(*case.delivery.place))
        elif isinstance(task, ServiceError) and not case.who.known:
            # No producer knows the id that we would make up for it: the letter is all there is to say.
            outcome = await self._tools.outcomes.dead_letter_only(
                case.delivery, case.who, task.code, task.message
            )
            await self._settle(case, Decided(outcome, failed(task, None, 0)))
        else:
            self._tools.observe(events.TaskReceived(case.ref))
            if case.delivery.round:
                came_back = events.TaskCameBack(case.ref, case.delivery.attempt, case.delivery.round)
                self._tools.observe(came_back)
            await self._once(case, task, envelope.digest())

    # --- repeats --------------------------------------------------------------------------------

    async def _once(self, case: _Case, task: Task | ServiceError, digest: str) -> None:
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

    def _admitted(self, case: _Case, digest: str) -> Admission:
        delivery = case.delivery
        return self._tools.window.admit(case.who.task_id, delivery.run_place, digest, delivery.round)

    async def _waits_elsewhere(
        self, case: _Case, task: Task | ServiceError, digest: str, waiting: OnRetry
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
            going = self._tools.rounds.waiting(case.delivery, error, has_spent=False)
            if going is not None:
                decided = Decided(Outcome(retry=going.record), failed(error, None, 0), going=going)
                await self._settle(case, decided)
                return True
        self._tools.window.forget(case.who.task_id)
        return False

    async def _claimed(self, case: _Case, task: Task | ServiceError, digest: str) -> None:
        finished: Finished | None = None
        waiting: OnRetry | None = None
        try:
            finished = await self._recalled(case, digest)
            if finished is not None:
                return
            decided = await self._decide(case, task)
            decided = await self._tools.recall.first(case.delivery, case.who, decided, digest)
            try:
                decided = await self._settle(case, decided, digest)
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

    async def _recalled(self, case: _Case, digest: str) -> Finished | None:
        """What the ledger knows of it, settled again as it was; None for a task that is to be done."""
        known = await self._tools.recall.ask(case.delivery, case.who, digest)
        if known is None:
            return None
        if known.place != case.delivery.run_place and known.digest != digest:
            await self._conflict(case)
        else:
            await self._again(case, known)
        return known

    async def _again(self, case: _Case, finished: Finished) -> None:
        self._tools.observe(events.TaskRepeated(case.ref, "replayed"))
        case.course.stage = Stage.DECIDED
        # The dead letter was written for the first message; only a redelivery of that very message repeats it.
        letter = finished.dead_letter if finished.place == case.delivery.run_place else None
        await self._place(case, Decided(Outcome(finished.status, letter), None, smallest=True))

    async def _conflict(self, case: _Case) -> None:
        self._tools.observe(events.TaskRepeated(case.ref, "conflict"))
        error = IdConflict()
        outcome = await self._tools.outcomes.dead_letter_only(
            case.delivery, case.who, error.code, error.message
        )
        await self._settle(case, Decided(outcome, None))

    # --- deciding -------------------------------------------------------------------------------

    async def _decide(self, case: _Case, task: Task | ServiceError) -> Decided:
        """The outcome of a task, whatever happens. Only cancellation goes through."""
        began = self._tools.clock.monotonic()
        provider: str | None = None
        going: Going | None = None
        try:
            if isinstance(task, ServiceError):
                raise task
            plan = self._plan(task)
            provider = plan.provider
            answer = await self._answer(case, task, plan)
            case.course.stage = Stage.DECIDED
            success = succeeded(answer, plan, self._elapsed_ms(began))
            return await self._tools.outcomes.success(case.delivery, case.who, success)
        except SentRound as sent:
            failure = failed(sent.cause, provider, self._elapsed_ms(began))
            has_spent = case.course.has_spent
            going = self._tools.rounds.waiting(case.delivery, sent.cause, has_spent=has_spent)
        except ServiceError as error:
            failure = failed(error, provider, self._elapsed_ms(began))
            if isinstance(task, Task):
                going = self._tools.rounds.after(case.delivery, task, error)
        except Exception as bug:
            failure = failed(self._crashed(case, bug), provider, self._elapsed_ms(began))
        case.course.stage = Stage.DECIDED
        if going is not None:
            return Decided(Outcome(retry=going.record), failure, going=going)
        return await self._tools.outcomes.failure(case.delivery, case.who, failure)

    def _crashed(self, case: _Case, bug: Exception) -> ServiceError:
        """For the log alone: where it happened and of what type. The bug's own words may quote the document."""
        frames = "".join(traceback.format_tb(bug.__traceback__)[-_FRAMES:])
        self._tools.observe(events.TaskCrashed(case.ref, f"{frames}{type(bug).__name__}"))
        return ServiceError()

    def _plan(self, task: Task) -> Plan:
        tools = self._tools
        return make_plan(task, tools.catalogue(), tools.guards.keys(), tools.defaults, tools.clock.now())

    async def _answer(self, case: _Case, task: Task, plan: Plan) -> Answer:
        clock = self._tools.clock
        deadline = Deadline.until(clock, task.deadline_at)
        if deadline.expired(clock):
            raise DeadlineExceeded(f"the deadline {task.deadline_at} had passed when the task was read")
        async with _backstop(deadline).limit(clock):
            patience = self._patience(case, task, plan, deadline)
            await patience.until_ready()
            async with self._tools.pool.slot(case.delivery.received_at, task.priority) as slot:
                pause = partial(patience.pause, slot)
                await patience.while_open(pause)
                case.course.stage = Stage.WORKING
                await self._announce(case, plan, pause)
                return await self._tools.work.do(task, case.ref, plan, deadline, pause, case.course.spend)

    def _patience(self, case: _Case, task: Task, plan: Plan, deadline: Deadline) -> Patience:
        tools, course = self._tools, case.course
        return Patience(
            tools.pool,
            tools.room,
            tools.guards[plan.provider],
            course,
            deadline,
            lambda: tools.rounds.may_wait(case.delivery, task, has_spent=course.has_spent),
        )

    async def _announce(self, case: _Case, plan: Plan, pause: Pause) -> None:
        """PROCESSING, acknowledged before the work starts, however long Kafka is away."""
        tools = self._tools
        model = plan.model or tools.guards[plan.provider].provider.default_model
        event = Processing(provider=plan.provider, model=model[:_MODEL_CHARS])
        record = tools.outcomes.processing(case.delivery, case.who, event)
        while True:
            try:
                await tools.progress.publish(record)
                break
            except (PublishFailed, TopicNotWritable) as error:
                tools.observe(events.Trouble("kafka", error.message))
            async with pause():
                await tools.clock.sleep(_PROCESSING_RETRY_S)
        waited = tools.clock.monotonic() - case.delivery.received_at
        tools.observe(events.TaskStarted(case.ref, plan.provider, model, waited))

    def _elapsed_ms(self, began: float) -> int:
        return round((self._tools.clock.monotonic() - began) * 1000)

    # --- settling -------------------------------------------------------------------------------

    async def _settle(self, case: _Case, decided: Decided, digest: str | None = None) -> Decided:
        """Settle what is told of here for the first time; what was settled in the end.

        ``digest`` is that of a message whose run ends by it.
        """
        case.course.stage = Stage.DECIDED
        began = self._tools.clock.monotonic()
        decided = await self._place(case, decided, digest)
        now = self._tools.clock.monotonic()
        self._tools.observe(events.StageFinished(case.ref, "settle", now - began))
        self._tools.observe(settled(case.ref, case.delivery, decided, now - case.delivery.received_at))
        return decided

    async def _place(self, case: _Case, decided: Decided, digest: str | None = None) -> Decided:
        """Settle it in the form that its topics take. Raises DeliveryRevoked."""
        recall = self._tools.recall
        while True:
            try:
                await self._tools.settler.settle(case.delivery, decided.outcome)
            except MessageTooLarge as error:
                self._tools.observe(events.Trouble("kafka", error.message))
            else:
                if digest is not None:
                    recall.durable(case.delivery, case.who, decided, digest)
                return decided
            if decided.smallest:
                # As with a topic that can't be written: somebody will set it right, and nothing is lost.
                await self._tools.clock.sleep(_TOO_LARGE_RETRY_S)
            else:
                refused = decided.outcome.status
                decided = await self._tools.outcomes.smaller(case.delivery, case.who, decided)
                if digest is not None:
                    decided = await recall.first(case.delivery, case.who, decided, digest, refused)


def _backstop(deadline: Deadline) -> Deadline:
    """The deadline for what has none of its own: slots, files, conversion."""
    return Deadline(None if deadline.at is None else deadline.at + _GUARD_FIRST_S)


def _finished(case: _Case, decided: Decided, digest: str) -> Finished:
    outcome = decided.outcome
    is_success = isinstance(decided.event, Success)
    return Finished(case.delivery.run_place, digest, is_success, outcome.status, outcome.dead_letter)
