"""Around a provider: a minute's limits are kept, who waits for his turn holds nothing, and who would be late is told."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from llm_service.errors import DeadlineExceeded, ProviderRateLimited, ProviderServerError
from llm_service.events import RateChanged, TurnAwaited
from llm_service.providers.prices import PriceTable
from llm_service.providers.protocol import Completion, CompletionRequest, Message, Quota, Usage
from llm_service.resilience.deadline import Deadline
from llm_service.resilience.rate import RatePolicy
from tests.manual_clock import ManualClock
from tests.unit.providers_guard.scripted import POLICY, Bench, Later, ScriptedProvider, Slot, end

SIX = replace(POLICY, rate=RatePolicy(requests=6))
"""One at once and one each ten seconds."""


class CountingProvider(ScriptedProvider):
    """Says what it took and what is left."""

    def __init__(self, clock: ManualClock) -> None:
        super().__init__(clock)
        self.usage = Usage(10, 10)
        self.quota: Quota | None = None
        self.models: list[str | None] = []  # type: ignore[assignment]

    async def complete(self, request: CompletionRequest) -> Completion:
        self.models.append(request.model)
        answer = await super().complete(request)
        return replace(answer, usage=self.usage, quota=self.quota)


def counting(bench: Bench) -> CountingProvider:
    assert isinstance(bench.provider, CountingProvider)
    return bench.provider


async def ask(
    bench: Bench,
    *,
    model: str | None = None,
    within: float | None = None,
    hurried: bool = False,
    chars: int = 5,
) -> Completion:
    request = CompletionRequest((Message("user", "x" * chars),), model=model)
    deadline = Deadline(None) if within is None else Deadline.after(bench.clock, within)
    async with Slot(bench.slots) as slot:
        return await bench.guard.complete(request, deadline, slot.waiting, hurried=hurried)


async def test_calls_come_as_fast_as_the_minute_allows() -> None:
    bench = Bench(SIX)
    tasks = bench.start(12)
    await bench.clock.advance(130)
    assert all(task.done() for task in tasks)
    assert bench.provider.called_at == pytest.approx([0, 10, 20, 30, 40, 50, 61, 71, 81, 91, 101, 111])
    waits = [event for event in bench.events if isinstance(event, TurnAwaited)]
    assert [event.limit for event in waits] == ["requests"] * 11
    assert waits[2].seconds == pytest.approx(30)
    bench.assert_nothing_is_held()


async def test_who_waits_for_his_turn_holds_neither_slot_nor_permit() -> None:
    bench = Bench(replace(SIX, max_concurrency=1), slots=1)
    tasks = bench.start(4)
    await bench.clock.advance(1)
    assert bench.slots.held == 0
    assert bench.guard.in_progress == 0
    await bench.clock.advance(60)
    assert all(task.done() for task in tasks)


async def test_models_do_not_hold_each_other_up() -> None:
    bench = Bench(replace(SIX, max_concurrency=1), make=CountingProvider)
    first = [asyncio.create_task(ask(bench, model="a")) for _ in range(5)]
    await bench.clock.settle()
    other = asyncio.create_task(ask(bench, model="b"))
    await bench.clock.settle()
    assert other.done()
    assert counting(bench).models == ["a", "b"]
    await bench.clock.advance(15)
    assert counting(bench).models == ["a", "b", "a"]
    await end(first)


async def test_a_turn_that_comes_after_the_deadline_is_not_waited_for() -> None:
    bench = Bench(SIX)
    first, second, third = bench.start(1)[0], *bench.start(2, within=15.0)
    await bench.clock.advance(0)
    assert first.done()
    assert third.done(), "ten seconds for the one before, ten for itself: at once, not after 15 s"
    with pytest.raises(
        DeadlineExceeded, match=r"comes in 20 s at the earliest .the limit is 6 requests a minute"
    ):
        await third
    await bench.clock.advance(15)
    assert second.done()
    assert second.exception() is None
    bench.assert_nothing_is_held()


async def test_who_has_another_provider_goes_there_at_once() -> None:
    bench = Bench(SIX)
    await ask(bench)
    with pytest.raises(ProviderRateLimited, match="Its turn at scripted comes in 10 s") as caught:
        await bench.clock.run(ask(bench, hurried=True))
    assert caught.value.retry_after == pytest.approx(10)
    assert bench.now == 0
    assert len(bench.provider.called_at) == 1
    await bench.clock.advance(6)
    await bench.clock.run(ask(bench, hurried=True))
    assert bench.provider.called_at == pytest.approx([0, 10]), "four seconds are a moment"


async def test_a_cancelled_wait_gives_its_place_to_the_next() -> None:
    bench = Bench(SIX)
    tasks = bench.start(3)
    await bench.clock.advance(5)
    await end(tasks[1:2])
    await bench.clock.advance(5)
    assert tasks[2].done()
    assert bench.provider.called_at == pytest.approx([0, 10])
    bench.assert_nothing_is_held()


async def test_a_call_whose_pass_was_given_back_does_not_count() -> None:
    """The pass comes, and its task is cancelled before it has its slot again."""
    bench = Bench(SIX, slots=1)
    first, second = bench.start(2)
    await bench.clock.advance(9)
    await bench.slots.take()
    await bench.clock.advance(2)
    assert bench.guard.in_progress == 1, "it has its pass and no slot"
    await end([second])
    bench.slots.give()
    assert bench.guard.in_progress == 0
    third = bench.start()[0]
    await bench.clock.settle()
    assert third.done(), "at 11 s it is the second call"
    await first


async def test_a_call_counts_from_when_it_is_made() -> None:
    """Six passes that waited for slots for a minute are a minute's calls, whatever came before."""
    bench = Bench(replace(SIX, max_concurrency=10), slots=1)
    tasks = bench.start(6)
    await bench.clock.settle()
    await bench.slots.take()
    await bench.clock.advance(100)
    bench.provider.called_at.clear()
    bench.slots.give()
    more = bench.start(6)
    await bench.clock.advance(60.9)
    assert len(bench.provider.called_at) <= 6
    await bench.clock.advance(120)
    assert all(task.done() for task in [*tasks, *more])


async def test_a_refusal_slows_down_and_time_brings_it_back() -> None:
    bench = Bench(replace(POLICY, rate=RatePolicy(requests=60), max_concurrency=50))
    bench.provider.script = [ProviderRateLimited(retry_after=1.0)]
    await bench.clock.run(ask(bench))
    assert bench.guard.rate_factor == 0.5
    tasks = bench.start(100)
    await bench.clock.advance(30)
    slow = len(bench.provider.called_at)
    await bench.clock.advance(70)
    assert bench.guard.rate_factor == 1.0
    assert slow <= 24, "30 at half of the rate, which grows"
    assert all(task.done() for task in tasks[:60])
    await end(tasks)
    changes = [event.reason for event in bench.events if isinstance(event, RateChanged)]
    assert changes == ["throttled", "recovered"]


async def test_refusals_that_were_in_the_air_together_are_one() -> None:
    bench = Bench(replace(POLICY, rate=RatePolicy(requests=6_000)))
    bench.provider.script = [Later(1, ProviderRateLimited(retry_after=1.0)) for _ in range(4)]
    tasks = bench.start(4)
    await bench.clock.advance(1)
    assert bench.guard.rate_factor == 0.5
    await bench.clock.advance(10)
    assert all(task.done() for task in tasks)


class Silent(ScriptedProvider):
    """Takes so many in a minute, refuses the rest, and says no more than that."""

    def __init__(self, clock: ManualClock) -> None:
        super().__init__(clock)
        self.a_minute = 60
        self.taken: list[float] = []
        self.refused: list[float] = []

    async def complete(self, request: CompletionRequest) -> Completion:
        now = self.clock.monotonic()
        if sum(at > now - 60 for at in self.taken) >= self.a_minute:
            self.refused.append(now)
            raise ProviderRateLimited("429")
        self.taken.append(now)
        await self.clock.sleep(0.5)
        return await super().complete(request)


async def test_a_limit_that_nobody_tells_is_found_and_kept_near() -> None:
    bench = Bench(replace(POLICY, max_concurrency=20), make=Silent)
    provider = bench.provider
    assert isinstance(provider, Silent)
    start = bench.clock.monotonic()
    tasks = bench.start(1_600)
    await bench.clock.advance(1_200)
    late = [at for at in provider.refused if at > start + 300]
    answered = sum(at > start + 300 for at in provider.taken)
    assert len(late) <= 3 * 15, (
        "a few in each minute and a half, which is how long it takes to come back to where it was"
    )
    assert answered >= 15 * 60 * 0.85, "of 900"
    provider.a_minute = 100_000
    await bench.clock.advance(300)
    assert all(task.done() for task in tasks), "and when it takes more, it is asked more"
    assert bench.guard.rate_factor == 1.0


async def test_headers_are_kept_to() -> None:
    bench = Bench(make=CountingProvider)
    provider = counting(bench)
    provider.quota = Quota(requests_left=0, requests_reset_s=20.0)
    await ask(bench)
    provider.quota = Quota(requests_left=500, requests_reset_s=1.0)
    tasks = bench.start(20)
    await bench.clock.advance(19.9)
    assert provider.called_at == [0]
    await bench.clock.advance(0.2)
    assert all(task.done() for task in tasks), "and then as fast as before"


async def test_headers_of_a_refusal_are_kept_to() -> None:
    bench = Bench()
    refused = ProviderRateLimited()
    refused.quota = Quota(requests_limit=60, requests_left=0, requests_reset_s=33.0)
    bench.provider.script = [refused]
    await bench.clock.run(ask(bench))
    assert bench.provider.called_at == pytest.approx([0, 33.0])


async def test_tokens_are_estimated_and_settled() -> None:
    bench = Bench(replace(POLICY, rate=RatePolicy(tokens=60_000)), make=CountingProvider)
    provider = counting(bench)
    provider.usage = Usage(1_000, 0)
    # 10,000 tokens of prompt and the room for an answer: but 1,000 are what each takes.
    tasks = [asyncio.create_task(ask(bench, chars=30_000)) for _ in range(30)]
    await bench.clock.advance(61)
    assert all(task.done() for task in tasks)
    provider.usage = Usage()  # it does not say: the estimate stays
    start = len(provider.called_at)
    tasks = [asyncio.create_task(ask(bench, chars=30_000)) for _ in range(30)]
    await bench.clock.advance(60.9)
    assert len(provider.called_at) - start <= 5
    await end(tasks)


async def test_an_answer_has_its_price() -> None:
    prices = PriceTable.load(None).of("openai", ManualClock(), at_the_vendors=True)
    bench = Bench(replace(POLICY, prices=prices), make=CountingProvider)
    counting(bench).usage = Usage(1_000_000, 0)
    assert (await ask(bench, model="gpt-4o-mini")).cost == pytest.approx(0.15)
    assert (await ask(bench)).cost is None


async def test_a_refused_call_took_no_tokens_and_a_failed_one_what_was_thought() -> None:
    bench = Bench(replace(POLICY, rate=RatePolicy(tokens=12_000)))
    bench.provider.script = [ProviderRateLimited(retry_after=0.5)]
    await bench.clock.run(ask(bench, chars=30_000))
    assert bench.now <= 61, "the refused one is not counted, so that the second waits for the bucket alone"
    failed = Bench(replace(POLICY, rate=RatePolicy(tokens=12_000)))
    failed.provider.script = [ProviderServerError("500")]
    await failed.clock.run(ask(failed, chars=30_000))
    assert failed.provider.called_at[1] >= 61
