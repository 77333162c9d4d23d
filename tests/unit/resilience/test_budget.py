"""What goes in a minute stays within the limit, in whichever minute one looks, and comes evenly."""

from __future__ import annotations

import random
from itertools import pairwise

import pytest

from llm_service.resilience.budget import MINUTE_S, WINDOW_S, Budget, Left, Taken
from tests.manual_clock import ManualClock


class Bench:
    def __init__(self, limit: float | None, share: float = 1.0) -> None:
        self.clock = ManualClock()
        self.budget = Budget(self.clock, limit, share)
        self.begun: list[float] = []

    async def go(self, amount: float = 1.0) -> Taken:
        """Wait for its turn, and begin."""
        while (seconds := self.budget.wait(amount)) > 0:
            await self.clock.advance(seconds)
        taken = self.budget.take(amount)
        self.budget.begin(taken)
        self.begun.append(self.clock.monotonic())
        return taken

    def most_in(self, span: float) -> int:
        """Begun in any such span."""
        return max(sum(at <= other < at + span for other in self.begun) for at in self.begun)


@pytest.mark.parametrize("limit", [1, 3, 17, 60, 500])
async def test_no_minute_has_more_than_the_limit_and_none_is_wasted(limit: int) -> None:
    bench = Bench(limit)
    for _ in range(limit * 4):
        await bench.go()
    assert bench.most_in(WINDOW_S - 0.001) == limit
    took = bench.begun[-1] - bench.begun[0]
    # One unit less than four windows' worth, and what was saved up at the beginning.
    assert took <= 4 * WINDOW_S


async def test_it_comes_evenly_after_what_was_saved_up() -> None:
    bench = Bench(60)
    for _ in range(30):
        await bench.go()
    gaps = [later - earlier for earlier, later in pairwise(bench.begun)]
    assert gaps[:5] == [0.0] * 5
    assert gaps[5:] == pytest.approx([1.0] * 24)


async def test_an_idle_minute_saves_up_no_more_than_a_tenth() -> None:
    bench = Bench(60)
    await bench.clock.advance(3_600)
    for _ in range(7):
        await bench.go()
    assert bench.begun[5] == bench.begun[0]
    assert bench.begun[6] - bench.begun[5] == pytest.approx(1.0)


async def test_a_share_is_a_share() -> None:
    bench = Bench(60, share=0.25)
    for _ in range(40):
        await bench.go()
    assert bench.most_in(MINUTE_S) == 15


async def test_what_is_about_to_begin_counts_until_it_does_and_a_minute_after() -> None:
    """A permit may wait for a slot; the provider counts from the call."""
    bench = Bench(2)
    first, second = bench.budget.take(1), None
    await bench.clock.advance(30)
    second = bench.budget.take(1)
    await bench.clock.advance(500)
    assert bench.budget.wait(1) > 0
    bench.budget.begin(first)
    await bench.clock.advance(20)
    bench.budget.begin(second)
    await bench.clock.advance(WINDOW_S - 20 - 0.01)
    assert bench.budget.wait(1) > 0
    await bench.clock.advance(0.02)
    assert bench.budget.wait(1) == 0


async def test_a_call_that_was_never_made_gives_its_place_back() -> None:
    bench = Bench(1)
    taken = bench.budget.take(1)
    assert bench.budget.wait(1) > 0
    bench.budget.give_back(taken)
    assert bench.budget.wait(1) == 0
    assert bench.budget.is_idle


async def test_tokens_are_settled_with_what_a_call_took() -> None:
    bench = Bench(1_000)
    taken = await bench.go(900)
    assert bench.budget.wait(500) > 50
    bench.budget.settle(taken, 50)
    assert bench.budget.wait(50) == 0
    await bench.go(50)
    more = await bench.go(100)
    bench.budget.settle(more, 900)
    assert bench.budget.wait(1) > 45, "it took more than was thought, and that is owed"
    await bench.clock.advance(WINDOW_S)
    bench.budget.settle(more, 10)  # late: it is out of the window already
    assert bench.budget.wait(100) == 0


async def test_more_than_the_limit_goes_alone() -> None:
    bench = Bench(100)
    await bench.go(40)
    await bench.go(5_000)
    assert bench.begun[1] - bench.begun[0] == pytest.approx(WINDOW_S)
    await bench.go(10)
    assert bench.begun[2] - bench.begun[1] >= WINDOW_S


async def test_random_loads_never_exceed_the_limit() -> None:
    rng = random.Random(7)
    bench = Bench(1_000)
    amounts = []
    for _ in range(300):
        await bench.clock.advance(rng.choice([0, 0, 0.5, 4]))
        amount = rng.randint(1, 200)
        amounts.append(amount)
        await bench.go(amount)
    for start in bench.begun:
        inside = [
            amount
            for at, amount in zip(bench.begun, amounts, strict=True)
            if start <= at < start + WINDOW_S - 0.001
        ]
        assert sum(inside) <= 1_000


# --- headers ----------------------------------------------------------------------------------------


async def test_without_a_limit_nothing_waits_and_nothing_is_kept() -> None:
    bench = Bench(None)
    for _ in range(1_000):
        await bench.go()
    assert len(set(bench.begun)) == 1
    assert bench.budget.is_idle


async def test_a_limit_that_headers_name_is_kept_to_and_the_lower_one_wins() -> None:
    bench = Bench(None, share=0.5)
    bench.budget.told(Left(limit=40))
    assert bench.budget.limit == 20
    configured = Bench(10)
    configured.budget.told(Left(limit=40))
    assert configured.budget.limit == 10
    configured.budget.told(Left(limit=4))
    assert configured.budget.limit == 4


async def test_nothing_left_is_waited_out_and_then_it_goes_as_before() -> None:
    bench = Bench(None)
    bench.budget.told(Left(left=0, reset_s=12))
    await bench.go()
    await bench.go()
    assert bench.begun == [1_012.0, 1_012.0]


async def test_little_left_is_spread_until_there_is_more() -> None:
    bench = Bench(600)
    bench.budget.told(Left(limit=600, left=5, reset_s=20))
    for _ in range(6):
        await bench.go()
    assert bench.begun == [1_004.0, 1_008.0, 1_012.0, 1_016.0, 1_020.0, 1_020.0]


async def test_answers_that_say_the_same_meanwhile_do_not_put_it_off() -> None:
    bench = Bench(600)
    bench.budget.told(Left(limit=600, left=5, reset_s=20))
    await bench.clock.advance(3)
    bench.budget.told(Left(limit=600, left=5, reset_s=17))
    assert bench.budget.wait(1) == pytest.approx(1.0)


async def test_plenty_left_ends_the_spreading() -> None:
    bench = Bench(600)
    bench.budget.told(Left(limit=600, left=0, reset_s=60))
    assert bench.budget.wait(1) == pytest.approx(60)
    bench.budget.told(Left(limit=600, left=400, reset_s=20))
    assert bench.budget.wait(1) == 0


async def test_a_days_limit_is_asked_again_after_a_minute() -> None:
    bench = Bench(None)
    bench.budget.told(Left(left=0, reset_s=3_600))
    assert bench.budget.wait(1) == pytest.approx(MINUTE_S)
