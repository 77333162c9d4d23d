"""One attempt at a task: slot → PROCESSING → files → provider → answer, and what it comes to."""

from __future__ import annotations

import traceback
from functools import partial

from llm_service import events
from llm_service.contract.status import Processing
from llm_service.contract.task import Task
from llm_service.errors import DeadlineExceeded, PublishFailed, ServiceError, TopicNotWritable
from llm_service.resilience.deadline import Deadline
from llm_service.resilience.shortage import MachineShort, shortage
from llm_service.tasks.course import Stage
from llm_service.tasks.cutting import Pause
from llm_service.tasks.ending import failed, succeeded
from llm_service.tasks.fallback import Fallback
from llm_service.tasks.outcome import Decided
from llm_service.tasks.patience import Patience
from llm_service.tasks.plan import Plan, make_plan
from llm_service.tasks.ports import Outcome
from llm_service.tasks.rounds import Going
from llm_service.tasks.tools import Case, Tools
from llm_service.tasks.waiting_room import SentRound
from llm_service.tasks.work import Answer

# Between two tries to publish PROCESSING: Kafka is away, and nothing is gained by asking more often.
_PROCESSING_RETRY_S = 1.0
# The guard meets the deadline first where it waits, since it knows for what; timers of one moment come in any order.
_GUARD_FIRST_S = 0.05
# Of a bug's traceback, the innermost: the outer ones are those of a task's life.
_FRAMES = 8
# Of a model's name in PROCESSING: the task's word for it, before any provider has looked at it.
_MODEL_CHARS = 255


class Attempts:
    """Makes attempts; holds no state of any of them."""

    def __init__(self, tools: Tools) -> None:
        self._tools = tools

    async def decide(self, case: Case, task: Task | ServiceError) -> Decided:
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
            success = succeeded(answer, plan, self._elapsed_ms(began), case.course)
            return await self._tools.outcomes.success(case.delivery, case.who, success)
        except SentRound as sent:
            failure = failed(sent.cause, provider, self._elapsed_ms(began))
            has_spent = case.course.has_spent
            going = self._tools.rounds.waiting(
                case.delivery, sent.cause, case.course.spent, has_spent=has_spent
            )
        except ServiceError as error:
            failure = failed(error, provider, self._elapsed_ms(began), case.course)
            if isinstance(task, Task):
                going = self._tools.rounds.after(case.delivery, task, error, case.course.spent)
        except Exception as bug:
            crash = self.crashed(case, bug)
            failure = failed(crash, provider, self._elapsed_ms(began))
            if isinstance(task, Task):
                going = self._tools.rounds.after(case.delivery, task, crash, case.course.spent)
        case.course.stage = Stage.DECIDED
        if going is not None:
            return Decided(Outcome(retry=going.record), failure, going=going)
        return await self._tools.outcomes.failure(case.delivery, case.who, failure)

    def crashed(self, case: Case, bug: Exception) -> ServiceError:
        """For the log alone: where it happened and of what type. The bug's own words may quote the document."""
        frames = "".join(traceback.format_tb(bug.__traceback__)[-_FRAMES:])
        self._tools.observe(events.TaskCrashed(case.ref, f"{frames}{type(bug).__name__}"))
        short = shortage(bug)
        return ServiceError() if short is None else MachineShort(f"The task could not be worked on: {short}.")

    def _plan(self, task: Task) -> Plan:
        tools = self._tools
        return make_plan(task, tools.catalogue(), tools.guards.keys(), tools.defaults, tools.clock.now())

    async def _answer(self, case: Case, task: Task, plan: Plan) -> Answer:
        clock = self._tools.clock
        deadline = Deadline.until(clock, task.deadline_at)
        if deadline.expired(clock):
            raise DeadlineExceeded(f"the deadline {task.deadline_at} had passed when the task was read")
        async with _backstop(deadline).limit(clock):
            patience = self._patience(case, task, plan, deadline)
            fallback = Fallback(self._tools, case, task, plan, deadline)
            if fallback.all_away:
                await patience.until_ready()
            async with self._tools.pool.slot(case.delivery.received_at, task.priority) as slot:
                pause = partial(patience.pause, slot)
                if fallback.all_away:
                    await patience.while_open(pause)
                case.course.stage = Stage.WORKING
                await self._announce(case, plan, pause)
                return await fallback.answer(pause)

    def _patience(self, case: Case, task: Task, plan: Plan, deadline: Deadline) -> Patience:
        tools, course = self._tools, case.course
        return Patience(
            tools.pool,
            tools.room,
            tools.guards[plan.provider],
            course,
            deadline,
            lambda: tools.rounds.may_wait(case.delivery, task, has_spent=course.has_spent),
        )

    async def _announce(self, case: Case, plan: Plan, pause: Pause) -> None:
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


def _backstop(deadline: Deadline) -> Deadline:
    """The deadline for what has none of its own: slots, files, conversion."""
    return Deadline(None if deadline.at is None else deadline.at + _GUARD_FIRST_S)
