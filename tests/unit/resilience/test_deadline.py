"""Limits of time cancel what takes too long, and nothing else turns into their error."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from llm_service.errors import DeadlineExceeded, ProviderTimeout
from llm_service.resilience.deadline import Deadline, TimeLimit
from tests.manual_clock import START, ManualClock


async def sleep_within(clock: ManualClock, deadline: Deadline, seconds: float) -> str:
    async with deadline.limit(clock):
        await clock.sleep(seconds)
        return "done"


async def test_work_that_ends_in_time_keeps_its_result_and_leaves_no_timer() -> None:
    clock = ManualClock()
    assert await clock.run(sleep_within(clock, Deadline.after(clock, 5), 4)) == "done"
    await clock.settle()
    assert clock.sleepers == 0


async def test_work_is_cancelled_at_the_deadline_and_not_before() -> None:
    clock = ManualClock()
    task = asyncio.create_task(sleep_within(clock, Deadline.after(clock, 5), 60))
    await clock.advance(4.999)
    assert not task.done()
    await clock.advance(0.001)
    with pytest.raises(DeadlineExceeded):
        await task
    assert clock.monotonic() == 1_005.0


async def test_a_passed_deadline_lets_nothing_begin() -> None:
    clock = ManualClock()
    with pytest.raises(DeadlineExceeded):
        await sleep_within(clock, Deadline(clock.monotonic()), 1)
    assert clock.sleepers == 0


async def test_no_deadline_is_no_limit() -> None:
    clock = ManualClock()
    assert await clock.run(sleep_within(clock, Deadline(None), 1_000)) == "done"
    assert Deadline(None).remaining(clock) is None
    assert not Deadline(None).expired(clock)


async def test_a_cancellation_from_outside_stays_one() -> None:
    clock = ManualClock()
    task = asyncio.create_task(sleep_within(clock, Deadline.after(clock, 5), 60))
    await clock.settle()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_a_cancellation_in_the_same_moment_as_the_deadline_stays_one() -> None:
    clock = ManualClock()
    task = asyncio.create_task(sleep_within(clock, Deadline.after(clock, 5), 60))
    await clock.settle()

    async def cancel_at_five() -> None:
        await clock.sleep(5)
        task.cancel()

    canceller = asyncio.create_task(cancel_at_five())
    # Not by advance(): both must be woken in one turn of the loop.
    await clock.settle()
    clock._monotonic += 5
    for due, _, waiter in clock._sleepers:
        if due == clock.monotonic():
            waiter.set_result(None)
    with pytest.raises(asyncio.CancelledError):
        await task
    await canceller


async def test_an_error_of_the_work_passes_through() -> None:
    clock = ManualClock()
    with pytest.raises(ZeroDivisionError):
        async with Deadline.after(clock, 5).limit(clock):
            raise ZeroDivisionError


async def test_the_inner_of_two_limits_speaks_for_itself_and_the_outer_for_both() -> None:
    clock = ManualClock()

    async def nested(outer_s: float, inner_s: float) -> None:
        outer = Deadline.after(clock, outer_s).limit(clock)
        async with outer, TimeLimit(clock, clock.monotonic() + inner_s, ProviderTimeout):
            await clock.sleep(60)

    with pytest.raises(ProviderTimeout):
        await clock.run(nested(outer_s=10, inner_s=5))
    with pytest.raises(DeadlineExceeded):
        await clock.run(nested(outer_s=5, inner_s=10))
    with pytest.raises((DeadlineExceeded, ProviderTimeout)):
        await clock.run(nested(outer_s=5, inner_s=5))


async def test_after_a_limit_has_fired_the_task_can_be_cancelled_as_ever() -> None:
    clock = ManualClock()

    async def recovers() -> int:
        try:
            await sleep_within(clock, Deadline.after(clock, 1), 60)
        except DeadlineExceeded:
            task = asyncio.current_task()
            assert task is not None
            return task.cancelling()
        return -1

    assert await clock.run(recovers()) == 0


async def test_a_timer_that_wakes_early_does_not_fire_early() -> None:
    class Hasty(ManualClock):
        async def sleep(self, seconds: float) -> None:
            await super().sleep(seconds / 2 if seconds > 0.01 else seconds)

    clock = Hasty()
    deadline = Deadline.after(clock, 8)

    async def forever() -> None:
        async with deadline.limit(clock):
            await asyncio.Event().wait()

    with pytest.raises(DeadlineExceeded):
        await clock.run(forever())
    assert deadline.expired(clock)


def test_a_wall_clock_deadline_is_moved_by_no_later_jump() -> None:
    clock = ManualClock()
    deadline = Deadline.until(clock, START + timedelta(seconds=30))
    clock.jump(3_600)
    assert deadline.remaining(clock) == 30
    assert Deadline.until(clock, None) == Deadline(None)
    assert Deadline.until(clock, datetime(2020, 1, 1, tzinfo=UTC)).expired(clock)
