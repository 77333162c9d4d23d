"""Several addresses of Ollama: who is asked, who is left alone, and who fetches a model that nobody has."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, aclosing, suppress
from typing import Any

import pytest
import pytest_asyncio

from llm_service import events
from llm_service.errors import (
    ModelNotFound,
    ProviderRateLimited,
    ProviderServerError,
    ProviderStreamCut,
    ProviderUnavailable,
)
from llm_service.providers.ollama import OllamaProvider
from llm_service.providers.ollama_options import OllamaOptions
from llm_service.providers.ollama_pull import ModelComing
from llm_service.providers.protocol import Completion, CompletionRequest, Message
from tests.contract.provider_benches import PATIENT, closed_port
from tests.manual_clock import ManualClock
from tests.standins.process import StandinProcess, ollama

ASK = CompletionRequest((Message("user", "Вопрос"),), nonce="n")
MODELS = {"tiny": ["completion"], "seeing": ["completion", "vision"]}


class Farm:
    """Two servers and the provider for them, on a clock that stands still."""

    def __init__(self, servers: list[StandinProcess]) -> None:
        self.servers = servers
        self.clock = ManualClock()
        self.seen: list[events.Event] = []
        self.made: list[OllamaProvider] = []

    def provider(self, *addresses: str, **overrides: object) -> OllamaProvider:
        named = ",".join(addresses or [server.base_url for server in self.servers])
        options = {"base_url": named, "model": "tiny", "num_ctx_max": 32_768, "keep_alive": "5m"}
        made = OllamaProvider(
            OllamaOptions.of({**options, **PATIENT, **overrides}), self.clock, self.seen.append
        )
        self.made.append(made)
        return made

    def calls(self, kind: str = "chat") -> list[int]:
        """How many each server has had."""
        return [len(server.requests(kind)) for server in self.servers]

    def most_at_once(self) -> list[int]:
        found: list[Any] = [server.state()["most_active"] for server in self.servers]
        return [most.get("chat", 0) for most in found]


@pytest.fixture(scope="module")
def servers() -> Iterator[list[StandinProcess]]:
    with ExitStack() as stack:
        yield [stack.enter_context(ollama(bodies=True)) for _ in range(2)]


@pytest_asyncio.fixture
async def farm(servers: list[StandinProcess]) -> AsyncIterator[Farm]:
    for server in servers:
        server.set(models=MODELS, registry=[], pull_s=0.0)
    found = Farm(servers)
    yield found
    for provider in found.made:
        await provider.close()
    for server in servers:
        server.forget()


def more(before: list[int], after: list[int]) -> list[int]:
    return [now - then for then, now in zip(before, after, strict=True)]


async def test_calls_at_once_are_shared_and_none_has_more_than_its_limit(farm: Farm) -> None:
    before = farm.calls()
    for server in farm.servers:
        server.tell(kind="chat", delay=0.2)
    provider = farm.provider(max_concurrent=2)
    await asyncio.gather(*(provider.complete(ASK) for _ in range(8)))
    assert more(before, farm.calls()) == [4, 4]
    assert max(farm.most_at_once()) <= 2


async def test_one_after_the_other_goes_to_the_one_that_has_the_model_in_memory(farm: Farm) -> None:
    before = farm.calls()
    provider = farm.provider()
    for _ in range(4):
        await provider.complete(ASK)
    assert sorted(more(before, farm.calls())) == [0, 4]


@pytest.mark.parametrize("fault", [{"status": 503}, {"status": 502}, {"status": 429}])
async def test_one_that_is_busy_or_away_is_passed_over_and_left_alone_for_a_while(
    farm: Farm, fault: dict[str, Any]
) -> None:
    before = farm.calls()
    farm.servers[0].tell(kind="chat", **fault)
    provider = farm.provider()
    for _ in range(3):
        await provider.complete(ASK)
    assert more(before, farm.calls()) == [1, 3]
    farm.servers[0].forget()
    await farm.clock.advance(60)
    await asyncio.gather(provider.complete(ASK), provider.complete(ASK))
    assert more(before, farm.calls()) == [2, 4]


async def test_an_address_where_nothing_listens_costs_no_task(farm: Farm) -> None:
    provider = farm.provider(f"http://127.0.0.1:{closed_port()}", farm.servers[1].base_url, max_concurrent=4)
    answers = await asyncio.gather(*(provider.complete(ASK) for _ in range(6)))
    assert all(answer.text for answer in answers)
    await provider.health()
    assert await provider.models()


async def test_when_all_are_busy_the_task_is_told_to_come_later(farm: Farm) -> None:
    for server in farm.servers:
        server.tell(kind="chat", status=503, retry_after="7")
    with pytest.raises(ProviderRateLimited, match="503") as raised:
        await farm.provider().complete(ASK)
    assert raised.value.retry_after == 7
    assert not raised.value.trips
    assert not raised.value.spent


async def test_when_none_can_be_reached_that_is_an_outage(farm: Farm) -> None:
    addresses = [f"http://127.0.0.1:{closed_port()}" for _ in range(2)]
    provider = farm.provider(*addresses)
    for _ in range(2):
        with pytest.raises(ProviderUnavailable, match="can't be reached"):
            await provider.complete(ASK)


async def test_what_may_have_cost_something_is_not_done_again_elsewhere(farm: Farm) -> None:
    before = farm.calls()
    farm.servers[0].tell(kind="chat", status=500)
    provider = farm.provider()
    with pytest.raises(ProviderServerError):
        await provider.complete(ASK)
    assert more(before, farm.calls()) == [1, 0]
    await provider.complete(ASK)
    assert more(before, farm.calls()) == [1, 1]


async def test_an_answer_that_broke_off_is_not_gone_on_with_elsewhere(farm: Farm) -> None:
    before = farm.calls()
    farm.servers[0].tell(kind="chat", cut=True)
    with pytest.raises(ProviderStreamCut):
        await farm.provider().complete(ASK)
    assert more(before, farm.calls()) == [1, 0]


async def test_a_stream_that_is_left_gives_its_place_back(farm: Farm) -> None:
    provider = farm.provider(farm.servers[0].base_url)
    for _ in range(3):
        async with aclosing(provider.stream(ASK)) as stream:
            await anext(stream)
    assert (await provider.complete(ASK)).text


async def test_a_model_is_found_where_it_is(farm: Farm) -> None:
    farm.servers[0].set(models={})
    before = farm.calls("pull")
    assert (await farm.provider(pull=True).complete(ASK)).text
    assert farm.calls("pull") == before


async def test_a_model_that_nobody_has_is_not_fetched_unless_that_is_allowed(farm: Farm) -> None:
    before = farm.calls("pull")
    for server in farm.servers:
        server.set(models={}, registry=["tiny"])
    with pytest.raises(ModelNotFound, match="OLLAMA_PULL"):
        await farm.provider().complete(ASK)
    assert farm.calls("pull") == before


async def test_it_is_fetched_once_for_all_that_wait_and_told_of(farm: Farm) -> None:
    before = farm.calls("pull")
    for server in farm.servers:
        server.set(models={}, registry=["tiny"], pull_s=0.5)
    provider = farm.provider(pull=True, max_concurrent=4)
    await provider.health()
    answers = await asyncio.gather(*(provider.complete(ASK) for _ in range(5)))
    assert all(answer.text for answer in answers)
    assert sum(more(before, farm.calls("pull"))) == 1
    told = [event for event in farm.seen if isinstance(event, events.ModelPulled)]
    assert [event.progress for event in (told[0], told[-1])] == ["0 %", "done"]
    assert {event.model for event in told} == {"tiny"}


async def when_it_has_come(provider: OllamaProvider) -> Completion:
    async with asyncio.timeout(30):
        while True:
            with suppress(ModelComing):
                return await provider.complete(ASK)


async def test_who_waits_long_is_told_how_far_it_is_and_to_come_again(
    farm: Farm, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("llm_service.providers.ollama_pull.PATIENCE_S", 0.2)
    for server in farm.servers:
        server.set(models={}, registry=["tiny"], pull_s=1.0)
    provider = farm.provider(pull=True)
    with pytest.raises(ModelComing, match="is fetching the model 'tiny': 0 %"):
        await provider.complete(ASK)
    assert (await when_it_has_come(provider)).text


async def test_one_that_the_registry_does_not_have_is_asked_for_once_a_minute(farm: Farm) -> None:
    before = farm.calls("pull")
    for server in farm.servers:
        server.set(models={})
    provider = farm.provider(pull=True)
    for _ in range(3):
        with pytest.raises(ModelNotFound, match="file does not exist"):
            await provider.complete(ASK)
    assert sum(more(before, farm.calls("pull"))) == 1
    await farm.clock.advance(61)
    with pytest.raises(ModelNotFound):
        await provider.complete(ASK)
    assert sum(more(before, farm.calls("pull"))) == 2


async def test_closing_ends_a_fetch(farm: Farm) -> None:
    for server in farm.servers:
        server.set(models={}, registry=["tiny"], pull_s=30.0)
    provider = farm.provider(pull=True)
    asked = asyncio.create_task(provider.complete(ASK))
    await asyncio.sleep(0.3)
    asked.cancel()
    async with asyncio.timeout(2):
        await provider.close()
