"""The local engine as a provider keeps what every provider promises."""

from __future__ import annotations

import asyncio
import json
import random
import uuid
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from llm_service.errors import (
    ContextTooLong,
    ModelNotFound,
    RequestRejected,
    RequestUnsupported,
    SettingsInvalid,
)
from llm_service.providers.gguf import create
from llm_service.providers.protocol import CompletionRequest, FinishReason, Message, Parameters, Provider
from llm_service.providers.registry import ProviderContext
from llm_service.resilience.clock import SystemClock
from llm_service.settings.gguf import GgufSettings
from llm_service.testing import ProviderConformance

QUESTION = (Message("system", "Be short."), Message("user", "Where are we?"))


def context_of(settings: GgufSettings) -> ProviderContext:
    return ProviderContext(settings.model_dump(), SystemClock(), random.Random(0), lambda: str(uuid.uuid4()))


@pytest_asyncio.fixture
async def provider(models: Path) -> AsyncIterator[Provider]:
    settings = GgufSettings(
        folder=models, model="small", context_tokens=2_048, max_tokens=32, memory_mb=1_000, max_concurrent=4
    )
    made: Provider = create(context_of(settings))
    yield made
    await made.close()


class TestGguf(ProviderConformance):
    @pytest_asyncio.fixture
    async def provider(self, models: Path) -> AsyncIterator[Provider]:  # type: ignore[override]
        settings = GgufSettings(
            folder=models, model="small", context_tokens=2_048, max_tokens=32, memory_mb=1_000
        )
        made: Provider = create(context_of(settings))
        yield made
        await made.close()


async def test_a_schema_is_kept_by_random_weights(provider: Provider) -> None:
    schema = {
        "type": "object",
        "properties": {
            "city": {"enum": ["Kazan", "Omsk"]},
            "score": {"type": "integer", "minimum": 1, "maximum": 5},
        },
        "required": ["city", "score"],
        "additionalProperties": False,
    }
    asked = [
        CompletionRequest(
            QUESTION, parameters=Parameters(1.0, max_tokens=100, seed=seed), response_schema=schema
        )
        for seed in range(4)
    ]
    for answer in await asyncio.gather(*map(provider.complete, asked)):
        assert answer.finish_reason is FinishReason.STOP
        found = json.loads(answer.text)
        assert found["city"] in ("Kazan", "Omsk")
        assert 1 <= found["score"] <= 5
        assert answer.usage.prompt_tokens


@pytest.mark.parametrize(
    ("request_", "error", "word"),
    [
        (
            CompletionRequest(QUESTION, parameters=Parameters(extra={"best_of": 2})),
            RequestUnsupported,
            "best_of",
        ),
        (CompletionRequest(QUESTION, parameters=Parameters(extra={"top_k": 1.5})), RequestRejected, "top_k"),
        (
            CompletionRequest(QUESTION, parameters=Parameters(extra={"logit_bias": [1]})),
            RequestRejected,
            "logit_bias",
        ),
        (CompletionRequest(QUESTION, grammar="root ::= ("), RequestRejected, "grammar"),
        (CompletionRequest(QUESTION, response_schema={"enum": []}), RequestRejected, "No value"),
        (
            CompletionRequest(QUESTION, grammar='root ::= "x"', response_schema={}),
            RequestRejected,
            "one of them",
        ),
        (CompletionRequest((Message("user", "word " * 3_000),)), ContextTooLong, "2048"),
        (CompletionRequest(QUESTION, model="other"), ModelNotFound, "half, small, wide"),
    ],
)
async def test_what_can_not_be_is_refused_with_its_reason(
    provider: Provider, request_: CompletionRequest, error: type[Exception], word: str
) -> None:
    with pytest.raises(error, match=word):
        await provider.complete(request_)


async def test_its_health_is_that_of_its_model_s_file(provider: Provider, models: Path) -> None:
    await provider.health()
    assert await provider.models() == ["half", "small", "wide"]
    absent: Provider = create(context_of(GgufSettings(folder=models, model="absent")))
    with pytest.raises(ModelNotFound):
        await absent.health()
    await absent.close()


def test_a_provider_without_a_model_is_refused(models: Path) -> None:
    with pytest.raises(SettingsInvalid, match="GGUF_MODEL"):
        create(context_of(GgufSettings()))
