"""Slots and permits together: nobody waits for ever, and a pass from before a hold is not used after it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from llm_service.errors import ProviderRateLimited, ProviderServerError, ProviderUnavailable
from llm_service.resilience.breaker import BreakerPolicy
from tests.unit.providers_guard.scripted import POLICY, Bench, Later, end

ONE_CALL = replace(POLICY, max_concurrency=1)


@pytest.mark.parametrize("slots", [1, 2, 7])
async def test_one_permit_and_few_slots_serve_fifty_tasks(slots: int) -> None:
    bench = Bench(ONE_CALL, slots=slots)
    bench.provider.always = 1.0
    tasks = bench.start(50)
    await bench.clock.advance(50)
    assert all(task.done() for task in tasks)
    assert bench.provider.most_in_progress == 1
    bench.assert_nothing_is_held()


@pytest.mark.parametrize("seed", range(5))
async def test_one_permit_one_slot_and_every_kind_of_wait_between(seed: int) -> None:
    bench = Bench(ONE_CALL, slots=1, seed=seed)
    trouble = [ProviderUnavailable(), ProviderServerError(), ProviderRateLimited(retry_after=3.0)]
    bench.provider.always = 0.5
    bench.provider.script = [error for pair in zip(trouble * 6, [0.5] * 18, strict=True) for error in pair]
    tasks = bench.start(50)
    await bench.clock.advance(2_000)
    assert all(task.done() and task.exception() is None for task in tasks)
    assert bench.provider.most_in_progress == 1
    bench.assert_nothing_is_held()


async def test_a_task_that_waits_for_a_permit_lets_others_have_its_slot() -> None:
    bench = Bench(ONE_CALL, slots=2)
    bench.provider.always = 60.0
    tasks = bench.start(5)
    await bench.clock.settle()
    assert bench.slots.held == 1, "only the one that calls"
    await end(tasks)


async def test_a_pass_that_a_hold_outdates_while_the_slot_is_away_is_not_used() -> None:
    bench = Bench(replace(POLICY, max_concurrency=2), slots=2)
    bench.provider.script = [ProviderServerError("500"), Later(10, ProviderRateLimited(retry_after=60.0))]
    first, second = bench.start(2)
    await bench.clock.settle()
    await bench.slots.take()  # the first waits for its retry, and does not get its slot back
    await bench.clock.advance(9.9)
    assert bench.guard.in_progress == 2, "the first has its pass and waits for a slot, the second calls"
    await bench.clock.advance(60)
    assert bench.provider.called_at == [0, 0], "the slot came at 10, and with it the hold"
    await bench.clock.advance(10)
    assert bench.provider.called_at == [0, 0, 70, 70]
    assert first.done()
    assert second.done()


async def test_a_pass_that_the_breaker_outdates_while_the_slot_is_away_is_not_used() -> None:
    bench = Bench(replace(POLICY, breaker=BreakerPolicy(2, 30.0), max_concurrency=2), slots=2)
    bench.provider.script = [ProviderServerError("500"), Later(10, ProviderServerError("500"))]
    tasks = bench.start(2)
    await bench.clock.settle()
    await bench.slots.take()
    await bench.clock.advance(39.9)
    assert bench.guard.state == "open"
    assert bench.provider.called_at == [0, 0]
    await bench.clock.advance(10)
    assert bench.provider.states[2:] == ["half_open", "closed"]
    assert all(task.done() for task in tasks)
