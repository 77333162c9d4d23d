"""What is Ollama's alone: contexts that are never cut, pictures, and an environment without a say."""

from __future__ import annotations

import base64
import json
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from llm_service.errors import ContextTooLong, ModelNotFound, RequestRejected, RequestUnsupported
from llm_service.providers.protocol import CompletionRequest, Document, Message
from tests.contract.provider_benches import Bench, bench

ASK = CompletionRequest((Message("system", "Система"), Message("user", "Вопрос")), nonce="n")


@pytest.fixture(scope="module")
def shared() -> Iterator[Bench]:
    with bench("ollama_standin") as found:
        yield found


@pytest_asyncio.fixture
async def vendor(shared: Bench) -> AsyncIterator[Bench]:
    yield shared
    for provider in shared.made:
        await provider.close()
    shared.made.clear()
    shared.vendor.forget()


@pytest.fixture
def picture(tmp_path: Path) -> Document:
    path = tmp_path / "picture"
    path.write_bytes(b"\x89PNG picture")
    return Document("скан.png", "image/png", path=path, size=12)


def sent(vendor: Bench) -> dict[str, Any]:
    body: dict[str, Any] = json.loads(vendor.vendor.requests("chat")[-1].body)
    return body


async def test_each_request_says_that_nothing_may_be_cut(vendor: Bench) -> None:
    await vendor.provider().complete(ASK)
    body = sent(vendor)
    assert body["truncate"] is False
    assert body["shift"] is False
    assert body["stream"] is True
    assert body["options"]["num_ctx"] == 4096
    assert body["keep_alive"] == "5m"


async def test_a_long_prompt_brings_a_large_context(vendor: Bench) -> None:
    request = replace(ASK, messages=(Message("user", "слово " * 2_000),))
    await vendor.provider().complete(request)
    assert vendor.vendor.requests("chat")[-1].status == 200
    assert sent(vendor)["options"]["num_ctx"] == 16_384, "22,000 bytes and room for the answer"


async def test_a_prompt_longer_than_any_context_costs_no_call(vendor: Bench) -> None:
    before = len(vendor.vendor.requests("chat"))
    request = replace(ASK, messages=(Message("user", "слово " * 20_000),))
    with pytest.raises(ContextTooLong, match="32768"):
        await vendor.provider().complete(request)
    with pytest.raises(ContextTooLong, match="8192"):
        await vendor.provider(num_ctx_max=8192).complete(request)
    assert len(vendor.vendor.requests("chat")) == before


async def test_a_refused_size_is_asked_again_with_the_largest_it_can_need(vendor: Bench) -> None:
    vendor.vendor.tell(status=400, times=1)
    request = replace(ASK, messages=(Message("user", "a" * 8_000),))
    before = len(vendor.vendor.requests("chat"))
    assert (await vendor.provider().complete(request)).text
    sizes = [json.loads(one.body)["options"]["num_ctx"] for one in vendor.vendor.requests("chat")[before:]]
    assert sizes == [4096, 16_384]


async def test_a_request_that_is_wrong_in_another_way_is_refused_in_the_end(vendor: Bench) -> None:
    vendor.vendor.tell(status=400)
    request = replace(ASK, messages=(Message("user", "a" * 8_000),))
    with pytest.raises(RequestRejected):
        await vendor.provider().complete(request)


async def test_a_model_that_sees_gets_the_picture(vendor: Bench, picture: Document) -> None:
    request = replace(ASK, documents=(picture,), model="seeing")
    await vendor.provider().complete(request)
    assert base64.b64decode(sent(vendor)["messages"][-1]["images"][0]) == b"\x89PNG picture"


async def test_a_model_that_does_not_see_is_not_asked(vendor: Bench, picture: Document) -> None:
    before = len(vendor.vendor.requests("chat"))
    with pytest.raises(RequestUnsupported, match="tiny"):
        await vendor.provider().complete(replace(ASK, documents=(picture,)))
    assert len(vendor.vendor.requests("chat")) == before


async def test_health_asks_for_the_model_without_loading_it(vendor: Bench) -> None:
    before = len(vendor.vendor.requests("chat"))
    await vendor.provider().health()
    with pytest.raises(ModelNotFound, match="gone"):
        await vendor.provider(model="gone").health()
    with pytest.raises(ModelNotFound, match="OLLAMA_MODEL"):
        await vendor.provider(model="").health()
    assert len(vendor.vendor.requests("chat")) == before


async def test_the_environment_decides_nothing(vendor: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OLLAMA_API_KEY", "key-from-the-environment")
    monkeypatch.setenv("OLLAMA_HOST", "127.0.0.1:1")
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    assert (await vendor.provider().complete(ASK)).text
    assert "authorization" not in vendor.vendor.requests("chat")[-1].headers
