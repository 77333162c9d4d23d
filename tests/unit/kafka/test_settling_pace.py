"""When the settling loop works and when it waits: after failures, for what has moved, and for its wake-up."""

from __future__ import annotations

import pytest

from llm_service import events
from llm_service.errors import DeliveryRevoked, DependencyUnavailable
from llm_service.kafka.port import TopicPartition
from llm_service.kafka.settling_loop import SettlingLoop, Told
from llm_service.kafka.transaction import Aborted, MembershipRefused, Undecided
from tests.unit.kafka.fake_transactions import TOPIC, FakeTransactions, answers, waiting
from tests.unit.kafka.settling_rig import POLICY, Rig

IDLE = POLICY.idle_s
THIRD = TopicPartition(TOPIC, 3)


@pytest.fixture
def rig() -> Rig:
    return Rig()


def tries(rig: Rig, moments: list[float]) -> list[bool]:
    """Whether a transaction was tried so long after now, at each."""
    began, found = rig.now, []
    for moment in moments:
        rig.now = began + moment
        before = len(rig.port.tried)
        rig.loop.step()
        found.append(len(rig.port.tried) > before)
    return found


def test_after_failures_the_pause_doubles_to_its_limit_and_a_success_makes_it_short_again(rig: Rig) -> None:
    rig.settle(0)
    rig.port.ends.extend([Aborted("no")] * 5)
    rig.step()
    pauses = [0.5, 1.0, 2.0, 3.0, 3.0]
    for pause in pauses:
        assert tries(rig, [0.0, pause - 0.125, pause]) == [False, False, True]
    assert len(rig.port.log) == 1
    rig.settle(1)
    rig.port.ends.append(Aborted("no"))
    rig.step()
    assert tries(rig, [0.375, 0.5]) == [False, True]


@pytest.mark.parametrize(
    "error", [Aborted("it timed out"), Undecided("it was fenced"), MembershipRefused("ILLEGAL_GENERATION")]
)
def test_each_failure_is_told_in_its_own_words(rig: Rig, error: Aborted) -> None:
    rig.settle(0)
    rig.port.ends.append(error)
    rig.step()
    assert rig.seen == [events.Trouble("kafka", error.message)]


def test_that_no_producer_can_be_opened_is_told_and_tried_again_after_a_pause(rig: Rig) -> None:
    one = rig.settle(0)
    rig.port.ends.append(Undecided("fenced"))
    rig.step()
    rig.seen.clear()
    rig.port.open_fails.append(DependencyUnavailable("no broker answers"))
    rig.step(0.5)
    assert rig.seen == [events.Trouble("kafka", "no broker answers")]
    rig.step(0.875)
    assert rig.port.opened == 0
    rig.step(0.125)
    assert rig.port.opened == 1
    rig.step()
    assert answers(one) == [None]


def test_a_commit_is_told_with_its_offset_and_the_highest_finished(rig: Rig) -> None:
    rig.settle(0)
    rig.settle(5)
    rig.step()
    assert rig.seen == [events.OffsetsCommitted(TOPIC, 0, 1, 5)]
    assert rig.settled_calls == 1


def test_a_refused_membership_is_tried_again_after_its_time_where_no_other_was_told(rig: Rig) -> None:
    rig.settle(0)
    rig.port.ends.append(MembershipRefused("ILLEGAL_GENERATION"))
    rig.step()
    assert tries(rig, [0.375, 0.5]) == [False, True]


def test_an_abort_after_exactly_the_slow_time_halves_the_next_and_a_quick_one_does_not() -> None:
    for took, sizes in ((5.0, [9, 4]), (4.75, [9, 9])):
        rig = Rig()
        for offset in range(9):
            rig.settle(offset, size=100_000)

        def slow(rig: Rig = rig, took: float = took) -> None:
            rig.now += took

        rig.port.before = slow
        rig.port.ends.append(Aborted("a message timed out"))
        rig.step()
        rig.step(0.5)
        assert rig.port.tried == sizes


def test_a_clock_that_begins_at_nought_holds_nothing_up() -> None:
    rig = Rig(now=0.0)
    moved = rig.hold(3, taken=0)
    moved.skip(0)
    rig.loop.mark_moved(THIRD)
    rig.step()
    assert len(rig.port.log) == 1
    one = rig.settle(0)
    rig.port.ends.append(Undecided("fenced"))
    rig.step()
    rig.step(0.5)
    rig.step(0.125)
    assert answers(one) == [None]


def test_what_comes_before_any_membership_is_not_ours() -> None:
    told: list[Told] = []
    loop = SettlingLoop(FakeTransactions(), POLICY, told.append, lambda: None, lambda: 0.0)
    loop.add(waiting(0))
    loop.step()
    assert [type(error) for _, error in told[0].answers] == [DeliveryRevoked]


# --- what moves without an outcome -------------------------------------------------------------


@pytest.fixture
def moving(rig: Rig) -> Rig:
    """Partition 3 moves by skipped messages alone; what moved last was written now."""
    rig.hold(3, taken=0)
    skip(rig, 0)
    rig.step()
    assert written(rig) == [{3: 1}]
    rig.port.log.clear()
    return rig


def skip(rig: Rig, offset: int) -> None:
    rig.trackers[THIRD].skip(offset)
    rig.loop.mark_moved(THIRD)


def written(rig: Rig) -> list[dict[int, int]]:
    """The offsets of each transaction, by partition."""
    return [{place: offset for place, (offset, _) in positions.items()} for _, positions, _ in rig.port.log]


def test_what_moves_waits_its_time_and_no_longer(moving: Rig) -> None:
    skip(moving, 1)
    moving.step(0.125)
    assert written(moving) == []
    assert not moving.loop.is_written([THIRD])
    assert moving.loop.is_written([TopicPartition(TOPIC, 0)])
    moving.step(0.125)
    assert written(moving) == [{3: 2}]
    assert moving.loop.is_written([THIRD])


def test_what_moves_goes_along_with_an_outcome(moving: Rig) -> None:
    skip(moving, 1)
    moving.settle(0)
    moving.step(0.125)
    assert written(moving) == [{0: 1, 3: 2}]


def test_in_a_hurry_what_moves_is_written_at_once_and_only_that_once(moving: Rig) -> None:
    skip(moving, 1)
    moving.flag.clear()
    moving.loop.hurry()
    assert moving.flag.is_up
    moving.step()
    assert written(moving) == [{3: 2}]
    skip(moving, 2)
    moving.step(0.125)
    assert written(moving) == [{3: 2}]


# --- busy, and the wake-up ---------------------------------------------------------------------


def test_it_is_busy_while_a_transaction_is_under_way_and_while_something_waits(rig: Rig) -> None:
    during: list[bool] = []
    rig.port.before = lambda: during.append(rig.loop.busy)
    assert [rig.loop.busy] == [False]
    rig.settle(0)
    rig.step()
    assert (during, rig.loop.busy) == ([True], False)
    rig.settle(1)
    rig.member(None)
    rig.step()
    assert [rig.loop.busy] == [True]
    assert not rig.loop.is_written([])
    rig.member(b"generation 2")
    rig.port.ends.append(Undecided("fenced"))
    rig.step()
    assert [rig.loop.busy] == [True], "nobody knows yet what became of it"


def test_it_sleeps_until_there_is_something_to_do_and_each_wake_up_ends_one_sleep(rig: Rig) -> None:
    rig.flag.clear()
    rig.loop.wait()
    rig.settle(0)
    rig.loop.wait()
    assert not rig.flag.is_up
    assert rig.flag.waits == [IDLE, IDLE]


def test_in_a_pause_it_sleeps_until_its_end_or_the_next_look(rig: Rig) -> None:
    rig.settle(0)
    rig.port.ends.extend([Aborted("no")] * 4)
    rig.step()
    rig.flag.waits.clear()
    rig.settle(1)
    rig.loop.wait()
    assert not rig.flag.is_up, "what came meanwhile does not end the pause"
    rig.now += 0.5
    rig.loop.wait()
    for pause in (0.0, 1.0, 2.0):
        rig.step(pause)
    rig.loop.wait()
    assert rig.flag.waits == [0.5, IDLE, IDLE], "the last pause is of 3 s, and it looks around within them"


@pytest.mark.parametrize(
    ("metadata", "another", "awaited"),
    [
        (b"generation 1", False, False),
        (b"generation 2", False, True),
        (b"generation 1", True, True),
        (b"generation 2", True, True),
    ],
)
def test_only_a_membership_that_differs_wakes_it(
    rig: Rig, metadata: bytes, another: bool, awaited: bool
) -> None:
    if another:
        del rig.trackers[TopicPartition(TOPIC, 0)]
    rig.flag.clear()
    rig.member(metadata)
    assert rig.flag.is_up is awaited
