"""Other vendors by LiteLLM, in its process: what every provider promises, and what happens when that process dies."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import aclosing
from functools import wraps
from pathlib import Path
from typing import Any

import psutil
import pytest
import pytest_asyncio

from llm_service.errors import (
    ContentFiltered,
    ContextTooLong,
    ProviderAccountError,
    ProviderError,
    ProviderRateLimited,
    ProviderServerError,
    ProviderStreamCut,
    ProviderTimeout,
    ProviderUnavailable,
    RequestRejected,
    RequestUnsupported,
    SettingsInvalid,
)
from llm_service.providers.litellm import LitellmOptions, LitellmProvider
from llm_service.providers.protocol import CompletionRequest, Document, Message, Parameters
from llm_service.resilience.clock import SystemClock
from llm_service.testing import ProviderConformance
from tests.contract.provider_benches import closed_port
from tests.standins.process import OpenAIProcess, openai

pytestmark = pytest.mark.usefixtures("litellm_library")
ASK = CompletionRequest((Message("user", "Where are we?"),), nonce="n")
OPTIONS: dict[str, object] = {
    "connect_timeout_seconds": 20.0,
    "first_byte_timeout_seconds": 20.0,
    "request_timeout_seconds": 20.0,
    "embedding_model": "acme-embedding",
}


@pytest.fixture(scope="module")
def vendor() -> Iterator[OpenAIProcess]:
    # One that takes any field: what the library itself sends is not ours to say.
    with openai("compatible", bodies=True) as running:
        yield running


def provider_of(vendor: OpenAIProcess, **more: object) -> LitellmProvider:
    options = {**vendor.options(), **OPTIONS, "model": "openai/small", **more}
    return LitellmProvider(LitellmOptions.of(options), SystemClock())


async def until(condition: Callable[[], bool], limit_s: float = 10.0) -> None:
    async with asyncio.timeout(limit_s):
        while not condition():  # noqa: ASYNC110 - the condition is another process's
            await asyncio.sleep(0.02)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shared(vendor: OpenAIProcess, litellm_library: None) -> AsyncIterator[LitellmProvider]:
    """One for all, as each would import the library anew."""
    made = provider_of(vendor)
    yield made
    await made.close()


class TestConformance(ProviderConformance):
    @pytest.fixture
    def provider(self, shared: LitellmProvider) -> LitellmProvider:
        return shared


def in_one_loop(test: Callable[..., Coroutine[Any, Any, None]]) -> Callable[..., Coroutine[Any, Any, None]]:
    """The suite gives each of its tests a loop of its own, and a process belongs to the loop that started it."""

    @wraps(test)
    async def run(*args: Any, **kwargs: Any) -> None:
        await test(*args, **kwargs)

    marked: Callable[..., Coroutine[Any, Any, None]] = pytest.mark.asyncio(loop_scope="module")(run)
    return marked


for name, test in vars(ProviderConformance).items():
    if name.startswith("test_"):
        setattr(TestConformance, name, in_one_loop(test))


@pytest.mark.asyncio(loop_scope="module")
class TestCalls:
    @pytest.fixture
    def provider(self, vendor: OpenAIProcess, shared: LitellmProvider) -> Iterator[LitellmProvider]:
        yield shared
        vendor.forget()
        vendor.set(money=True, context=100_000)

    async def test_what_is_asked_comes_to_the_vendor_as_it_is(
        self, vendor: OpenAIProcess, provider: LitellmProvider, tmp_path: Path
    ) -> None:
        path = tmp_path / "a.png"
        path.write_bytes(b"\x89PNG picture")
        asked = CompletionRequest(
            (Message("system", "Be short."), Message("user", "What is it?")),
            (Document("a.png", "image/png", path=path, size=12),),
            parameters=Parameters(temperature=0.5, max_tokens=33, stop=("x",), extra={"presence_penalty": 1}),
            response_schema={"type": "object"},
            nonce="n",
        )
        answer = await provider.complete(asked)
        assert answer.usage.prompt_tokens
        assert answer.model
        assert answer.timings.first_token_s is not None
        body: dict[str, Any] = json.loads(vendor.requests("chat")[-1].body)
        assert (body["model"], body["temperature"], body["max_tokens"], body["presence_penalty"]) == (
            "small",
            0.5,
            33,
            1,
        )
        assert body["stop"] == ["x"]
        assert '"type": "object"' in body["messages"][-1]["content"][0]["text"]
        assert body["messages"][-1]["content"][1]["image_url"]["url"].startswith("data:image/png;base64,")

    @pytest.mark.parametrize(
        "name", ["api_base", "api_key", "base_url", "mock_response", "extra_headers", "fallbacks"]
    )
    async def test_a_task_says_neither_where_the_key_goes_nor_what_is_answered(
        self, vendor: OpenAIProcess, provider: LitellmProvider, name: str
    ) -> None:
        before = len(vendor.requests("chat"))
        asked = CompletionRequest(
            ASK.messages, parameters=Parameters(extra={name: "http://elsewhere"}), nonce="n"
        )
        with pytest.raises(RequestUnsupported, match=name):
            await provider.complete(asked)
        assert len(vendor.requests("chat")) == before

    async def test_a_model_of_another_vendor_is_asked_of_this_one(
        self, vendor: OpenAIProcess, provider: LitellmProvider
    ) -> None:
        with pytest.raises(ProviderError):
            await provider.complete(CompletionRequest(ASK.messages, model="groq/llama", nonce="n"))
        assert '"groq/llama"' in vendor.requests("chat")[-1].body

    @pytest.mark.parametrize(
        ("told", "kind"),
        [
            ({"status": 400}, RequestRejected),
            ({"status": 401}, ProviderAccountError),
            ({"status": 429, "retry_after": "7"}, ProviderRateLimited),
            ({"status": 500}, ProviderServerError),
            ({"status": 503}, ProviderUnavailable),
            ({"cut": True, "chunks": 4, "after": 2}, ProviderStreamCut),
            ({"noend": True}, ProviderStreamCut),
            ({"reset": True}, ProviderStreamCut),
        ],
        ids=str,
    )
    async def test_a_failure_is_named_once_and_tried_once(
        self,
        vendor: OpenAIProcess,
        provider: LitellmProvider,
        told: dict[str, Any],
        kind: type[ProviderError],
    ) -> None:
        before = len(vendor.requests("chat"))
        vendor.tell(kind="chat", leak=True, **told)
        with pytest.raises(ProviderError) as raised:
            await provider.complete(ASK)
        assert type(raised.value) is kind, raised.value
        assert vendor.key not in raised.value.message
        assert len(vendor.requests("chat")) == before + 1
        if "retry_after" in told:
            assert raised.value.retry_after == 7

    async def test_a_prompt_beyond_the_context_is_said_to_be(
        self, vendor: OpenAIProcess, provider: LitellmProvider
    ) -> None:
        vendor.set(context=50)
        with pytest.raises(ContextTooLong):
            await provider.complete(CompletionRequest((Message("user", "word " * 200),), nonce="n"))

    async def test_a_filter_and_an_empty_account(
        self, vendor: OpenAIProcess, provider: LitellmProvider
    ) -> None:
        vendor.tell(kind="chat", finish="content_filter", times=1)
        with pytest.raises(ContentFiltered):
            await provider.complete(ASK)
        vendor.set(money=False)
        with pytest.raises(ProviderAccountError):
            await provider.complete(ASK)

    async def test_a_cancelled_call_ends_at_the_vendor_within_a_second(
        self, vendor: OpenAIProcess, provider: LitellmProvider
    ) -> None:
        asked = CompletionRequest(
            (Message("user", "[[task:left]] [[standin:stall=30,chunks=4]]"),), nonce="n"
        )
        async with aclosing(provider.stream(asked)) as stream:
            await anext(stream)
        began = time.monotonic()

        def gone() -> bool:
            calls = [one for one in vendor.requests("chat") if one.marker == "left"]
            return bool(calls) and bool(calls[-1].ended)

        await until(gone)
        assert time.monotonic() - began < 5
        assert next(one for one in vendor.requests("chat") if one.marker == "left").outcome in {
            "gone",
            "broken",
        }

    async def test_the_key_is_in_no_command_line_and_no_environment(
        self, vendor: OpenAIProcess, provider: LitellmProvider
    ) -> None:
        await provider.complete(ASK)
        process = psutil.Process(provider.pid)
        assert vendor.key not in " ".join(process.cmdline())
        assert set(process.environ()) <= {"PATH", "LANG", "LITELLM_LOCAL_MODEL_COST_MAP", "LC_CTYPE"}

    async def test_a_process_that_was_killed_costs_no_call(
        self, vendor: OpenAIProcess, provider: LitellmProvider
    ) -> None:
        vendor.tell(kind="chat", delay=1.0, times=3)
        calls = [asyncio.create_task(provider.complete(ASK)) for _ in range(3)]
        await provider.health()
        first = provider.pid
        assert first is not None
        await until(lambda: vendor.state()["active"]["chat"] == 3, 60)  # type: ignore[index]
        os.kill(first, signal.SIGKILL)
        assert all(answer.text for answer in await asyncio.gather(*calls))
        assert provider.pid != first

    async def test_one_that_dies_in_the_middle_of_an_answer_cuts_it(
        self, vendor: OpenAIProcess, provider: LitellmProvider
    ) -> None:
        asked = CompletionRequest((Message("user", "[[standin:stall=30,chunks=4]]"),), nonce="n")
        async with aclosing(provider.stream(asked)) as stream:
            await anext(stream)
            assert provider.pid is not None
            os.kill(provider.pid, signal.SIGKILL)
            with pytest.raises(ProviderStreamCut, match="died"):
                await anext(stream)
        assert (await provider.complete(ASK)).text


async def test_silence_ends_within_its_limit(vendor: OpenAIProcess) -> None:
    provider = provider_of(
        vendor, first_byte_timeout_seconds=1.0, request_timeout_seconds=1.0, connect_timeout_seconds=1.0
    )
    try:
        await provider.health()
        began = time.monotonic()
        with pytest.raises(ProviderTimeout):
            await provider.complete(
                CompletionRequest((Message("user", "[[standin:silence=30]]"),), nonce="n")
            )
        assert time.monotonic() - began < 10
    finally:
        await provider.close()


async def test_nobody_listens(vendor: OpenAIProcess) -> None:
    provider = provider_of(vendor, base_url=f"http://127.0.0.1:{closed_port()}/v1")
    try:
        with pytest.raises(ProviderUnavailable):
            await provider.complete(ASK)
    finally:
        await provider.close()


@pytest.mark.parametrize("model", ["small", "/small", "openai/", ""])
def test_a_model_without_its_vendor_is_refused_at_the_start(model: str) -> None:
    with pytest.raises(SettingsInvalid, match="LITELLM_MODEL"):
        LitellmOptions.of({**OPTIONS, "model": model})
