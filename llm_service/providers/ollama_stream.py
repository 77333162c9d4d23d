"""Ollama's streamed answer, put together; only a whole one counts."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing

import httpx
from ollama import ChatResponse

from llm_service.errors import ProviderAnswerInvalid, ProviderStreamCut
from llm_service.providers.http_errors import excerpt
from llm_service.providers.protocol import Completion, Delta, FinishReason, StreamPart, Usage
from llm_service.providers.stopwatch import Stopwatch
from llm_service.providers.transport import MAX_TEXT_CHARS, Timeouts

FINISHES = {"stop": FinishReason.STOP, "length": FinishReason.LENGTH, None: FinishReason.STOP}
"""``done_reason``; servers before 0.1.33 give none. ``load`` and ``unload`` answer no question."""

END_GRACE_S = 1.0
"""After the last line only the end of the HTTP answer comes; it is read so that the connection can be used again."""


async def parts_of(
    stream: AsyncGenerator[ChatResponse, None], timeouts: Timeouts, watch: Stopwatch
) -> AsyncGenerator[StreamPart, None]:
    """Read to the line that says ``done``. Raises the client's errors, and TimeoutError between two lines.

    The limit is on lines, beside httpx's on bytes: a server that sends one byte a second is silent too.
    """
    answer = StreamedAnswer(watch)
    limit = timeouts.first_s
    async with aclosing(stream):
        while True:
            try:
                async with asyncio.timeout(limit):
                    line = await anext(stream, None)
            except (httpx.TransportError, TimeoutError):
                if answer.last is None:
                    raise
                break
            if line is None:
                break
            if text := answer.add(line):
                yield Delta(text)
            limit = timeouts.silence_s if answer.last is None else END_GRACE_S
    yield answer.completion()


class StreamedAnswer:
    """The lines of one answer so far."""

    def __init__(self, watch: Stopwatch) -> None:
        self.last: ChatResponse | None = None
        """The line that ends the answer."""
        self._watch = watch
        self._parts: list[str] = []
        self._chars = 0

    def add(self, line: ChatResponse) -> str:
        """Take one line; its text. Raises ProviderAnswerInvalid when the whole grows beyond any answer."""
        text = line.message.content or ""
        if text:
            self._watch.first()
        self._chars += len(text)
        if self._chars > MAX_TEXT_CHARS:
            raise ProviderAnswerInvalid(f"The answer is longer than {MAX_TEXT_CHARS} characters.")
        self._parts.append(text)
        if line.done:
            self.last = line
        return text

    def completion(self) -> Completion:
        """The whole answer. Raises ProviderStreamCut without a last line, ProviderAnswerInvalid for an odd one."""
        last = self.last
        if last is None:
            raise ProviderStreamCut(
                f"Ollama's answer ended after {self._chars} characters without its last line."
            )
        if last.done_reason not in FINISHES:
            raise ProviderAnswerInvalid(f"Ollama ended its answer with {excerpt(str(last.done_reason))!r}.")
        return Completion(
            text="".join(self._parts),
            finish_reason=FINISHES[last.done_reason],
            model=last.model or "",
            # prompt_eval_count is left out when the whole prompt was in the server's cache.
            usage=Usage(last.prompt_eval_count, last.eval_count),
            timings=self._watch.timings(),
        )
