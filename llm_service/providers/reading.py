"""Reading a stream to its end: only a whole answer counts."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing

from llm_service.errors import ProviderStreamCut
from llm_service.providers.protocol import Completion, StreamPart


async def whole(stream: AsyncGenerator[StreamPart, None], provider: str) -> Completion:
    """The stream's answer. Raises what the stream does, and ProviderStreamCut where it ends without one."""
    async with aclosing(stream):
        async for part in stream:
            if isinstance(part, Completion):
                return part
    raise ProviderStreamCut(f"{provider}'s answer ended without its end marker.")
