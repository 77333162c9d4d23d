"""The work on one task: its files, the question, the answer and whether it is what was asked for."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import AsyncExitStack, contextmanager
from dataclasses import dataclass, replace
from functools import partial
from typing import TypeVar

from llm_service import events
from llm_service.contract.task import Task, TaskFile
from llm_service.errors import (
    AnswerError,
    AnswerSchemaMismatch,
    AnswerTruncated,
    ContentFiltered,
    FileError,
    StoreUnavailable,
    VerdictFailed,
)
from llm_service.files.store import LocalFile
from llm_service.prompts import verdict
from llm_service.prompts.answer import check_answer, extract_json, repair_turn
from llm_service.prompts.hidden import made_visible
from llm_service.providers.guard import Guard
from llm_service.providers.protocol import (
    Capabilities,
    Completion,
    CompletionRequest,
    Document,
    FinishReason,
    Message,
    Usage,
)
from llm_service.resilience.clock import Clock
from llm_service.resilience.deadline import Deadline
from llm_service.resilience.shortage import shortage
from llm_service.tasks.cutting import Complete, Cutting, Documents, Pause, Telling
from llm_service.tasks.plan import Plan
from llm_service.tasks.ports import Files

T = TypeVar("T")
_QUICK_CHARS = 20_000


@dataclass(frozen=True, slots=True)
class FetchRetries:
    """How a fetch that may succeed later is tried again: full jitter between 0 and a doubling delay, in seconds."""

    max_retries: int = 3
    first_delay_s: float = 0.5
    last_delay_s: float = 10.0


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
        self._files = files
        self._guards = guards
        self._clock = clock
        self._rng = rng
        self._observe = observe
        self._retries = retries

    async def do(
        self,
        task: Task,
        ref: events.TaskRef,
        plan: Plan,
        deadline: Deadline,
        pause: Pause,
        spent: Callable[[], None] = lambda: None,
        tell: Telling = lambda _: None,
        *,
        hurried: bool = False,
    ) -> Answer:
        """Answer the task. Every wait for something outside happens inside ``pause()``, without a worker slot.

        ``spent`` is called after each call of the provider that may have cost something; ``hurried`` says that
        another provider would take the task. ``tell`` hears before each call what of the documents was altered for it.

        Raises FileError, ProviderError, AnswerError, DeadlineExceeded.
        """
        guard = self._guards[plan.provider]
        async with AsyncExitStack() as stack:
            documents = [
                await self._document(task, ref, index, guard.provider.capabilities, stack, pause)
                for index in range(len(task.files))
            ]
            request = CompletionRequest(
                messages=plan.messages,
                documents=(*documents, *[await self._seen(text, ref) for text in plan.texts]),
                model=plan.model,
                parameters=plan.parameters,
                response_schema=plan.schema,
                grammar=plan.grammar,
                nonce=f"{self._rng.getrandbits(64):016x}",
            )
            with self._stage(ref, "provider"):
                call = partial(guard.complete, spent=spent, hurried=hurried)
                cutting = self._cutting(call, guard.provider.capabilities, task, ref, pause, tell)
                return await self._ask(cutting.complete, request, plan, deadline, pause)

    # --- files ----------------------------------------------------------------------------------

    async def _document(
        self,
        task: Task,
        ref: events.TaskRef,
        index: int,
        able: Capabilities,
        stack: AsyncExitStack,
        pause: Pause,
    ) -> Document:
        wanted = task.files[index]
        with self._stage(ref, "fetch"):
            file = await self._fetched(wanted, stack, pause)
        self._observe(events.FileLoaded(ref, wanted.path, file.size))
        if _goes_as_it_is(file, able):
            return await self._seen(
                Document(file.name, file.content_type, path=file.path, size=file.size), ref
            )
        return await self._read(file, ref, pause)

    async def _read(self, file: LocalFile, ref: events.TaskRef, pause: Pause) -> Document:
        """The file as its text."""
        with self._stage(ref, "convert"):
            text = await self._patiently(partial(self._files.to_text, file), pause)
        return await self._seen(Document(file.name, file.content_type, text=text, size=file.size), ref)

    async def _seen(self, document: Document, ref: events.TaskRef) -> Document:
        """The document and its name without anything that a model reads and nobody sees."""
        name, in_name = made_visible(document.name)
        text = document.text or ""
        # A microsecond a character at worst, 20 times less at best.
        shown = asyncio.to_thread(made_visible, text) if len(text) > _QUICK_CHARS else None
        text, in_text = made_visible(text) if shown is None else await shown
        return replace(
            document, name=name, text=None if document.text is None else text, hidden=in_name + in_text
        )

    async def _fetched(self, wanted: TaskFile, stack: AsyncExitStack, pause: Pause) -> LocalFile:
        """The file, for as long as ``stack`` lasts."""
        return await self._patiently(
            lambda: stack.enter_async_context(self._files.fetch(wanted.path, wanted.name)), pause
        )

    async def _patiently(self, act: Callable[[], Awaitable[T]], pause: Pause) -> T:
        """Again while that can help. What is not the file's fault is waited for; a file that comes broken is not asked
        for without end.
        """
        failures = 0
        delay = self._retries.first_delay_s
        while True:
            try:
                return await act()
            except FileError as error:
                failures += not (isinstance(error, StoreUnavailable) or shortage(error) is not None)
                if not error.retryable or failures > self._retries.max_retries:
                    raise
            async with pause():
                await self._clock.sleep(self._rng.uniform(0, delay))
            delay = min(delay * 2, self._retries.last_delay_s)

    # --- the question and its answer ------------------------------------------------------------

    def _cutting(
        self, call: Complete, able: Capabilities, task: Task, ref: events.TaskRef, pause: Pause, tell: Telling
    ) -> Cutting:
        """Asks the provider, with shorter documents where they are too long for it and the task allows that."""
        as_texts = partial(self._as_texts, able=able, ref=ref, pause=pause)
        return Cutting(call, able.context_tokens, as_texts if task.truncate else None, tell)

    async def _as_texts(
        self, documents: Documents, able: Capabilities, ref: events.TaskRef, pause: Pause
    ) -> Documents:
        """The documents, those as texts that would go as files: only a text can be cut."""
        texts = []
        for document in documents:
            if document.path is None or document.content_type in able.picture_types:
                texts.append(document)
            else:
                file = LocalFile(document.name, document.path, document.size, document.content_type)
                texts.append(await self._read(file, ref, pause))
        return tuple(texts)

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
    def _stage(self, ref: events.TaskRef, stage: str) -> Iterator[None]:
        began = self._clock.monotonic()
        yield
        self._observe(events.StageFinished(ref, stage, self._clock.monotonic() - began))


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


def _goes_as_it_is(file: LocalFile, able: Capabilities) -> bool:
    """A picture, or a file that the provider takes; one beyond its limit can still be read here."""
    if file.content_type in able.picture_types:
        return True
    limit = able.upload_limit_bytes
    return file.content_type in able.upload_types and (not limit or file.size <= limit)


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
