"""What one task may use: refused before a call that would go beyond, given up while an answer does."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TypeAlias

from llm_service.contract.retry import Spent
from llm_service.errors import TaskTooCostly
from llm_service.providers.protocol import Completion, CompletionRequest
from llm_service.resilience.deadline import Deadline
from llm_service.tasks import fitting
from llm_service.tasks.course import Course
from llm_service.tasks.cutting import Complete, Pause


@dataclass(frozen=True, slots=True)
class TaskLimits:
    """Of one task, however often it goes round; None is no limit."""

    max_tokens: int | None = None
    max_cost: float | None = None
    """US dollars, as far as providers or the price table tell them."""


CostOf: TypeAlias = Callable[[int, int], float | None]
"""US dollars for a call, by the tokens of its prompt and its answer; None where nobody knows."""


class Allowance:
    """One task's, over all of its calls: the repair of an answer, each provider of its list, and each attempt."""

    def __init__(self, limits: TaskLimits, course: Course) -> None:
        self._limits = limits
        self._course = course

    @property
    def counts(self) -> bool:
        """Whether each token matters."""
        return self._limits.max_tokens is not None

    def around(self, call: Complete, cost_of: CostOf) -> Complete:
        """The same call within what is left. It raises TaskTooCostly. ``cost_of`` estimates it by the provider's prices."""

        async def complete(request: CompletionRequest, deadline: Deadline, pause: Pause) -> Completion:
            admitted = self._admitted(request, cost_of)
            try:
                completion = await call(admitted, deadline, pause)
            except TaskTooCostly as error:
                error.tokens_used = self._limits.max_tokens
                raise
            self._count(request, completion)
            return completion

        return complete

    def _admitted(self, request: CompletionRequest, cost_of: CostOf) -> CompletionRequest:
        """The request with its answer bounded. Raises TaskTooCostly."""
        prompt, answer = fitting.estimate(request)
        self._judge_cost(cost_of(prompt, answer))
        most = self._limits.max_tokens
        if most is None:
            return request
        used = self._course.spent.tokens
        if used + prompt + answer > most:
            before = f" and {used} are used already" if used else ""
            raise self._refusal(
                f"The prompt, its documents and the answer need about {prompt + answer} tokens{before}; a task may use "
                f"{most} here (TASK_MAX_TOKENS). Send less text, or ask for a shorter answer by max_tokens."
            )
        return replace(request, most_answer_tokens=most - used - prompt)

    def _judge_cost(self, estimate: float | None) -> None:
        """By the table of prices; without one, by what was paid already."""
        most, paid = self._limits.max_cost, self._course.spent.cost
        if most is None or paid + (estimate or 0.0) <= most:
            return
        needs = (
            f"the call would cost about {estimate:.4f}" if estimate is not None else "its price is not known"
        )
        raise self._refusal(
            f"The task has cost {paid:.4f} dollars and {needs}; it may cost {most:g} here (TASK_MAX_COST_USD). "
            "Send less text, ask for a shorter answer by max_tokens, or ask a cheaper model."
        )

    def _refusal(self, message: str) -> TaskTooCostly:
        error = TaskTooCostly(message)
        error.tokens_used = self._course.spent.tokens or None
        return error

    def _count(self, request: CompletionRequest, completion: Completion) -> None:
        told = completion.usage.total_tokens
        tokens = told if told is not None else sum(fitting.estimate(request))
        before = self._course.spent
        self._course.spent = Spent(before.tokens + tokens, before.cost + (completion.cost or 0.0))
