"""The task's deadline ends whatever the task is doing, and only it ends an outage."""

from __future__ import annotations

import asyncio

import pytest

from llm_service.errors import (
    DeadlineExceeded,
    ProviderRateLimited,
    ProviderServerError,
    ProviderUnavailable,
)
from llm_service.providers.protocol import Completion, CompletionRequest
from llm_service.resilience.deadline import Deadline
from tests.unit.providers_guard.scripted import Bench, end


async def test_a_passed_deadline_makes_no_call() -> None:
    bench = Bench()
    with pytest.raises(DeadlineExceeded):
        await bench.complete(within=0)
    assert bench.provider.called_at == []


async def test_a_call_in_progress_is_cancelled_at_the_deadline_and_is_no_failure_of_the_provider() -> None:
    bench = Bench()
    bench.provider.always = 60.0
    for _ in range(5):
        started = bench.now
        with pytest.raises(DeadlineExceeded):
            await bench.clock.run(bench.complete(within=7))
        assert bench.now - started == 7
    assert bench.provider.cancelled == 5
    assert bench.codes == ["deadline_exceeded"] * 5
    assert bench.states == []
    bench.assert_nothing_is_held()


async def test_a_backoff_ends_at_the_deadline() -> None:
    bench = Bench()
    bench.provider.always = ProviderUnavailable("connection refused", retry_after=500.0)
    with pytest.raises(DeadlineExceeded, match="connection refused"):
        await bench.clock.run(bench.complete(within=20))
    assert bench.now == 20
    assert len(bench.provider.called_at) == 1


async def test_a_hold_ends_at_the_deadline_however_huge_the_wish() -> None:
    bench = Bench()
    bench.provider.always = ProviderRateLimited("slow down", retry_after=1e12)
    with pytest.raises(DeadlineExceeded, match="slow down"):
        await bench.clock.run(bench.complete(within=60))
    assert bench.now == 60
    assert len(bench.provider.called_at) == 1


async def test_waiting_for_a_permit_ends_at_the_deadline() -> None:
    bench = Bench()
    bench.provider.always = 90.0
    tasks = bench.start(4)
    await bench.clock.settle()
    with pytest.raises(DeadlineExceeded):
        await bench.clock.run(bench.complete(within=5))
    assert bench.now == 5
    assert len(bench.provider.called_at) == 4
    await end(tasks)


async def test_waiting_for_an_open_breaker_ends_at_the_deadline_and_says_what_was_wrong() -> None:
    bench = Bench()
    await bench.trip(ProviderUnavailable("connection refused"))
    bench.provider.healthy = ProviderUnavailable("still refused")
    with pytest.raises(DeadlineExceeded, match="refused"):
        await bench.clock.run(bench.complete(within=200))
    with pytest.raises(DeadlineExceeded, match="refused"):
        await bench.clock.run(bench.guard.wait_ready(Deadline.after(bench.clock, 50)))
    assert bench.provider.called_at == []
    bench.assert_nothing_is_held()


async def test_waiting_for_the_slot_to_come_back_ends_at_the_deadline() -> None:
    bench = Bench(slots=1)
    bench.provider.script = [ProviderServerError()]
    task = bench.start(within=30)[0]
    await bench.clock.settle()
    await bench.slots.take()  # another task has the slot, and keeps it
    await bench.clock.advance(29)
    assert not task.done()
    await bench.clock.advance(1)
    with pytest.raises(DeadlineExceeded):
        await task
    assert bench.guard.in_progress == 0
    assert bench.slots.held == 1


async def test_a_provider_that_swallows_the_deadline_gets_no_other_call() -> None:
    bench = Bench()
    calls = 0

    async def complete(request: CompletionRequest) -> Completion:
        nonlocal calls
        calls += 1
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            raise ProviderUnavailable("connection lost") from None
        raise AssertionError

    bench.provider.complete = complete  # type: ignore[method-assign]
    with pytest.raises(DeadlineExceeded, match="connection lost"):
        await bench.clock.run(bench.complete(within=10))
    assert calls == 1


async def test_an_answer_in_time_leaves_no_timers() -> None:
    bench = Bench()
    await bench.complete(within=1_000)
    await bench.clock.settle()
    assert bench.clock.sleepers == 0
