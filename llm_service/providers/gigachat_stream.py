"""GigaChat's streamed answer, put together; only a whole one counts."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from typing import cast

import httpx
from gigachat.models.chat import ChatCompletionChunk
from gigachat.models.chat import Usage as VendorUsage

from llm_service.errors import (
    ContentFiltered,
    ProviderAnswerInvalid,
    ProviderServerError,
    ProviderStreamCut,
)
from llm_service.providers.http_errors import excerpt
from llm_service.providers.protocol import Completion, Delta, FinishReason, StreamPart, Usage
from llm_service.providers.stopwatch import Stopwatch
from llm_service.providers.transport import MAX_TEXT_CHARS, Timeouts

END_GRACE_S = 1.0
"""After the chunk with the finish reason only ``[DONE]`` comes; it is read so that the connection can be used again."""


async def parts_of(
    chunks: AsyncIterator[ChatCompletionChunk], vendor: str, timeouts: Timeouts, watch: Stopwatch
) -> AsyncGenerator[StreamPart, None]:
    """Read to the end. Raises httpx's errors, TimeoutError between two chunks, and what the finish reason says.

    The limit is on chunks, beside httpx's on bytes: a vendor that sends one byte a second is silent too.
    """
    answer = StreamedAnswer(watch)
    # The SDK types its generator as an iterator; closing it is what ends the request at the vendor.
    stream = cast("AsyncGenerator[ChatCompletionChunk, None]", chunks)
    limit = timeouts.first_s
    async with aclosing(stream):
        while True:
            try:
                async with asyncio.timeout(limit):
                    chunk = await anext(stream, None)
            except (httpx.TransportError, TimeoutError):
                if not answer.finished:
                    raise
                break
            if chunk is None:
                break
            if text := answer.add(chunk):
                yield Delta(text)
            limit = END_GRACE_S if answer.finished else timeouts.silence_s
    yield answer.completion(vendor)


class StreamedAnswer:
    """The chunks of one answer so far."""

    def __init__(self, watch: Stopwatch) -> None:
        self._watch = watch
        self._parts: list[str] = []
        self._chars = 0
        self._chunks = 0
        self._choices = 0
        self._reason: str | None = None
        self._usage: VendorUsage | None = None
        self._model = ""

    @property
    def finished(self) -> bool:
        """Whether the finish reason came. The SDK swallows ``[DONE]``; the reason comes just before it."""
        return self._reason is not None

    def add(self, chunk: ChatCompletionChunk) -> str:
        """Take one chunk; its text. Raises ProviderAnswerInvalid when the whole grows beyond any answer."""
        text = ""
        self._chunks += 1
        self._model = chunk.model or self._model
        self._usage = chunk.usage or self._usage
        for choice in chunk.choices[:1]:
            self._choices += 1
            self._reason = choice.finish_reason or self._reason
            text = choice.delta.content or ""
            self._add_text(text)
        return text

    def completion(self, vendor: str) -> Completion:
        """The whole answer, or the error that its end, or the lack of one, stands for."""
        if self._reason is None:
            raise self._without_end(vendor)
        return Completion(
            text="".join(self._parts),
            finish_reason=_finish(self._reason, vendor),
            model=self._model,
            usage=_usage(self._usage),
            timings=self._watch.timings(),
        )

    def _add_text(self, text: str) -> None:
        if not text:
            return
        self._watch.first()
        self._chars += len(text)
        if self._chars > MAX_TEXT_CHARS:
            raise ProviderAnswerInvalid(f"The answer is longer than {MAX_TEXT_CHARS} characters.")
        self._parts.append(text)

    def _without_end(self, vendor: str) -> ProviderStreamCut | ProviderAnswerInvalid:
        if self._chunks and not self._choices:
            return ProviderAnswerInvalid(f"{vendor}'s answer holds no choices.")
        return ProviderStreamCut(
            f"{vendor}'s answer ended after {self._chars} characters without its end marker."
        )


def _usage(told: VendorUsage | None) -> Usage:
    if told is None:
        return Usage()
    return Usage(told.prompt_tokens, told.completion_tokens, told.precached_prompt_tokens)


def _finish(reason: str, vendor: str) -> FinishReason:
    if reason == "stop":
        return FinishReason.STOP
    if reason == "length":
        return FinishReason.LENGTH
    if reason == "blacklist":
        raise ContentFiltered(f"{vendor}'s content filter refused the prompt or the answer.")
    if reason == "error":
        raise ProviderServerError(f"{vendor} ended its answer with the finish reason 'error'.")
    # function_call among them: no function was offered, so that an answer that calls one is none.
    raise ProviderAnswerInvalid(f"{vendor} ended its answer with the finish reason {excerpt(reason)!r}.")
