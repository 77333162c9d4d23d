"""A model is asked slower when its provider says so, and faster again after; each model for itself."""

from __future__ import annotations

import pytest

from llm_service.resilience.budget import Left
from llm_service.resilience.rate import ModelRate, RatePolicy, Rates, RateState
from tests.manual_clock import ManualClock


class Bench:
    def __init__(self, policy: RatePolicy) -> None:
        self.clock = ManualClock()
        self.changes: list[RateState] = []
        self.rates = Rates(policy, self.clock, self.changes.append)

    @property
    def reasons(self) -> list[str]:
        return [change.reason for change in self.changes]

    async def begun_in(self, rate: ModelRate, seconds: float, tokens: float = 0.0) -> int:
        """How many calls go in so many seconds, when there is always one."""
        end, count = self.clock.monotonic() + seconds, 0
        while True:
            wait = rate.wait(tokens)
            if self.clock.monotonic() + wait > end:
                await self.clock.advance(end - self.clock.monotonic())
                return count
            if wait > 0:
                await self.clock.advance(wait)
                continue
            rate.begin(rate.take(tokens))
            count += 1


def limits(rate: ModelRate) -> tuple[float | None, float | None]:
    return rate.limits


def factor(rate: ModelRate) -> float:
    return rate.factor


async def test_a_refusal_halves_the_rate_and_a_minute_brings_it_back() -> None:
    bench = Bench(RatePolicy(requests=120))
    rate = bench.rates.of("small")
    await bench.begun_in(rate, 61)
    rate.throttled()
    assert limits(rate) == (60, None)
    assert bench.rates.factor == 0.5
    await bench.clock.advance(7.5)
    assert factor(rate) == 0.5 + 1 / 16
    await bench.begun_in(rate, 45)
    assert factor(rate) < 1
    await bench.begun_in(rate, 7.5)
    assert limits(rate) == (120, None)
    assert bench.reasons == ["throttled", "recovered"]
    assert await bench.begun_in(rate, 61) >= 110


async def test_what_goes_after_a_refusal_is_half_of_what_went_before() -> None:
    bench = Bench(RatePolicy(requests=600))
    rate = bench.rates.of("small")
    before = await bench.begun_in(rate, 610)
    rate.throttled()
    # The window remembers the whole rate; then half of it and what comes back.
    after = await bench.begun_in(rate, 61)
    assert before == pytest.approx(6_000, rel=0.05)
    assert after < 600 * 0.8


async def test_refusals_in_a_row_have_a_floor() -> None:
    bench = Bench(RatePolicy(requests=3))
    rate = bench.rates.of("small")
    for _ in range(20):
        rate.throttled()
    assert factor(rate) == 1 / 16
    assert limits(rate) == (1, None), "never slower than one a minute"
    await bench.clock.advance(120)
    assert factor(rate) == 1.0


async def refused_after(bench: Bench, rate: ModelRate, answers: int, seconds: float) -> None:
    """A refusal, so many answers in so many seconds, and another one."""
    rate.throttled()
    for _ in range(answers):
        rate.answered()
    await bench.clock.advance(seconds)
    rate.throttled()


async def test_without_a_limit_half_of_the_pace_between_two_refusals_is_asked_and_five_minutes_bring_all_back() -> (
    None
):
    bench = Bench(RatePolicy(share=0.5))
    rate = bench.rates.of("small")
    rate.throttled()
    assert limits(rate) == (None, None), "one refusal is the hold's business"
    await refused_after(bench, rate, 64, 30)
    assert limits(rate) == (64, None), "of 128 a minute, all of them ours"
    assert bench.rates.factor == 0.5
    assert rate.wait(0) == 0, "after the hold one may go at once"
    rate.begin(rate.take(0))
    assert rate.wait(0) == pytest.approx(60 / 64)
    await bench.clock.advance(60)
    assert limits(rate) == (128, None)
    assert bench.rates.factor == 1.0
    await bench.clock.advance(60)
    assert limits(rate) == (256, None)
    await bench.clock.advance(179)
    assert limits(rate) != (None, None)
    await bench.clock.advance(1)
    assert limits(rate) == (None, None)
    assert rate.wait(1_000_000) == 0
    assert rate.is_idle
    assert bench.reasons == ["throttled", "recovered"]
    assert bench.changes[-1].requests is None


@pytest.mark.parametrize(("answers", "seconds"), [(0, 5), (2, 5), (1_000, 121)])
async def test_of_refusals_far_between_and_of_few_answers_nothing_is_learned(
    answers: int, seconds: float
) -> None:
    bench = Bench(RatePolicy())
    rate = bench.rates.of("small")
    for _ in range(10):
        await refused_after(bench, rate, answers, seconds)
        await bench.clock.advance(121)
    assert limits(rate) == (None, None)
    assert bench.changes == []


async def test_what_was_learned_is_halved_again_only_when_it_was_asked_so() -> None:
    bench = Bench(RatePolicy())
    rate = bench.rates.of("small")
    await refused_after(bench, rate, 64, 30)
    for _ in range(5):
        await bench.clock.advance(15)
        rate.throttled()
    assert limits(rate) == (128 * 2**0.25, None), "an outage says nothing of how fast to ask after it"
    rate.answered()
    rate.throttled()
    assert limits(rate) == (64 * 2**0.25, None)
    await bench.clock.advance(300)
    assert limits(rate) == (None, None)


async def test_a_limit_that_is_named_takes_the_place_of_what_was_learned() -> None:
    bench = Bench(RatePolicy())
    rate = bench.rates.of("small")
    await refused_after(bench, rate, 64, 30)
    await bench.clock.advance(120)
    assert limits(rate) == (256, None)
    rate.told(Left(60, 59, 1.0), Left())
    assert limits(rate) == (60, None)
    rate.throttled()
    assert limits(rate) == (30, None)


async def test_who_waits_for_what_was_learned_is_not_told_more_than_is_sure() -> None:
    bench = Bench(RatePolicy())
    rate = bench.rates.of("small")
    await refused_after(bench, rate, 64, 30)
    assert rate.earliest(0, (100_000, 0.0)) == pytest.approx(300), "then it is forgotten"
    assert rate.earliest(0, (64, 0.0)) <= 64 / (16 * 128) * 60


async def test_tokens_and_requests_both_count() -> None:
    bench = Bench(RatePolicy(requests=600, tokens=6_000))
    rate = bench.rates.of("small")
    assert rate.counts_tokens
    assert await bench.begun_in(rate, 60, tokens=100) == 60
    assert rate.held_by(100) == "tokens"
    other = bench.rates.of("large")
    assert other.held_by(0) == "requests"
    assert other.wait(100) == 0, "each model has a minute of its own"


async def test_what_headers_say_is_kept_to_and_told_once() -> None:
    bench = Bench(RatePolicy(share=0.5))
    rate = bench.rates.of("small")
    for left in (59, 58, 57):
        rate.told(Left(60, left, 1.0), Left(40_000, 39_000, 1.0))
    assert limits(rate) == (30, 20_000)
    assert bench.changes == [RateState("small", 30, 20_000, "told")]
    rate.told(Left(60, 0, 30.0), Left())
    rate.told(Left(60, 0, 29.0), Left())
    assert bench.reasons == ["told", "little_left"]
    assert rate.wait(0) == pytest.approx(29.0)


async def test_whose_turn_surely_comes_late_is_known_before() -> None:
    bench = Bench(RatePolicy(requests=60))
    rate = bench.rates.of("small")
    for _ in range(6):
        rate.begin(rate.take(0))
    assert rate.earliest(0, (0, 0.0)) == pytest.approx(1.0)
    assert rate.earliest(0, (20, 0.0)) == pytest.approx(21.0)
    rate.throttled()
    assert rate.earliest(0, (20, 0.0)) <= 27, "it may be at its best again by then"


async def test_models_that_tasks_name_do_not_pile_up() -> None:
    bench = Bench(RatePolicy(requests=60))
    busy = bench.rates.of("busy")
    busy.begin(busy.take(0))
    for number in range(10_000):
        bench.rates.of(f"model-{number}")
    assert len(bench.rates._models) <= 51
    assert bench.rates.of("busy") is busy
