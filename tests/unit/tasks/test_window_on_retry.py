"""Ids that wait on the retry topic: a repeat is answered by them while it is certain that they do, the task itself runs."""

from __future__ import annotations

import asyncio

import pytest

from llm_service.tasks import window as window_module
from llm_service.tasks.window import Answered, Claimed, DedupWindow, Elsewhere, OnRetry, Place, Repeat
from tests.unit.tasks.test_window import FIRST, SECOND, finished


class Rig:
    """A window on a clock that the test moves."""

    def __init__(self) -> None:
        self.now = 100.0
        self.window = DedupWindow(10, lambda: self.now)

    def park(self, name: str, *, place: Place = FIRST, round_: int = 1, until: float = 110.0) -> OnRetry:
        assert isinstance(self.window.admit(name, place, "a", round_), Claimed)
        waiting = OnRetry(place, "a", round_, until)
        self.window.park(name, waiting)
        return waiting


@pytest.fixture
def rig() -> Rig:
    return Rig()


async def test_who_claims_knows_what_and_where_and_nobody_is_told_an_end_yet(rig: Rig) -> None:
    claimed = rig.window.admit("id", FIRST, "a")
    assert isinstance(claimed, Claimed)
    assert (claimed.flight.place, claimed.flight.digest) == (FIRST, "a")
    assert not claimed.flight.ended.done()


async def test_one_that_goes_round_ends_the_wait_of_its_repeats_and_leaves_the_flight(rig: Rig) -> None:
    rig.window.admit("id", FIRST, "a")
    repeat = rig.window.admit("id", SECOND, "a")
    assert isinstance(repeat, Repeat)
    rig.window.park("id", OnRetry(FIRST, "a", 1, 110.0))
    assert await asyncio.wait_for(repeat.flight.ended, 1) is None
    assert (rig.window.in_flight, rig.window.on_retry, len(rig.window)) == (0, 1, 0)


async def test_a_repeat_of_what_waits_is_told_so_with_what_waits(rig: Rig) -> None:
    waiting = rig.park("id")
    admission = rig.window.admit("id", SECOND, "a")
    assert isinstance(admission, Elsewhere)
    assert admission.waiting is waiting
    assert rig.window.on_retry == 1


@pytest.mark.parametrize(
    ("place", "rounds", "expected"),
    [
        (FIRST, 2, Claimed),  # the task itself is back
        (FIRST, 3, Claimed),  # and from a later round, which nobody here has seen
        (FIRST, 1, Elsewhere),  # an earlier round again
        (FIRST, None, Elsewhere),  # the message that it began with, delivered again
        (SECOND, 2, Elsewhere),
        (SECOND, None, Elsewhere),
    ],
)
async def test_only_the_run_itself_in_its_round_or_later_is_worked_on(
    rig: Rig, place: Place, rounds: int | None, expected: type
) -> None:
    rig.park("id", round_=2)
    admission = (
        rig.window.admit("id", place, "a") if rounds is None else rig.window.admit("id", place, "a", rounds)
    )
    assert isinstance(admission, expected)
    assert rig.window.on_retry == (0 if expected is Claimed else 1), "what runs waits no more"


async def test_who_says_no_round_is_in_the_first_one(rig: Rig) -> None:
    rig.park("id", round_=1)
    assert isinstance(rig.window.admit("id", FIRST, "a"), Elsewhere)


@pytest.mark.parametrize(("now", "expected"), [(109.75, Elsewhere), (110.0, Claimed), (110.25, Claimed)])
async def test_from_when_it_is_due_another_worker_may_have_it(rig: Rig, now: float, expected: type) -> None:
    rig.park("id", until=110.0)
    rig.now = now
    assert isinstance(rig.window.admit("id", SECOND, "a"), expected)


async def test_what_was_forgotten_answers_no_more_and_others_do(rig: Rig) -> None:
    rig.park("id")
    rig.park("other")
    rig.window.forget("id")
    rig.window.forget("never seen")
    assert isinstance(rig.window.admit("id", SECOND, "a"), Claimed)
    assert isinstance(rig.window.admit("other", SECOND, "a"), Elsewhere)


async def test_what_is_due_is_forgotten_from_the_oldest_on_when_another_comes(rig: Rig) -> None:
    rig.park("first", until=101.0)
    rig.park("second", until=102.0)
    rig.park("third", until=110.0)
    assert rig.window.on_retry == 3
    rig.now = 102.0
    rig.park("fourth", until=111.0)
    assert rig.window.on_retry == 2
    assert isinstance(rig.window.admit("third", SECOND, "a"), Elsewhere)


async def test_one_that_waits_again_is_the_youngest(rig: Rig) -> None:
    rig.park("first", until=101.0)
    rig.park("second", until=110.0)
    rig.window.admit("first", FIRST, "a", 1)
    rig.window.park("first", OnRetry(FIRST, "a", 2, 120.0))
    rig.now = 111.0
    rig.park("third", until=130.0)
    assert rig.window.on_retry == 2, "the second alone was due"


async def test_a_repeat_that_was_admitted_past_its_time_and_waits_again_takes_the_place_of_the_first(
    rig: Rig,
) -> None:
    rig.window.admit("first", FIRST, "a")
    rig.window.park("first", OnRetry(FIRST, "a", 1, 105.0))
    rig.park("second", until=106.0)
    rig.now = 105.5
    assert isinstance(rig.window.admit("first", SECOND, "a"), Claimed)
    latest = OnRetry(SECOND, "a", 1, 120.0)
    rig.window.park("first", latest)
    admission = rig.window.admit("first", FIRST, "a")
    assert isinstance(admission, Elsewhere)
    assert admission.waiting is latest


async def test_no_more_than_the_limit_are_known_and_the_oldest_goes_first(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(window_module, "_MOST_ON_RETRY", 2)
    for name in ("first", "second"):
        rig.park(name)
    assert rig.window.on_retry == 2
    rig.park("third")
    assert rig.window.on_retry == 2
    names = ("first", "second", "third")
    known = [isinstance(rig.window.admit(name, SECOND, "a"), Elsewhere) for name in names]
    assert known == [False, True, True]


async def test_when_all_are_due_none_is_left_and_the_last_ends_its_flight(rig: Rig) -> None:
    rig.park("id", until=100.0)
    assert (rig.window.on_retry, rig.window.in_flight) == (0, 0)


async def test_what_ended_elsewhere_is_answered_once_its_wait_is_over(rig: Rig) -> None:
    rig.window.admit("id", FIRST, "a")
    rig.window.finish("id", finished(FIRST, succeeded=False))
    rig.park("id", place=SECOND)
    rig.window.forget("id")
    assert isinstance(rig.window.admit("id", FIRST, "a"), Answered)
