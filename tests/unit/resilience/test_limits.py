"""The limit is kept, waiters are served in order, and a hold is a hold."""

from __future__ import annotations

import asyncio
import random

import pytest

from llm_service.resilience.limits import ConcurrencyLimit, Permit
from llm_service.resilience.retry import Backoff, RetryPolicy
from tests.manual_clock import ManualClock

BACKOFF = RetryPolicy(max_retries=0, initial_delay_s=4.0, max_delay_s=60.0)


class Bench:
    def __init__(self, limit: int) -> None:
        self.clock = ManualClock()
        self.limit = ConcurrencyLimit(limit, self.clock, Backoff(BACKOFF, random.Random(1)))
        self.served: list[int] = []

    def permit(self) -> Permit:
        permit = self.limit.try_acquire()
        assert permit is not None
        return permit

    async def waiter(self, number: int) -> Permit:
        permit = await self.limit.acquire()
        self.served.append(number)
        return permit

    def waiters(self, count: int) -> list[asyncio.Task[Permit]]:
        return [asyncio.create_task(self.waiter(number)) for number in range(count)]


async def test_never_more_than_the_limit_and_first_come_first_served() -> None:
    bench = Bench(2)
    first, second = bench.permit(), bench.permit()
    assert bench.limit.try_acquire() is None
    tasks = bench.waiters(3)
    await bench.clock.settle()
    assert bench.served == []
    bench.limit.release(first)
    await bench.clock.settle()
    assert bench.served == [0]
    bench.limit.release(second)
    bench.limit.release(await tasks[0])
    await bench.clock.settle()
    assert bench.served == [0, 1, 2]
    assert bench.limit.taken == 2


async def test_nobody_overtakes_those_who_wait() -> None:
    bench = Bench(1)
    permit = bench.permit()
    tasks = bench.waiters(1)
    await bench.clock.settle()
    bench.limit.release(permit)
    assert bench.limit.try_acquire() is None
    bench.limit.release(await tasks[0])
    assert bench.limit.try_acquire() is not None


async def test_nobody_overtakes_in_the_moment_a_hold_ends() -> None:
    bench = Bench(1)
    bench.limit.hold_until(bench.clock.monotonic() + 5)
    tasks = bench.waiters(1)
    await bench.clock.settle()
    bench.clock._monotonic += 5  # the hold is over, and who waits for its end has not run yet
    assert bench.limit.try_acquire() is None
    await _cancel(tasks)


async def test_a_cancelled_waiter_leaves_the_queue() -> None:
    bench = Bench(1)
    permit = bench.permit()
    tasks = bench.waiters(3)
    await bench.clock.settle()
    tasks[0].cancel()
    await bench.clock.settle()
    assert bench.limit.waiting == 2
    bench.limit.release(permit)
    await bench.clock.settle()
    assert bench.served == [1]
    tasks[2].cancel()


async def test_a_waiter_cancelled_before_it_ran_is_passed_over() -> None:
    bench = Bench(1)
    permit = bench.permit()
    tasks = bench.waiters(2)
    await bench.clock.settle()
    tasks[0].cancel()
    bench.limit.release(permit)  # the cancelled one has not run yet
    await bench.clock.settle()
    assert bench.served == [1]
    assert bench.limit.taken == 1


async def test_a_permit_given_in_the_moment_of_a_cancellation_goes_on_to_the_next() -> None:
    bench = Bench(1)
    permit = bench.permit()
    tasks = bench.waiters(2)
    await bench.clock.settle()
    bench.limit.release(permit)  # now tasks[0] holds it without having run
    tasks[0].cancel()
    await bench.clock.settle()
    assert tasks[0].cancelled()
    assert bench.served == [1]
    assert bench.limit.taken == 1


async def test_random_cancellations_lose_and_double_no_permit() -> None:
    rng = random.Random(7)
    bench = Bench(3)
    most = 0

    async def use() -> None:
        nonlocal most
        permit = await bench.limit.acquire()
        most = max(most, bench.limit.taken)
        try:
            await bench.clock.sleep(rng.choice([0.0, 1.0, 2.0]))
        finally:
            bench.limit.release(permit)

    tasks = [asyncio.create_task(use()) for _ in range(200)]
    for _ in range(150):
        await asyncio.sleep(0)
        rng.choice(tasks).cancel()
        if rng.random() < 0.3:
            await bench.clock.advance(1)
    await bench.clock.advance(200)
    assert all(task.done() for task in tasks)
    assert most == 3
    assert (bench.limit.taken, bench.limit.waiting) == (0, 0)


async def test_nothing_goes_during_a_hold_and_one_at_its_end() -> None:
    bench = Bench(4)
    bench.limit.throttled(permit := bench.permit(), 20.0)
    bench.limit.release(permit)
    bench.waiters(6)
    await bench.clock.advance(19.999)
    assert bench.served == []
    assert bench.limit.held_for() == pytest.approx(0.001)
    await bench.clock.advance(0.001)
    assert bench.served == [0]
    await bench.clock.advance(1_000)
    assert bench.served == [0], "one, until it has been answered"


async def test_after_a_hold_calls_come_back_one_more_for_each_answer() -> None:
    bench = Bench(4)
    bench.limit.throttled(permit := bench.permit(), 20.0)
    bench.limit.release(permit)
    tasks = bench.waiters(20)
    await bench.clock.advance(20)
    in_the_air = [len(bench.served)]
    finished = 0
    for _ in range(4):
        for number in range(finished, len(bench.served)):
            permit = await tasks[number]
            bench.limit.succeeded(permit)
            bench.limit.release(permit)
            finished += 1
        await bench.clock.settle()
        in_the_air.append(len(bench.served) - finished)
    assert in_the_air == [1, 2, 4, 4, 4]
    await _cancel(tasks)


async def test_a_hold_is_lengthened_but_never_cut_short() -> None:
    bench = Bench(1)
    start = bench.clock.monotonic()
    bench.limit.hold_until(start + 20)
    bench.limit.hold_until(start + 5)
    assert bench.limit.held_for() == 20
    bench.waiters(1)
    await bench.clock.advance(10)
    bench.limit.hold_until(start + 40)
    await bench.clock.advance(29.9)
    assert bench.served == []
    await bench.clock.advance(0.1)
    assert bench.served == [0]


async def test_holds_without_a_wish_grow_while_refusals_go_on_and_begin_anew_after_an_answer() -> None:
    bench = Bench(1)
    holds: list[float] = []

    async def refused() -> None:
        permit = await bench.limit.acquire()
        bench.limit.throttled(permit, None)
        bench.limit.release(permit)
        holds.append(bench.limit.held_for())
        await bench.clock.advance(bench.limit.held_for())

    for _ in range(7):
        await refused()
    for hold, step in zip(holds, [4, 8, 16, 32, 60, 60, 60], strict=True):
        assert step / 2 <= hold <= step
    permit = bench.permit()
    bench.limit.succeeded(permit)
    bench.limit.release(permit)
    await refused()
    assert 2 <= holds[-1] <= 4


async def test_a_wish_of_zero_is_no_wish() -> None:
    bench = Bench(1)
    bench.limit.throttled(bench.permit(), 0.0)
    assert bench.limit.held_for() >= 2


async def test_refusals_that_come_together_are_one_refusal() -> None:
    bench = Bench(10)
    permits = [bench.permit() for _ in range(10)]
    for permit in permits:
        bench.limit.throttled(permit, None)
    assert bench.limit.held_for() <= 4, "the first step, not the tenth"
    bench.limit.throttled(permits[3], 50.0)
    assert bench.limit.held_for() == 50, "a longer wish of the same wave is heard"


async def test_a_permit_from_before_a_hold_is_outdated() -> None:
    bench = Bench(2)
    old = bench.permit()
    assert bench.limit.is_current(old)
    bench.limit.hold_until(bench.clock.monotonic() + 1)
    assert not bench.limit.is_current(old)
    await bench.clock.advance(5)
    assert not bench.limit.is_current(old)
    bench.limit.succeeded(old)
    bench.limit.release(old)
    bench.permit()
    assert bench.limit.try_acquire() is None, (
        "an answer from before the hold does not speed up what comes after"
    )


async def test_closing_ends_the_timer() -> None:
    bench = Bench(1)
    bench.limit.hold_until(bench.clock.monotonic() + 100)
    tasks = bench.waiters(1)
    await bench.clock.settle()
    assert bench.clock.sleepers == 1
    await bench.limit.close()
    assert bench.clock.sleepers == 0
    await _cancel(tasks)


def test_a_limit_below_one_is_refused() -> None:
    with pytest.raises(ValueError, match="1 or more"):
        Bench(0)


async def _cancel(tasks: list[asyncio.Task[Permit]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
