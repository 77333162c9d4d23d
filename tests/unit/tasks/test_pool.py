"""Slots: never more than there are, none lost, and nobody overtaken without end."""

from __future__ import annotations

import asyncio
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llm_service.tasks.pool import PRIORITY_LIMIT, WorkerPool
from tests.manual_clock import ManualClock
from tests.unit.tasks.bench import Refused

HEAD_START_S = 30.0


class Crowd:
    """Tasks that want slots, and the order in which they get them."""

    def __init__(self, size: int, head_start_s: float = HEAD_START_S) -> None:
        self.clock = ManualClock()
        self.blocked: list[int] = []
        self.pool = WorkerPool(size, head_start_s, self.blocked.append)
        self.began: list[str] = []

    def want(self, name: str, priority: float = 0.0, work_s: float = 1.0) -> asyncio.Task[None]:
        return asyncio.create_task(self.work(name, priority, work_s))

    async def work(self, name: str, priority: float, work_s: float) -> None:
        async with self.pool.slot(self.clock.monotonic(), priority):
            self.began.append(name)
            await self.clock.sleep(work_s)

    def assert_empty(self) -> None:
        assert (self.pool.active, self.pool.waiting, self.pool.blocked) == (0, 0, 0)


async def test_at_most_so_many_work_at_once_and_each_free_slot_goes_to_the_next() -> None:
    crowd = Crowd(2)
    tasks = [crowd.want(name) for name in "abcde"]
    await crowd.clock.settle()
    assert (crowd.pool.active, crowd.pool.waiting) == (2, 3)
    await crowd.clock.advance(1.0)
    assert crowd.began == ["a", "b", "c", "d"]
    await crowd.clock.advance(2.0)
    await asyncio.gather(*tasks)
    assert crowd.began == list("abcde")
    crowd.assert_empty()


async def test_higher_priority_goes_first_and_equals_go_in_their_order() -> None:
    crowd = Crowd(1)
    tasks = [crowd.want("busy")]
    await crowd.clock.settle()
    tasks += [crowd.want(name, priority) for name, priority in [("low", -1), ("a", 0), ("b", 0), ("high", 1)]]
    await crowd.clock.advance(10.0)
    await asyncio.gather(*tasks)
    assert crowd.began == ["busy", "high", "a", "b", "low"]


@pytest.mark.parametrize("extreme", [1e300, float(PRIORITY_LIMIT)])
async def test_whoever_waits_is_overtaken_for_a_bounded_time_only(extreme: float) -> None:
    """The lowest of priorities among a stream of the highest, as many as the pool can take."""
    crowd = Crowd(1, head_start_s=2.0)
    bound = 2 * PRIORITY_LIMIT * 2.0
    tasks = [crowd.want("busy")]
    await crowd.clock.settle()
    tasks.append(crowd.want("patient", -extreme))
    for number in range(60):
        tasks.append(crowd.want(f"pushing {number}", extreme))
        await crowd.clock.advance(1.0)
        if "patient" in crowd.began:
            break
    assert bound - 2 <= crowd.clock.monotonic() - 1_000.0 <= bound + 2, "neither at once nor never"
    await crowd.clock.advance(200.0)
    await asyncio.gather(*tasks)
    crowd.assert_empty()


async def test_one_who_waits_for_something_else_gives_his_slot_up_and_takes_one_again() -> None:
    crowd = Crowd(1)
    order: list[str] = []

    async def pausing() -> None:
        async with crowd.pool.slot(crowd.clock.monotonic(), 0.0) as slot:
            async with slot.waiting():
                order.append("waits")
                assert crowd.pool.blocked == 1
                await crowd.clock.sleep(1.0)
            order.append("goes on")
            assert crowd.pool.active == 1

    pause = asyncio.create_task(pausing())
    await crowd.clock.settle()
    other = crowd.want("other", work_s=3.0)
    await crowd.clock.advance(2.0)
    assert (crowd.began, order) == (["other"], ["waits"]), "it waits for a slot until the other is done"
    await crowd.clock.advance(2.0)
    await asyncio.gather(pause, other)
    assert order == ["waits", "goes on"]
    assert crowd.blocked == [1, 0]
    crowd.assert_empty()


async def test_one_who_comes_back_keeps_his_place_in_the_line() -> None:
    crowd = Crowd(1)

    async def pausing() -> None:
        async with crowd.pool.slot(crowd.clock.monotonic(), 0.0) as slot:
            async with slot.waiting():
                await crowd.clock.sleep(1.0)
            crowd.began.append("back")

    pause = asyncio.create_task(pausing())
    await crowd.clock.advance(0.1)
    tasks = [crowd.want("busy", work_s=2.0), crowd.want("late")]
    await crowd.clock.advance(10.0)
    await asyncio.gather(pause, *tasks)
    assert crowd.began == ["busy", "back", "late"]


async def test_an_error_while_waiting_goes_on_with_the_slot_held_and_given_back_once() -> None:
    crowd = Crowd(1)

    async def refused() -> None:
        async with crowd.pool.slot(0.0, 0.0) as slot:
            try:
                async with slot.waiting():
                    raise Refused
            finally:
                assert (slot.held, crowd.pool.active) == (True, 1)

    with pytest.raises(Refused):
        await refused()
    crowd.assert_empty()


@pytest.mark.parametrize("moment", ["in line", "at work", "waiting", "coming back"])
async def test_a_cancellation_at_any_moment_leaks_no_slot(moment: str) -> None:
    crowd = Crowd(1)

    async def life() -> None:
        async with crowd.pool.slot(crowd.clock.monotonic(), 0.0) as slot:
            await crowd.clock.sleep(1.0)
            async with slot.waiting():
                await crowd.clock.sleep(1.0)

    before = crowd.want("before") if moment == "in line" else None
    await crowd.clock.settle()
    task = asyncio.create_task(life())
    await crowd.clock.advance({"in line": 0.5, "at work": 0.5, "waiting": 1.5, "coming back": 0.5}[moment])
    after = crowd.want("after", work_s=5.0)
    if moment == "coming back":
        await crowd.clock.advance(2.0)
        assert crowd.pool.waiting == 1
    task.cancel()
    await crowd.clock.settle()
    assert task.cancelled(), "at once, without waiting for a slot to end with"
    await crowd.clock.advance(10.0)
    await asyncio.gather(after, *([before] if before else []))
    assert "after" in crowd.began
    crowd.assert_empty()


async def test_a_slot_that_comes_in_the_moment_of_a_cancellation_is_given_on() -> None:
    crowd = Crowd(1)

    async def busy() -> None:
        async with crowd.pool.slot(crowd.clock.monotonic(), 0.0):
            await crowd.clock.sleep(1.0)
        unlucky.cancel()  # it has been given the slot just now, and has not run since

    holder = asyncio.create_task(busy())
    await crowd.clock.settle()
    unlucky = crowd.want("unlucky")
    after = crowd.want("after")
    await crowd.clock.advance(5.0)
    assert unlucky.cancelled()
    assert crowd.began == ["after"]
    await asyncio.gather(holder, after)
    crowd.assert_empty()


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32))
def test_whatever_happens_no_slot_is_lost_or_given_twice(seed: int) -> None:
    """Tasks of all priorities that work, wait, fail and are cancelled at any moment."""

    async def play() -> None:
        rng = random.Random(seed)
        size = rng.randint(1, 4)
        crowd = Crowd(size)
        working = most = 0

        async def step(seconds: float) -> None:
            nonlocal working, most
            working += 1
            most = max(most, working)
            try:
                await crowd.clock.sleep(seconds)
            finally:
                working -= 1

        async def life() -> None:
            async with crowd.pool.slot(crowd.clock.monotonic(), rng.uniform(-12, 12)) as slot:
                for _ in range(rng.randint(1, 4)):
                    await step(rng.choice([0.0, 0.5, 1.0]))
                    if rng.random() < 0.5:
                        async with slot.waiting():
                            await crowd.clock.sleep(rng.choice([0.0, 0.5, 1.0]))
                            if rng.random() < 0.1:
                                raise Refused
                if rng.random() < 0.1:
                    raise Refused

        tasks: list[asyncio.Task[None]] = []
        cancelled: set[asyncio.Task[None]] = set()
        for _ in range(60):
            if rng.random() < 0.7:
                tasks.append(asyncio.create_task(life()))
            elif tasks:
                victim = rng.choice(tasks)
                victim.cancel()
                cancelled.add(victim)
            if rng.random() < 0.5:
                await crowd.clock.advance(rng.choice([0.0, 0.25, 0.5]))
            assert crowd.pool.active <= size
        await crowd.clock.advance(1_000.0)
        ends = await asyncio.gather(*tasks, return_exceptions=True)
        for task, end in zip(tasks, ends, strict=True):
            assert end is None or isinstance(end, Refused) or task in cancelled
        assert most <= size
        crowd.assert_empty()

    asyncio.run(play())
