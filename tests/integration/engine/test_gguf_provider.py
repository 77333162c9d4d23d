"""The local engine as a provider keeps what every provider promises."""

from __future__ import annotations

import asyncio
import json
import random
import uuid
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path

import pytest
import pytest_asyncio

from llm_service.errors import (
    ContextTooLong,
    ModelNotFound,
    ProviderTimeout,
    RequestRejected,
    RequestUnsupported,
    SettingsInvalid,
)
from llm_service.events import EngineAnswered, EngineChanged, EngineState, Event
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


async def test_a_schema_that_is_too_large_for_a_grammar_goes_into_words_and_is_named(
    provider: Provider,
) -> None:
    schema = {"allOf": [{"anyOf": [{"minimum": number} for number in range(6)]}] * 3}
    parameters = Parameters(max_tokens=5)
    few = await provider.complete(
        CompletionRequest(QUESTION, parameters=parameters, response_schema={"const": 1})
    )
    answer = await provider.complete(
        CompletionRequest(QUESTION, parameters=parameters, response_schema=schema)
    )
    assert answer.held is not None
    (finding,) = answer.held.unenforced
    assert finding.startswith("schema at #: ")
    assert "more than 200 cases" in finding
    assert (few.usage.prompt_tokens or 0) + 100 < (answer.usage.prompt_tokens or 0)


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


async def test_what_the_grammar_did_and_what_it_does_not_hold_is_told(models: Path) -> None:
    told: list[Event] = []
    settings = GgufSettings(folder=models, model="wide", context_tokens=2_048, memory_mb=1_000, threads=1)
    made: Provider = create(replace(context_of(settings), observe=told.append))
    schema = {
        "type": "array",
        "items": {"const": 7},
        "maxItems": 3,
        "maxContains": 9,
        "contains": {"const": 7},
    }
    try:
        answer = await made.complete(
            CompletionRequest(QUESTION, parameters=Parameters(1.0, seed=1), response_schema=schema)
        )
        plain = await made.complete(CompletionRequest(QUESTION, parameters=Parameters(max_tokens=3)))
    finally:
        await made.close()
    assert plain.held is None
    assert answer.held is not None
    assert answer.held.hits + answer.held.misses == answer.usage.completion_tokens
    assert answer.held.misses > 0 < answer.held.miss_s
    assert [place for place in answer.held.unenforced if "maxContains" in place]
    first = next(event for event in told if isinstance(event, EngineAnswered))
    assert (first.hits, first.misses) == (answer.held.hits, answer.held.misses)
    assert first.unenforced == answer.held.unenforced
    assert [event.action for event in told if isinstance(event, EngineChanged)] == ["loaded", "unloaded"]
    states = [event for event in told if isinstance(event, EngineState)]
    assert max(state.running for state in states) == 1
    assert max(state.model_bytes for state in states) > (models / "wide.gguf").stat().st_size
    assert states[-1] == EngineState(0, 0, 0, 0, 0)


async def test_the_task_s_priority_and_deadline_are_the_engine_s(models: Path) -> None:
    """One place in the batch: who waits is let in by priority, and not after the deadline."""
    told: list[Event] = []
    settings = GgufSettings(folder=models, model="small", context_tokens=4_096, max_concurrent=1, threads=1)
    clock = SystemClock()
    made: Provider = create(replace(context_of(settings), observe=told.append))
    ended: list[str] = []

    async def ask(name: str, tokens: int, priority: float = 0.0, deadline: float | None = None) -> None:
        parameters = Parameters(0.0, max_tokens=tokens, extra={"logit_bias": {"2": -100.0}})
        await made.complete(
            CompletionRequest(QUESTION, parameters=parameters, priority=priority, deadline=deadline)
        )
        ended.append(name)

    async def until(holds: Callable[[EngineState], bool]) -> None:
        async with asyncio.timeout(60):
            while not any(isinstance(event, EngineState) and holds(event) for event in told):  # noqa: ASYNC110
                await asyncio.sleep(0.01)

    try:
        first = asyncio.create_task(ask("first", 3_000))
        await until(lambda state: state.running == 1)
        later = [
            asyncio.create_task(ask("low", 1)),
            asyncio.create_task(ask("high", 1, priority=5.0)),
        ]
        await until(lambda state: state.waiting == 2)
        with pytest.raises(ProviderTimeout, match="deadline"):
            await ask("late", 1, deadline=clock.monotonic() + 0.05)
        assert ended == []
        await asyncio.gather(first, *later)
    finally:
        await made.close()
    assert ended == ["first", "high", "low"]
