"""Which ids are in flight, and what becomes of the same id again."""

from __future__ import annotations

import asyncio
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llm_service.contract.record import Record
from llm_service.tasks.window import (
    Answered,
    Claimed,
    Conflict,
    DedupWindow,
    Finished,
    Place,
    Repeat,
)

FIRST: Place = ("tasks", 0, 1)
SECOND: Place = ("tasks", 3, 7)


def finished(place: Place = FIRST, digest: str = "a", *, succeeded: bool = True) -> Finished:
    return Finished(place, digest, succeeded, Record(b"k", b"v", ()), None)


async def test_the_first_claims_and_the_second_waits_for_its_end() -> None:
    window = DedupWindow(10)
    claim = window.admit("id", FIRST, "a")
    assert isinstance(claim, Claimed)
    repeat = window.admit("id", SECOND, "a")
    assert isinstance(repeat, Repeat)
    end = finished()
    window.finish("id", end)
    assert await repeat.flight.ended is end
    assert window.in_flight == 0
    assert len(window) == 1


async def test_a_release_wakes_those_who_wait_and_the_first_of_them_may_claim() -> None:
    window = DedupWindow(10)
    window.admit("id", FIRST, "a")
    repeats = [window.admit("id", SECOND, "a") for _ in range(3)]
    window.release("id")
    for repeat in repeats:
        assert isinstance(repeat, Repeat)
        assert await repeat.flight.ended is None
    assert isinstance(window.admit("id", SECOND, "a"), Claimed)
    assert isinstance(window.admit("id", FIRST, "a"), Repeat)


@pytest.mark.parametrize(
    ("succeeded", "place", "digest", "expected"),
    [
        (True, FIRST, "a", Answered),
        (True, FIRST, "b", Answered),  # the very same message can't have another body
        (True, SECOND, "a", Answered),
        (True, SECOND, "b", Conflict),
        (False, FIRST, "a", Answered),  # a redelivery of what failed: the failure was said
        (False, SECOND, "a", Claimed),  # sent again: a new run
        (False, SECOND, "b", Claimed),
    ],
)
async def test_what_becomes_of_an_id_that_has_ended(
    succeeded: bool, place: Place, digest: str, expected: type
) -> None:
    window = DedupWindow(10)
    window.admit("id", FIRST, "a")
    end = finished(succeeded=succeeded)
    window.finish("id", end)
    admission = window.admit("id", place, digest)
    assert isinstance(admission, expected)
    if isinstance(admission, Answered | Conflict):
        assert admission.finished is end


async def test_the_oldest_end_falls_out_and_a_new_end_makes_an_id_young_again() -> None:
    window = DedupWindow(2)

    def end(name: str, place: Place = FIRST, *, succeeded: bool = False) -> None:
        assert isinstance(window.admit(name, place, "a"), Claimed)
        window.finish(name, finished(place, succeeded=succeeded))

    end("a")
    end("b")
    end("a", SECOND, succeeded=True)
    end("c", succeeded=True)
    assert isinstance(window.admit("a", FIRST, "a"), Answered)
    assert isinstance(window.admit("b", FIRST, "a"), Claimed)


async def test_it_never_remembers_fewer_than_are_in_flight() -> None:
    window = DedupWindow(1)
    names = [f"id {number}" for number in range(10)]
    for name in names:
        window.admit(name, FIRST, "a")
    for name in names[:5]:
        window.finish(name, finished())
    assert all(isinstance(window.admit(name, FIRST, "a"), Answered) for name in names[:5])


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32))
def test_whatever_comes_each_id_is_worked_on_by_one_at_a_time(seed: int) -> None:
    async def play() -> None:
        rng = random.Random(seed)
        window = DedupWindow(rng.randint(1, 6))
        working: set[str] = set()
        for step in range(200):
            name = f"id {rng.randrange(5)}"
            if name in working and rng.random() < 0.6:
                working.discard(name)
                if rng.random() < 0.3:
                    window.release(name)
                else:
                    window.finish(name, finished(("t", 0, step), "a", succeeded=rng.random() < 0.5))
                continue
            admission = window.admit(name, ("t", 0, step), rng.choice("ab"))
            assert isinstance(admission, Repeat) == (name in working)
            if isinstance(admission, Claimed):
                working.add(name)
            assert window.in_flight == len(working)

    asyncio.run(play())
