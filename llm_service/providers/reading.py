"""Reading a stream to its end: only a whole answer counts, and one that crawls is given up."""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass

from llm_service.errors import ProviderStreamCut, ProviderTimeout, TaskTooCostly
from llm_service.providers.protocol import Anew, Completion, Delta, StreamPart
from llm_service.resilience.clock import Clock

CHARS_A_TOKEN = 4
"""Of English; a token of Russian has 2 to 3. A piece counts as one token at least, as Ollama and most clouds send them."""
MOST_BYTES_A_TOKEN = 6
"""Of UTF-8, over a whole answer: English has 4 to 5, Russian as much. No answer within its limit is taken for too long."""


@dataclass(frozen=True, slots=True)
class Pace:
    """The least that an answer must come with: tokens a second, over any ``window_s`` since its first piece. 0: no floor."""

    tokens_per_s: float = 0.0
    window_s: float = 30.0


async def whole(stream: AsyncGenerator[StreamPart, None], provider: str) -> Completion:
    """The stream's answer. Raises what the stream does, and ProviderStreamCut where it ends without one."""
    async with aclosing(stream):
        async for part in stream:
            if isinstance(part, Completion):
                return part
    raise ProviderStreamCut(f"{provider}'s answer ended without its end marker.")


async def within(
    stream: AsyncGenerator[StreamPart, None], provider: str, most_tokens: int | None
) -> AsyncGenerator[StreamPart, None]:
    """The same stream. Raises TaskTooCostly as soon as the answer is surely longer than that."""
    size = 0
    async with aclosing(stream):
        async for part in stream:
            if isinstance(part, Anew):
                size = 0
            if isinstance(part, Delta) and most_tokens is not None:
                size += len(part.text.encode("utf-8", "replace"))
                if size > most_tokens * MOST_BYTES_A_TOKEN:
                    raise TaskTooCostly(
                        f"{provider} had written more than the {most_tokens} tokens that were left to the task "
                        "(TASK_MAX_TOKENS), and its answer was given up. Ask for a shorter one by max_tokens."
                    )
            yield part


async def paced(
    stream: AsyncGenerator[StreamPart, None], provider: str, pace: Pace, clock: Clock
) -> AsyncGenerator[StreamPart, None]:
    """The same stream. Raises ProviderTimeout as soon as it is slower than the pace.

    Silence has a limit of its own; this is for an answer that drips, each piece in time and the whole never.
    """
    measure = _Measure(pace)
    async with aclosing(stream):
        async for part in stream:
            if isinstance(part, Anew):
                measure = _Measure(pace)
            if isinstance(part, Delta) and measure.is_too_slow(clock.monotonic(), part.text):
                raise ProviderTimeout(
                    f"{provider} writes its answer with less than {pace.tokens_per_s:g} tokens a second."
                )
            yield part


class _Measure:
    """Tokens of the last ``window_s``."""

    def __init__(self, pace: Pace) -> None:
        self._pace = pace
        self._came: deque[tuple[float, float]] = deque()
        self._tokens = 0.0
        self._began: float | None = None

    def is_too_slow(self, now: float, text: str) -> bool:
        """Take a piece; whether what came in the last window, it included, is below the pace."""
        if self._began is None:
            self._began = now
        tokens = max(1.0, len(text) / CHARS_A_TOKEN)
        self._came.append((now, tokens))
        self._tokens += tokens
        if self._pace.tokens_per_s <= 0 or now - self._began < self._pace.window_s:
            return False
        while self._came[0][0] <= now - self._pace.window_s:
            self._tokens -= self._came.popleft()[1]
        return self._tokens < self._pace.tokens_per_s * self._pace.window_s
