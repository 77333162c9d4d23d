"""The documents of one task: fetched, and turned into what its provider takes."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, contextmanager
from dataclasses import dataclass, replace
from functools import partial
from typing import TypeVar

from llm_service import events
from llm_service.contract.task import TaskFile
from llm_service.errors import FileError, StoreUnavailable
from llm_service.files.conversion.kinds import is_picture
from llm_service.files.store import LocalFile
from llm_service.prompts.hidden import made_visible
from llm_service.providers.protocol import Capabilities, Document
from llm_service.resilience.clock import Clock
from llm_service.resilience.shortage import shortage
from llm_service.tasks.cutting import Documents, Pause
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
class Desk:
    """What all tasks' documents are read with."""

    files: Files
    clock: Clock
    rng: random.Random
    observe: events.Observer
    retries: FetchRetries

    @contextmanager
    def stage(self, ref: events.TaskRef, stage: str) -> Iterator[None]:
        """Tell how long this part of the work took."""
        began = self.clock.monotonic()
        yield
        self.observe(events.StageFinished(ref, stage, self.clock.monotonic() - began))


class Reading:
    """Reads for one provider; what it has fetched is there for as long as ``stack`` lasts."""

    def __init__(
        self, desk: Desk, ref: events.TaskRef, able: Capabilities, stack: AsyncExitStack, pause: Pause
    ) -> None:
        self._desk = desk
        self._ref = ref
        self._able = able
        self._stack = stack
        self._pause = pause

    async def documents(self, wanted: Sequence[TaskFile], texts: Sequence[Document]) -> Documents:
        """The files in their order, then the task's own texts. Raises FileError."""
        read: list[Document] = []
        for file in wanted:
            read += await self._of(file)
        return (*read, *[await seen(text) for text in texts])

    async def as_texts(self, documents: Documents) -> Documents:
        """The documents, those as texts that would go as files: only a text can be cut. Raises FileError."""
        texts = []
        for document in documents:
            if document.path is None or document.content_type in self._able.picture_types:
                texts.append(document)
            else:
                file = LocalFile(document.name, document.path, document.size, document.content_type)
                texts.append(await self._text(file))
        return tuple(texts)

    async def _of(self, wanted: TaskFile) -> Documents:
        with self._desk.stage(self._ref, "fetch"):
            file = await self._there(lambda: self._desk.files.fetch(wanted.path, wanted.name))
        self._desk.observe(events.FileLoaded(self._ref, wanted.path, file.size))
        if self._able.vision and is_picture(file):
            return await self._pictures(file)
        if _goes_as_it_is(file, self._able):
            return (await as_file(file),)
        return (await self._text(file),)

    async def _pictures(self, file: LocalFile) -> Documents:
        with self._desk.stage(self._ref, "convert"):
            pages = await self._there(lambda: self._desk.files.to_pictures(file))
        return tuple([await as_file(page) for page in pages])

    async def _text(self, file: LocalFile) -> Document:
        with self._desk.stage(self._ref, "convert"):
            text = await self._patiently(partial(self._desk.files.to_text, file))
        return await seen(Document(file.name, file.content_type, text=text, size=file.size))

    async def _there(self, make: Callable[[], AbstractAsyncContextManager[T]]) -> T:
        """What a context gives, for as long as the stack lasts."""
        return await self._patiently(lambda: self._stack.enter_async_context(make()))

    async def _patiently(self, act: Callable[[], Awaitable[T]]) -> T:
        """Again while that can help. What is not the file's fault is waited for; a file that comes broken is not asked
        for without end.
        """
        desk = self._desk
        failures = 0
        delay = desk.retries.first_delay_s
        while True:
            try:
                return await act()
            except FileError as error:
                failures += not (isinstance(error, StoreUnavailable) or shortage(error) is not None)
                if not error.retryable or failures > desk.retries.max_retries:
                    raise
            async with self._pause():
                await desk.clock.sleep(desk.rng.uniform(0, delay))
            delay = min(delay * 2, desk.retries.last_delay_s)


def _goes_as_it_is(file: LocalFile, able: Capabilities) -> bool:
    """A file that the provider takes; one beyond its limit can still be read here."""
    if file.content_type in able.picture_types:
        return True
    limit = able.upload_limit_bytes
    return file.content_type in able.upload_types and (not limit or file.size <= limit)


async def as_file(file: LocalFile) -> Document:
    """For a provider that takes the file itself."""
    return await seen(Document(file.name, file.content_type, path=file.path, size=file.size))


async def seen(document: Document) -> Document:
    """The document and its name without anything that a model reads and nobody sees."""
    name, in_name = made_visible(document.name)
    text = document.text or ""
    # A microsecond a character at worst, 20 times less at best.
    shown = asyncio.to_thread(made_visible, text) if len(text) > _QUICK_CHARS else None
    text, in_text = made_visible(text) if shown is None else await shown
    return replace(
        document, name=name, text=None if document.text is None else text, hidden=in_name + in_text
    )
