"""The work on one task: its files, the question, the answer and whether it is what was asked for."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping
from contextlib import AsyncExitStack, contextmanager
from dataclasses import dataclass, replace
from functools import partial

from llm_service import events
from llm_service.contract.task import Task
from llm_service.errors import (
    AnswerError,
    AnswerSchemaMismatch,
    AnswerTruncated,
    ContentFiltered,
    VerdictFailed,
)
from llm_service.prompts import verdict
from llm_service.prompts.answer import check_answer, extract_json, repair_turn
from llm_service.providers.guard import Guard
from llm_service.providers.protocol import (
    Completion,
    CompletionRequest,
    FinishReason,
    Message,
    Usage,
)
from llm_service.resilience.clock import Clock
from llm_service.resilience.deadline import Deadline
from llm_service.tasks.allowance import Allowance
from llm_service.tasks.course import Course
from llm_service.tasks.cutting import Complete, Cutting, Pause
from llm_service.tasks.plan import Plan
from llm_service.tasks.ports import Files
from llm_service.tasks.reading import Desk, FetchRetries, Reading


@dataclass(frozen=True, slots=True)
class Answer:
    """What came out: the text that is the result, and the last completion it is from."""

    text: str
    completion: Completion
    usage: Usage
    """Of all calls made for it."""
    cost: float | None = None
    """US dollars, of all calls made for it; None where it is not known of each."""


class Work:
    """Does the work; holds no state of any task."""

    def __init__(
        self,
        files: Files,
        guards: Mapping[str, Guard],
        clock: Clock,
        rng: random.Random,
        observe: events.Observer,
        retries: FetchRetries,
    ) -> None:
        self._guards = guards
        self._desk = Desk(files, clock, rng, observe, retries)

    async def do(
        self,
        task: Task,
        ref: events.TaskRef,
        plan: Plan,
        deadline: Deadline,
        pause: Pause,
        course: Course,
        allowance: Allowance,
        *,
        hurried: bool,
    ) -> Answer:
        """Answer the task. Every wait for something outside happens inside ``pause()``, without a worker slot.

        ``course`` hears of each call of the provider that may have cost something, and before it what of the documents was
        altered for it. ``allowance`` is what the task may use, this and its other calls together. ``hurried`` says that
        another provider would take the task.

        Raises FileError, ProviderError, AnswerError, DeadlineExceeded.
        """
        guard = self._guards[plan.provider]
        able = guard.provider.capabilities
        async with AsyncExitStack() as stack:
            # What a provider reads out of a file nobody can count beforehand.
            takes = replace(able, upload_types=frozenset()) if allowance.counts else able
            reading = Reading(self._desk, ref, takes, stack, pause)
            request = CompletionRequest(
                messages=plan.messages,
                documents=await reading.documents(task.files, plan.texts),
                model=plan.model,
                parameters=plan.parameters,
                response_schema=plan.schema,
                grammar=plan.grammar,
                priority=task.priority,
                deadline=deadline.at,
                nonce=f"{self._desk.rng.getrandbits(64):016x}",
            )
            with self._desk.stage(ref, "provider"):
                call = partial(guard.complete, spent=course.spend, hurried=hurried)
                priced = partial(guard.prices.estimate, plan.model or guard.provider.default_model)
                cut_from = reading.as_texts if task.truncate else None
                cutting = Cutting(allowance.around(call, priced), able.context_tokens, cut_from, course.tell)
                return await self._ask(cutting.complete, request, plan, deadline, pause)

    async def _ask(
        self, complete: Complete, request: CompletionRequest, plan: Plan, deadline: Deadline, pause: Pause
    ) -> Answer:
        first = await complete(request, deadline, pause)
        try:
            with _priced(first.usage):
                return Answer(_checked(first, plan), first, first.usage, first.cost)
        except AnswerTruncated:
            raise
        except AnswerError as error:
            if plan.schema is None or isinstance(error, VerdictFailed):
                raise
            turn = repair_turn(plan.schema, first.text, error)
        second = await complete(_with_repair(request, first.text, turn), deadline, pause)
        usage = _sum(first.usage, second.usage)
        with _priced(usage):
            return Answer(_checked_last(second, plan), second, usage, _both(first.cost, second.cost))


@contextmanager
def _priced(usage: Usage) -> Iterator[None]:
    """An answer that is refused has cost its tokens all the same."""
    try:
        yield
    except AnswerError as error:
        error.tokens_used = usage.total_tokens
        raise


def _checked(completion: Completion, plan: Plan) -> str:
    """The text of an answer that holds. Raises AnswerError, ContentFiltered."""
    if completion.finish_reason is FinishReason.CONTENT_FILTER:
        raise ContentFiltered
    if completion.finish_reason is FinishReason.LENGTH and plan.schema is not None:
        raise AnswerTruncated
    check_answer(completion.text, plan.schema)
    if plan.verdict is not None:
        verdict.apply(plan.verdict, completion.text)
    return extract_json(completion.text) if plan.schema is not None else completion.text


def _checked_last(completion: Completion, plan: Plan) -> str:
    """As ``_checked``, when nothing can be repaired any more: then a verdict's reason says more than what is missing."""
    try:
        return _checked(completion, plan)
    except AnswerSchemaMismatch:
        if plan.verdict is not None:
            verdict.apply(plan.verdict, completion.text)
        raise


# Of a wrong answer said back in the model's own turn; the repair turn quotes it with the errors.
_SAID_BACK_CHARS = 4_000


def _with_repair(request: CompletionRequest, answer: str, turn: str) -> CompletionRequest:
    said = Message("assistant", answer[:_SAID_BACK_CHARS] or "(no answer)")
    return replace(request, messages=(*request.messages, said, Message("user", turn)))


def _sum(first: Usage, second: Usage) -> Usage:
    return Usage(
        _add(first.prompt_tokens, second.prompt_tokens),
        _add(first.completion_tokens, second.completion_tokens),
    )


def _both(first: float | None, second: float | None) -> float | None:
    """A sum of which a part is unknown would be too low."""
    return None if first is None or second is None else first + second


def _add(first: int | None, second: int | None) -> int | None:
    return None if first is None and second is None else (first or 0) + (second or 0)
