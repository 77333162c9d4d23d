"""The Ollama provider against a real server with a model of random weights: the protocol, not the sense."""

from __future__ import annotations

import asyncio
import json
import random
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from typing import Any

import jsonschema
import pytest
import pytest_asyncio

from llm_service.errors import ContextTooLong, ModelNotFound, ProviderTimeout, RequestUnsupported
from llm_service.providers.ollama import OllamaProvider, create
from llm_service.providers.protocol import CompletionRequest, Document, FinishReason, Message, Parameters
from llm_service.providers.registry import ProviderContext
from llm_service.resilience.clock import SystemClock
from tests.services.ollama import Ollama

SHORT = Parameters(max_tokens=16, temperature=0.0, seed=1)
ASK = CompletionRequest((Message("system", "Ты помощник."), Message("user", "Привет!")), parameters=SHORT)
SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {"ok": {"type": "boolean"}, "kind": {"enum": ["a", "b"]}},
    "required": ["ok", "kind"],
    "additionalProperties": False,
}

Made = Callable[..., OllamaProvider]


@pytest_asyncio.fixture
async def made(ollama: Ollama) -> AsyncIterator[Made]:
    """Providers for the real server, closed afterwards."""
    providers: list[OllamaProvider] = []

    def make(**overrides: object) -> OllamaProvider:
        options: dict[str, object] = {
            "base_url": ollama.base_url,
            "model": ollama.model,
            "connect_timeout_seconds": 5.0,
            "request_timeout_seconds": 60.0,
            "num_ctx_max": 32_768,
            "keep_alive": "5m",
            **overrides,
        }
        providers.append(create(ProviderContext(options, SystemClock(), random.Random(0), lambda: "id")))
        return providers[-1]

    yield make
    for provider in providers:
        await provider.close()


async def test_it_answers_and_counts(made: Made, ollama: Ollama) -> None:
    answer = await made().complete(ASK)
    assert answer.finish_reason in {FinishReason.LENGTH, FinishReason.STOP}
    assert answer.model.startswith(ollama.model)
    assert answer.usage.completion_tokens
    assert answer.usage.completion_tokens <= 16


async def test_an_answer_that_reaches_its_limit_says_so(made: Made) -> None:
    parameters = replace(SHORT, max_tokens=1)
    answer = await made().complete(replace(ASK, parameters=parameters))
    assert answer.finish_reason is FinishReason.LENGTH


async def test_the_server_keeps_the_schema(made: Made) -> None:
    request = replace(ASK, response_schema=SCHEMA, parameters=replace(SHORT, max_tokens=400))
    answer = await made().complete(request)
    assert answer.finish_reason is FinishReason.STOP
    jsonschema.validate(json.loads(answer.text), SCHEMA)


async def test_it_knows_the_models_and_is_healthy(made: Made, ollama: Ollama) -> None:
    provider = made()
    assert any(name.startswith(ollama.model) for name in await provider.models())
    await provider.health()


async def test_a_model_that_is_not_there(made: Made) -> None:
    with pytest.raises(ModelNotFound, match="no-such-model"):
        await made().complete(replace(ASK, model="no-such-model"))
    with pytest.raises(ModelNotFound):
        await made(model="no-such-model").health()


async def test_a_prompt_too_long_for_the_model_is_refused_and_never_cut(made: Made) -> None:
    request = replace(ASK, messages=(Message("user", "слово " * 100_000),))
    with pytest.raises(ContextTooLong, match="tokens"):
        await made().complete(request)


async def test_a_tokenizer_of_single_bytes_gets_the_context_it_needs(made: Made) -> None:
    # 4,500 bytes are estimated as 1,500 tokens, for which 4096 would do; this model makes 4,500 of them. The server
    # refuses the first size, since nothing may be cut, and gets the second.
    text = "ы" * 2_250
    answer = await made().complete(replace(ASK, messages=(Message("user", text),)))
    assert answer.usage.prompt_tokens is None or answer.usage.prompt_tokens >= 4_500


async def test_a_picture_for_a_model_that_does_not_see(made: Made, tmp_path: Any) -> None:
    path = tmp_path / "picture.png"
    path.write_bytes(b"\x89PNG")
    document = Document("picture.png", "image/png", path=path, size=4)
    with pytest.raises(RequestUnsupported, match="sees no pictures"):
        await made().complete(replace(ASK, documents=(document,)))


async def test_silence_ends_within_its_limit(made: Made) -> None:
    patient = made()
    await patient.complete(ASK)  # the model is loaded
    impatient = made(request_timeout_seconds=0.001)
    began = time.monotonic()
    with pytest.raises(ProviderTimeout):
        await impatient.complete(replace(ASK, parameters=replace(SHORT, max_tokens=2_000)))
    assert time.monotonic() - began < 5


async def test_a_cancelled_call_leaves_the_server_free_for_the_next(made: Made) -> None:
    provider = made()
    await provider.complete(ASK)
    long = replace(ASK, parameters=Parameters(max_tokens=3_000, seed=2, extra={"repeat_penalty": 1.0}))
    calls = [asyncio.create_task(provider.complete(long)) for _ in range(3)]
    await asyncio.sleep(0.2)
    for call in calls:
        call.cancel()
    await asyncio.gather(*calls, return_exceptions=True)
    began = time.monotonic()
    await provider.complete(ASK)
    assert time.monotonic() - began < 5
