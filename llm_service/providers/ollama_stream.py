"""Ollama's streamed answer, put together; only a whole one counts."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing

import httpx
from ollama import ChatResponse

from llm_service.errors import ProviderAnswerInvalid, ProviderStreamCut
from llm_service.providers.http_errors import excerpt
from llm_service.providers.protocol import Completion, FinishReason, Usage
from llm_service.providers.transport import MAX_TEXT_CHARS, Timeouts
from llm_service.resilience.clock import Clock

FINISHES = {"stop": FinishReason.STOP, "length": FinishReason.LENGTH, None: FinishReason.STOP}
"""``done_reason``; servers before 0.1.33 give none. ``load`` and ``unload`` answer no question."""

END_GRACE_S = 1.0
"""After the last line only the end of the HTTP answer comes; it is read so that the connection can be used again."""


async def answer_of(
    stream: AsyncGenerator[ChatResponse, None], timeouts: Timeouts, clock: Clock
) -> Completion:
    """Read to the line that says ``done``. Raises the client's errors, and TimeoutError between two lines.

    The limit is on lines, beside httpx's on bytes: a server that sends one byte a second is silent too.
    """
    answer = StreamedAnswer(clock)
    loop = asyncio.get_running_loop()
    try:
        async with aclosing(stream), asyncio.timeout(timeouts.first_s) as limit:
            async for line in stream:
                answer.add(line)
                limit.reschedule(loop.time() + (END_GRACE_S if answer.last else timeouts.silence_s))
    except (httpx.TransportError, TimeoutError):
        if answer.last is None:
            raise
    return answer.completion()


class StreamedAnswer:
    """The lines of one answer so far."""

    def __init__(self, clock: Clock) -> None:
        self.last: ChatResponse | None = None
        """The line that ends the answer."""
        self._clock = clock
        self._started = clock.monotonic()
        self._first_token_s: float | None = None
        self._parts: list[str] = []
        self._chars = 0

    def add(self, line: ChatResponse) -> None:
        """Take one line. Raises ProviderAnswerInvalid when the text grows beyond any answer."""
        text = line.message.content or ""
        if text and self._first_token_s is None:
            self._first_token_s = self._clock.monotonic() - self._started
        self._chars += len(text)
        if self._chars > MAX_TEXT_CHARS:
            raise ProviderAnswerInvalid(f"The answer is longer than {MAX_TEXT_CHARS} characters.")
        self._parts.append(text)
        if line.done:
            self.last = line

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
            first_token_s=self._first_token_s,
        )
