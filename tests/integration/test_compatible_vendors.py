"""Each vendor of OpenAI's protocol in its own way, against a server that has that way."""

from __future__ import annotations

import base64
import json
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from llm_service.errors import (
    ContentFiltered,
    ContextTooLong,
    ModelNotFound,
    ProviderAccountError,
    ProviderError,
    ProviderRateLimited,
    ProviderServerError,
    RequestUnsupported,
)
from llm_service.providers.compatible.vendor import SchemaMode
from llm_service.providers.compatible.vendors import VENDORS
from llm_service.providers.protocol import (
    Completion,
    CompletionRequest,
    Document,
    FinishReason,
    Message,
    Parameters,
    Quota,
)
from tests.contract.provider_benches import Bench, bench

SCHEMA = {
    "type": "object",
    "properties": {"city": {"type": "string"}},
    "required": ["city"],
    "additionalProperties": False,
}

HEADERS_TELL = ("openai", "openrouter", "anthropic", "moonshot", "qwen")
"""Vendors that have headers for what is left."""


@pytest.fixture(scope="module", params=sorted(VENDORS))
def running(request: pytest.FixtureRequest) -> Iterator[Bench]:
    with bench(f"{request.param}_standin") as found:
        yield found


@pytest_asyncio.fixture
async def vendor(running: Bench) -> AsyncIterator[Bench]:
    yield running
    for provider in running.made:
        await provider.close()
    running.made.clear()
    running.vendor.forget()
    running.vendor.set(money=True, context=100_000, requests_a_minute=0, at_once=0, minute_s=60, streams=True)


def question(text: str = "Where are we?", **more: Any) -> CompletionRequest:
    return CompletionRequest((Message("system", "Be short."), Message("user", text)), nonce="n0nce", **more)


def sent(vendor: Bench) -> dict[str, Any]:
    body: dict[str, Any] = json.loads(vendor.vendor.requests("chat")[-1].body)
    return body


async def failed(
    vendor: Bench, kind: type[ProviderError], request: CompletionRequest | None = None
) -> ProviderError:
    with pytest.raises(kind) as raised:
        await vendor.provider().complete(request or question())
    assert type(raised.value) is kind, raised.value
    assert VENDORS[vendor.name].title in raised.value.message
    assert vendor.secrets[0] not in raised.value.message
    return raised.value


async def test_an_answer_has_its_usage_wherever_the_vendor_puts_it(vendor: Bench) -> None:
    answer = await vendor.provider().complete(question())
    assert answer.finish_reason is FinishReason.STOP
    assert answer.model == "small-0613"
    assert answer.usage.prompt_tokens
    assert answer.usage.completion_tokens
    assert answer.usage.cached_tokens == 1


async def test_the_cost_is_the_vendors_where_it_tells(vendor: Bench) -> None:
    answer = await vendor.provider().complete(question())
    assert answer.cost == (0.000125 if vendor.name == "openrouter" else None)


async def test_an_account_without_money_is_an_account_error(vendor: Bench) -> None:
    vendor.vendor.set(money=False)
    error = await failed(vendor, ProviderAccountError)
    assert not error.spent
    assert error.retryable, "it is waited for, as somebody may pay"


async def test_a_wrong_key_is_an_account_error(vendor: Bench) -> None:
    with pytest.raises(ProviderAccountError):
        await vendor.provider(api_key="sk-wrong").complete(question())
    with pytest.raises(ProviderAccountError):
        await vendor.provider(api_key="sk-wrong").health()


async def test_a_prompt_beyond_the_context_is_said_to_be(vendor: Bench) -> None:
    vendor.vendor.set(context=50)
    error = await failed(vendor, ContextTooLong, question("word " * 200))
    assert "50" in error.message


async def test_what_is_surely_too_long_is_refused_before_it_is_sent(vendor: Bench) -> None:
    before = len(vendor.vendor.requests("chat"))
    with pytest.raises(ContextTooLong, match="need about"):
        await vendor.provider(context_tokens=2000).complete(question("word " * 20_000))
    assert len(vendor.vendor.requests("chat")) == before


async def test_a_filter_is_no_failure_of_the_vendor(vendor: Bench) -> None:
    status = 403 if vendor.name == "openrouter" else 400
    vendor.vendor.tell(status=status, code="filtered", times=1)
    error = await failed(vendor, ContentFiltered)
    assert not error.retryable
    vendor.vendor.tell(finish="content_filter")
    await failed(vendor, ContentFiltered)


async def test_a_model_that_is_not_there(vendor: Bench) -> None:
    assert "no-such" in (await failed(vendor, ModelNotFound, question(model="no-such"))).message


async def test_too_many_requests_say_for_how_long(vendor: Bench) -> None:
    vendor.vendor.set(requests_a_minute=2, minute_s=20)
    provider = vendor.provider()
    answers = [await provider.complete(question()) for _ in range(2)]
    error = await failed(vendor, ProviderRateLimited)
    assert error.retry_after is not None
    assert 15 < error.retry_after <= 20
    if vendor.name in HEADERS_TELL:
        left = [_quota(answer) for answer in answers]
        assert [quota.requests_left for quota in left] == [1, 0]
        assert isinstance(error.quota, Quota)
        assert 10 < (error.quota.requests_reset_s or 0) <= 21


async def test_an_error_under_200_is_an_error(vendor: Bench) -> None:
    vendor.vendor.tell(error=True)
    error = await failed(vendor, ProviderServerError)
    assert "disconnected" in error.message


async def test_a_server_that_does_not_stream_answers_too(vendor: Bench) -> None:
    vendor.vendor.set(streams=False)
    answer = await vendor.provider().complete(question("[[standin:answer=whole]]"))
    assert answer.text == "whole"
    assert answer.usage.prompt_tokens


async def test_a_schema_goes_the_way_the_vendor_has(vendor: Bench) -> None:
    await vendor.provider().complete(question(response_schema=SCHEMA))
    body = sent(vendor)
    words = body["messages"][-1]["content"]
    mode = VENDORS[vendor.name].schema
    if mode is SchemaMode.STRICT:
        assert body["response_format"]["json_schema"] == {"name": "answer", "schema": SCHEMA, "strict": True}
        assert words == "Where are we?"
        return
    assert json.dumps(SCHEMA) in words
    assert ("response_format" in body) is (mode is SchemaMode.OBJECT)


async def test_a_schema_of_a_list_goes_in_words_everywhere(vendor: Bench) -> None:
    """The vendors' modes are for objects; they refuse any other schema."""
    await vendor.provider().complete(question(response_schema={"type": "array", "items": {"type": "string"}}))
    assert "response_format" not in sent(vendor)
    assert '"array"' in sent(vendor)["messages"][-1]["content"]


async def test_a_schema_that_leaves_something_open_is_not_asked_for_strictly(vendor: Bench) -> None:
    await vendor.provider().complete(question(response_schema={**SCHEMA, "additionalProperties": True}))
    if VENDORS[vendor.name].schema is SchemaMode.STRICT:
        assert sent(vendor)["response_format"]["json_schema"]["strict"] is False


async def test_parameters_go_under_the_vendors_names(vendor: Bench) -> None:
    parameters = Parameters(temperature=0.5, max_tokens=33, stop=("a", "b"), seed=7)
    await vendor.provider().complete(question(parameters=parameters))
    body = sent(vendor)
    assert body[VENDORS[vendor.name].max_tokens] == 33
    assert body["stop"] == ["a", "b"]
    assert ("seed" in body) is ("seed" not in VENDORS[vendor.name].drops)


async def test_what_the_vendor_would_refuse_is_refused_here(vendor: Bench) -> None:
    known = VENDORS[vendor.name]
    before = len(vendor.vendor.requests("chat"))
    hot = question(parameters=Parameters(temperature=known.highest_temperature + 0.1))
    with pytest.raises(RequestUnsupported, match="temperature"):
        await vendor.provider().complete(hot)
    if known.most_stops:
        stops = tuple("abcdefgh"[: known.most_stops + 1])
        with pytest.raises(RequestUnsupported, match="stop"):
            await vendor.provider().complete(question(parameters=Parameters(stop=stops)))
    with pytest.raises(RequestUnsupported, match="stream"):
        await vendor.provider().complete(question(parameters=Parameters(extra={"stream": False})))
    assert len(vendor.vendor.requests("chat")) == before


async def test_a_picture_goes_with_the_question(vendor: Bench, tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(b"\x89PNG picture")
    picture = Document("a.png", "image/png", path=path, size=12)
    await vendor.provider().complete(question("What is it?", documents=(picture,), model="seeing"))
    words, shown = sent(vendor)["messages"][-1]["content"]
    assert words == {"type": "text", "text": "What is it?"}
    address = shown["image_url"]["url"]
    assert base64.b64decode(address.removeprefix("data:image/png;base64,")) == b"\x89PNG picture"


async def test_models_have_the_names_they_are_asked_by(vendor: Bench) -> None:
    assert await vendor.provider().models() == ["small", "large", "seeing"]


async def test_embeddings_are_in_the_order_of_the_texts(vendor: Bench) -> None:
    found = await vendor.provider(embedding_model="own").embed(["a", "abc", "ab"])
    assert [vector[0] for vector in found.vectors] == [0.01, 0.03, 0.02]
    assert found.model == "own"
    assert found.usage.prompt_tokens == 3
    if not VENDORS[vendor.name].embedding_model:
        with pytest.raises(RequestUnsupported, match="EMBEDDING_MODEL"):
            await vendor.provider().embed(["a"])


async def test_the_key_goes_where_the_vendor_reads_it(vendor: Bench) -> None:
    await vendor.provider().complete(question())
    headers = vendor.vendor.requests("chat")[-1].headers
    assert headers["authorization"] == f"Bearer {vendor.secrets[0]}"
    assert ("x-api-key" in headers) is (vendor.name == "anthropic")


def _quota(answer: Completion) -> Quota:
    assert answer.quota is not None
    return answer.quota
