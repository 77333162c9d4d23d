"""What a provider has that does no more than answer."""

from __future__ import annotations

from collections.abc import AsyncGenerator

import pytest

from llm_service.errors import ProviderStreamCut, RequestUnsupported
from llm_service.providers.plain import PlainProvider
from llm_service.providers.protocol import (
    Completion,
    CompletionRequest,
    Delta,
    FinishReason,
    Message,
    StreamPart,
)
from llm_service.providers.reading import whole

ASK = CompletionRequest((Message("user", "?"),))


class Echo(PlainProvider):
    name = "echo"
    default_model = "echo-1"

    def __init__(self, text: str = "yes") -> None:
        self.answer = Completion(text, FinishReason.STOP, "echo-1")

    async def complete(self, request: CompletionRequest) -> Completion:
        return self.answer


async def test_the_answer_is_streamed_as_one_piece() -> None:
    echo = Echo()
    assert [part async for part in echo.stream(ASK)] == [Delta("yes"), echo.answer]
    assert [part async for part in Echo("").stream(ASK)] == [Echo("").answer]


async def test_what_it_cannot_do_is_refused_by_name() -> None:
    with pytest.raises(RequestUnsupported, match="echo gives no embeddings"):
        await Echo().embed(["a"])
    with pytest.raises(RequestUnsupported, match="echo counts no tokens"):
        await Echo().count_tokens(["a"])


async def test_the_rest_is_there() -> None:
    echo = Echo()
    assert await echo.models() == ("echo-1",)
    await echo.health()
    await echo.close()


async def test_a_stream_without_its_whole_is_no_answer() -> None:
    async def half() -> AsyncGenerator[StreamPart, None]:
        yield Delta("half of")

    with pytest.raises(ProviderStreamCut, match="echo"):
        await whole(half(), "echo")
    assert await whole(Echo().stream(ASK), "echo") == Echo().answer
