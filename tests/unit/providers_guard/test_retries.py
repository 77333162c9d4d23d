"""Which failures are repeated, how often, and what the caller gets in the end."""

from __future__ import annotations

import asyncio

import pytest

from llm_service.errors import (
    ContentFiltered,
    ContextTooLong,
    ModelNotFound,
    ProviderAnswerInvalid,
    ProviderError,
    ProviderServerError,
    ProviderStreamCut,
    ProviderTimeout,
    ProviderUnavailable,
    RequestRejected,
)
from llm_service.events import ProviderCalled
from tests.unit.providers_guard.scripted import Bench, end


async def test_an_answer_comes_back_as_it_is_without_giving_up_the_slot() -> None:
    bench = Bench(slots=1)
    bench.provider.always = 2.0
    tasks = bench.start()
    await bench.clock.advance(1)
    assert bench.slots.held == 1
    await bench.clock.advance(1)
    assert (await tasks[0]).text == "answer"
    assert bench.events == [ProviderCalled("scripted", "scripted-1", "success", 2.0, queue_s=0.0)]
    bench.assert_nothing_is_held()


@pytest.mark.parametrize(
    "kind", [ProviderServerError, ProviderTimeout, ProviderStreamCut, ProviderAnswerInvalid]
)
async def test_a_spent_failure_costs_at_most_one_call_and_its_retries(kind: type[ProviderError]) -> None:
    bench = Bench()
    last = kind("the third")
    bench.provider.script = [kind("the first"), kind("the second"), last]
    with pytest.raises(kind) as raised:
        await bench.clock.run(bench.complete())
    assert raised.value is last
    assert bench.codes == [kind.code] * 3
    assert [event.code for event in bench.retries] == [kind.code] * 2
    bench.assert_nothing_is_held()


async def test_a_retry_that_works_is_an_answer() -> None:
    bench = Bench()
    bench.provider.script = [ProviderServerError(), ProviderStreamCut()]
    assert (await bench.clock.run(bench.complete())).text == "answer"
    assert bench.codes == ["provider_server_error", "provider_stream_cut", "success"]


async def test_delays_are_jittered_steps_and_slept_outside_the_slot() -> None:
    bench = Bench(slots=1)
    bench.provider.script = [ProviderServerError(), ProviderServerError()]
    tasks = bench.start()
    await bench.clock.settle()
    assert bench.slots.held == 0
    await bench.clock.advance(100)
    await tasks[0]
    first, second = (event.delay_s for event in bench.retries)
    assert 0 <= first <= 1
    assert 0 <= second <= 2
    assert bench.provider.called_at == pytest.approx([0, first, first + second])


async def test_retry_after_of_an_unavailable_provider_is_honoured() -> None:
    bench = Bench()
    bench.provider.script = [ProviderUnavailable("back soon", retry_after=17.0)]
    await bench.clock.run(bench.complete())
    assert bench.provider.called_at == [0, 17.0]


@pytest.mark.parametrize(
    "error",
    [RequestRejected("400"), ModelNotFound("404"), ContextTooLong("422"), ContentFiltered("filtered")],
)
async def test_what_no_repetition_can_help_is_raised_at_once_and_never_trips(error: ProviderError) -> None:
    bench = Bench()
    bench.provider.always = error
    for _ in range(20):
        with pytest.raises(type(error)):
            await bench.complete()
    assert len(bench.provider.called_at) == 20
    assert bench.states == []
    assert bench.retries == []


async def test_a_bug_in_a_provider_is_named_by_its_kind_alone_and_not_repeated() -> None:
    bench = Bench()
    bench.provider.always = KeyError("Authorization: Bearer s3cret")
    with pytest.raises(ProviderError) as raised:
        await bench.complete()
    assert raised.value.code == "provider_error"
    assert "KeyError" in raised.value.message
    assert "s3cret" not in raised.value.message
    assert raised.value.__suppress_context__
    assert bench.codes == ["provider_error"]
    bench.assert_nothing_is_held()


async def test_a_cancellation_that_nobody_asked_for_is_a_bug_of_the_provider() -> None:
    bench = Bench()
    bench.provider.always = asyncio.CancelledError()
    with pytest.raises(ProviderError, match="cancellation of its own"):
        await bench.complete()
    bench.assert_nothing_is_held()


async def test_a_cancellation_reaches_the_provider_frees_everything_and_counts_for_nothing() -> None:
    bench = Bench()
    bench.provider.always = 50.0
    for _ in range(10):
        tasks = bench.start()
        await bench.clock.advance(1)
        await end(tasks)
        assert tasks[0].cancelled()
    assert bench.provider.cancelled == 10
    assert bench.codes == ["cancelled"] * 10
    assert bench.states == []
    bench.assert_nothing_is_held()


async def test_a_call_that_takes_too_long_is_cancelled_and_counts_as_a_timeout() -> None:
    bench = Bench()
    bench.provider.script = [1_000.0]
    assert (await bench.clock.run(bench.complete())).text == "answer"
    assert bench.codes == ["provider_timeout", "success"]
    assert bench.provider.cancelled == 1
    assert bench.provider.called_at[1] >= 100


async def test_timeouts_trip_the_breaker() -> None:
    bench = Bench()
    bench.provider.script = [1_000.0] * 3
    tasks = bench.start(3)
    await bench.clock.advance(100)
    assert bench.states == ["open"]
    await end(tasks)
