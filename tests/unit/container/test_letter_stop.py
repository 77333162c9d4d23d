"""The stop: no tasks from the limit on, told with the command, and on again when the word has come."""

from __future__ import annotations

import asyncio

from llm_service import events
from llm_service.container.letter_stop import RESUME_COMMAND, LetterStop
from llm_service.errors import DependencyUnavailable
from llm_service.tasks.brake import BrakePolicy
from tests.manual_clock import ManualClock

REF = events.TaskRef("t", "r", "tasks", 0, 1)


class FakeCalls:
    """The word comes when the test says so."""

    def __init__(self) -> None:
        self.word = False
        self.away = False
        self.begun = self.closed = False

    def begin(self) -> None:
        self.begun = True

    def came(self) -> bool:
        if self.away:
            raise DependencyUnavailable("away")
        return self.word

    def close(self) -> None:
        self.closed = True


def settled(*, dead_letter: bool) -> events.TaskSettled:
    return events.TaskSettled(
        REF, 4, "model_not_found", "", "gigachat", "", 1.0, None, None, dead_letter=dead_letter
    )


class Bench:
    def __init__(self) -> None:
        self.calls = FakeCalls()
        self.halts: list[bool] = []
        self.seen: list[events.Event] = []
        self.clock = ManualClock()
        self.stop = LetterStop(
            BrakePolicy(3, 0, 10), lambda: self.calls, self.halts.append, self.clock, self.seen.append
        )

    def why(self) -> str | None:
        return self.stop.reason

    async def until(self, count: int) -> None:
        """Threads are real here: the clock is moved on until so many events were seen."""
        async with asyncio.timeout(10):
            while len(self.seen) < count:
                await self.clock.advance(1.0)
                await asyncio.sleep(0.005)


async def test_it_stops_at_the_limit_says_the_command_and_goes_on_by_the_word() -> None:
    bench = Bench()
    for is_letter in (True, True, False, True, True):
        bench.stop(settled(dead_letter=is_letter))
    assert bench.halts == []
    bench.stop(settled(dead_letter=True))
    assert bench.halts == [True]
    assert (bench.why() or "").endswith(f"run: {RESUME_COMMAND}")
    await bench.until(1)
    stopped = bench.seen[0]
    assert isinstance(stopped, events.ConsumptionStopped)
    assert stopped.command == RESUME_COMMAND
    assert bench.calls.begun
    for _ in range(10):
        bench.stop(settled(dead_letter=True))
    bench.calls.word = True
    await bench.until(2)
    assert isinstance(bench.seen[1], events.ConsumptionResumed)
    assert bench.halts == [True, False]
    assert bench.why() is None
    bench.stop(settled(dead_letter=True))
    assert bench.why() is None, "it counts anew"
    await bench.stop.close()


async def test_brokers_that_are_away_are_told_and_asked_again() -> None:
    bench = Bench()
    bench.calls.away = True
    for _ in range(3):
        bench.stop(settled(dead_letter=True))
    await bench.until(2)
    assert isinstance(bench.seen[1], events.Trouble)
    bench.calls.away, bench.calls.word = False, True
    await bench.until(3)
    assert bench.halts[-1] is False
    await bench.stop.close()


async def test_a_worker_that_ends_while_it_stands_leaves_nothing_running() -> None:
    bench = Bench()
    for _ in range(3):
        bench.stop(settled(dead_letter=True))
    await bench.until(1)
    await bench.stop.close()
    async with asyncio.timeout(5):
        while not bench.calls.closed:  # noqa: ASYNC110 -- by a thread
            await asyncio.sleep(0.005)
    assert bench.halts == [True]
