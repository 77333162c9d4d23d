from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import pytest

from llm_service.cli.watching.arrival import Arrival
from llm_service.cli.watching.fates import Fates
from llm_service.cli.watching.follow import Following
from llm_service.contract.status import Status
from llm_service.kafka.topics import StatusTopic
from tests.manual_clock import ManualClock

TOPIC = StatusTopic("statuses", 1, shared=False)


class EndOfScriptError(Exception):
    """More is asked for than the test wrote down."""


@dataclass
class Script:
    """A reader that gives what a test wrote down; each reading takes as long as it may."""

    clock: ManualClock
    readings: list[list[Arrival]]
    troubles: list[str | None] = field(default_factory=list)
    catches_up_after: int = 0
    topic: StatusTopic = TOPIC

    @property
    def caught_up(self) -> bool:
        return self.catches_up_after <= 0

    async def read(self, wait_s: float) -> Sequence[Arrival]:
        if not self.readings:
            raise EndOfScriptError
        self.clock._monotonic += wait_s
        self.catches_up_after -= 1
        return self.readings.pop(0)

    async def trouble(self) -> str | None:
        return self.troubles.pop(0) if self.troubles else None


@dataclass
class Shown:
    arrived_: list[Arrival] = field(default_factory=list)
    said: list[str] = field(default_factory=list)
    has_ended: bool = False

    def arrived(self, arrival: Arrival) -> None:
        self.arrived_.append(arrival)

    def pulse(self) -> None:
        """Nothing to write."""

    def talk(self, message: str) -> None:
        self.said.append(message)

    def ended(self, fates: Fates) -> None:
        self.has_ended = True

    def close(self) -> None:
        """Nothing to leave."""


def _of(task_id: str, status: int) -> Arrival:
    return Arrival(task_id, Status(status), {}, 0.0)


def _following(
    readings: list[list[Arrival]], *ids: str, timeout_s: float | None = None, catches_up_after: int = 0
) -> tuple[Following, Script, Shown]:
    clock, shown = ManualClock(), Shown()
    script = Script(clock, readings, catches_up_after=catches_up_after)
    return Following(script, shown, Fates(ids), clock, timeout_s, looks_back=True), script, shown


@pytest.mark.parametrize(("last", "code"), [(3, 0), (4, 1)])
async def test_it_ends_when_all_tasks_have(last: int, code: int) -> None:
    following, script, shown = _following([[_of("a", 2), _of("b", 3)], [], [_of("a", last)], []], "a", "b")
    assert await following.run() == code
    assert len(shown.arrived_) == 3
    assert shown.has_ended
    assert len(script.readings) == 1, "nothing more is read than is needed"


async def test_what_was_there_at_the_beginning_is_read_before_a_task_is_judged() -> None:
    following, _, _ = _following([[_of("a", 4)], [_of("a", 3)]], "a", catches_up_after=2)
    assert await following.run() == 0


async def test_what_has_no_end_in_time_is_named() -> None:
    following, _, shown = _following([[_of("a", 3), _of("b", 2)], *[[]] * 100], "a", "b", timeout_s=5)
    assert await following.run() == 1
    assert shown.said == ["no end within 5 s of b"]
    assert shown.has_ended


async def test_following_all_until_a_limit_is_no_failure() -> None:
    following, _, shown = _following([[_of("a", 4)], *[[]] * 100], timeout_s=5)
    assert await following.run() == 0
    assert shown.said == []


async def test_an_id_without_any_status_is_named_once() -> None:
    following, _, shown = _following([[], [], []], "a", catches_up_after=1)
    with pytest.raises(EndOfScriptError):
        await following.run()
    assert shown.said == ["statuses holds no status of a so far: waiting for one (Ctrl-C ends)"]


async def test_brokers_that_go_away_and_come_back_are_told_once_each() -> None:
    silence: list[list[Arrival]] = [[]] * 60
    following, script, shown = _following([*silence, [_of("a", 3)]], "a")
    script.troubles = [None, "no answer", "no answer", None]
    following.looks_back = False
    assert await following.run() == 0
    assert shown.said == ["no answer: waiting; nothing is lost meanwhile", "the brokers answer again"]
