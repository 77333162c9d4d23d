"""The clock of the tests keeps its own promises."""

from __future__ import annotations

import asyncio

import pytest

from tests.manual_clock import START, ManualClock


async def test_sleepers_wake_in_the_order_in_which_they_are_due() -> None:
    clock = ManualClock()
    woken: list[tuple[str, float]] = []

    async def sleeper(name: str, seconds: float) -> None:
        await clock.sleep(seconds)
        woken.append((name, clock.monotonic()))

    async with asyncio.TaskGroup() as group:
        for name, seconds in (("late", 5.0), ("soon", 1.0), ("soon too", 1.0)):
            group.create_task(sleeper(name, seconds))
        await clock.advance(0.5)
        assert woken == []
        await clock.advance(10)
    assert woken == [("soon", 1_001.0), ("soon too", 1_001.0), ("late", 1_005.0)]
    assert clock.monotonic() == 1_010.5
    assert (clock.now() - START).total_seconds() == 10.5


async def test_a_sleep_begun_by_a_woken_one_is_due_within_the_same_advance() -> None:
    clock = ManualClock()
    ticks: list[float] = []

    async def ticker() -> None:
        for _ in range(3):
            await clock.sleep(1)
            ticks.append(clock.monotonic())

    task = asyncio.create_task(ticker())
    await clock.advance(3)
    assert task.done()
    assert ticks == [1_001.0, 1_002.0, 1_003.0]


async def test_a_cancelled_sleeper_is_forgotten() -> None:
    clock = ManualClock()
    task = asyncio.create_task(clock.sleep(1))
    await clock.settle()
    assert clock.sleepers == 1
    task.cancel()
    await clock.settle()
    assert clock.sleepers == 0
    await clock.advance(2)


async def test_run_gives_the_result_and_refuses_work_that_waits_for_something_else() -> None:
    clock = ManualClock()

    async def answer() -> int:
        await clock.sleep(60)
        return 42

    assert await clock.run(answer()) == 42
    with pytest.raises(AssertionError, match="not on this clock"):
        await clock.run(asyncio.Event().wait())
    with pytest.raises(AssertionError, match="not done after"):
        await clock.run(clock.sleep(10), limit=5)


async def test_a_jump_moves_the_wall_clock_only() -> None:
    clock = ManualClock()
    before = clock.monotonic()
    clock.jump(-3_600)
    assert clock.monotonic() == before
    assert (clock.now() - START).total_seconds() == -3_600
