"""One task and the list of those that may answer it: who is asked, when the next is, and what is written down of it."""

from __future__ import annotations

from dataclasses import dataclass

from llm_service import events
from llm_service.contract.status import Tried
from llm_service.contract.task import Task
from llm_service.errors import (
    ContentFiltered,
    DeadlineExceeded,
    ModelNotFound,
    ProviderError,
    RequestRejected,
    ServiceError,
    TaskTooCostly,
)
from llm_service.resilience.deadline import Deadline
from llm_service.tasks.allowance import Allowance
from llm_service.tasks.cutting import Pause
from llm_service.tasks.plan import Choice, Plan
from llm_service.tasks.tools import Case, Tools
from llm_service.tasks.work import Answer

_SHARE = 0.5
"""Of the time that is left to the deadline: for each provider but the last. What it has not answered by then another may."""

_OWN_FAULT = (RequestRejected, ModelNotFound)
"""The task's own 4xx: whoever comes first has looked at it, and asking others only costs."""


@dataclass(frozen=True, slots=True)
class _Failed:
    choice: Choice
    error: ServiceError


class Fallback:
    """Asks the providers of one task in their order, until one answers."""

    def __init__(self, tools: Tools, case: Case, task: Task, plan: Plan, deadline: Deadline) -> None:
        self._tools = tools
        self._case = case
        self._task = task
        self._plan = plan
        self._deadline = deadline
        self._allowance = Allowance(tools.limits, case.course)

    @property
    def all_away(self) -> bool:
        """Whether no breaker lets a call through."""
        return all(self._tools.guards[choice.provider].is_open for choice in self._plan.choices)

    async def answer(self, pause: Pause) -> Answer:
        """The first answer there is. Raises what ``Work.do`` does, of the provider that had the last word."""
        if not self._plan.fallback:
            return await self._asked(self._plan, self._deadline, pause, hurried=False)
        failed: list[_Failed] = []
        choices = self._plan.choices
        for number, choice in enumerate(choices):
            rest = choices[number + 1 :]
            try:
                answer = await self._asked(
                    self._plan.by(choice), self._share(bool(rest)), pause, hurried=True
                )
            except (ProviderError, DeadlineExceeded) as error:
                self._note(choice, error.code)
                if self._deadline.expired(self._tools.clock) or not moves_on(error, is_first=not number):
                    raise
                failed.append(_Failed(choice, error))
                self._tell(choice, error, rest)
            except ServiceError as error:
                self._note(choice, error.code)
                raise
            else:
                self._note(choice, "success")
                return answer
        return await self._nobody(failed, pause)

    async def _nobody(self, failed: list[_Failed], pause: Pause) -> Answer:
        """All have failed. One that is merely away is waited for, as if there had been no list; else that is the end."""
        for each in failed:
            if isinstance(each.error, ProviderError) and each.error.retryable and not each.error.spent:
                try:
                    answer = await self._asked(
                        self._plan.by(each.choice), self._deadline, pause, hurried=False
                    )
                except ServiceError as error:
                    self._note(each.choice, error.code)
                    raise
                self._note(each.choice, "success")
                return answer
        raise next((each.error for each in failed if each.error.retryable), failed[0].error)

    async def _asked(self, plan: Plan, deadline: Deadline, pause: Pause, *, hurried: bool) -> Answer:
        case = self._case
        return await self._tools.work.do(
            self._task,
            case.ref,
            plan,
            deadline,
            pause,
            case.course,
            self._allowance,
            hurried=hurried,
        )

    def _share(self, has_next: bool) -> Deadline:  # noqa: FBT001 - one caller
        left = self._deadline.remaining(self._tools.clock)
        if left is None or not has_next:
            return self._deadline
        return Deadline.after(self._tools.clock, left * _SHARE)

    def _note(self, choice: Choice, code: str) -> None:
        self._case.course.tried.append(Tried(choice.provider, self._model(choice), code))

    def _tell(self, choice: Choice, error: ServiceError, rest: tuple[Choice, ...]) -> None:
        following = rest[0].provider if rest else ""
        self._tools.observe(
            events.FellBack(
                self._case.ref, choice.provider, self._model(choice), error.code, error.message, following
            )
        )

    def _model(self, choice: Choice) -> str:
        return choice.model or self._tools.guards[choice.provider].provider.default_model


def moves_on(error: ServiceError, *, is_first: bool) -> bool:
    """Whether the next provider is asked after this error.

    A content filter's word is final, and what a task may use it may use with all of them together. So is the refusal of
    the task itself, where the first provider says it; a later one may only be another than the task was made for.
    """
    if isinstance(error, ContentFiltered | TaskTooCostly):
        return False
    return not (is_first and isinstance(error, _OWN_FAULT))
