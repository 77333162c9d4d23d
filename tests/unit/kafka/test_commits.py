"""Plain commits: when they are sent, what they say, and what is made of the broker's answers."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from llm_service import events
from llm_service.kafka.commits import PlainCommits
from llm_service.kafka.offset_map import read
from llm_service.kafka.port import TopicPartition
from llm_service.kafka.tracker import PartitionTracker, Position
from tests.unit.kafka.fake_transactions import TOPIC, delivery

FIRST, SECOND = TopicPartition(TOPIC, 0), TopicPartition(TOPIC, 1)
INTERVAL_S = 2.0
ENOUGH = 3


class Port:
    """Takes positions, and answers those that wait for it as the test says."""

    def __init__(self) -> None:
        self.sent: list[list[Position]] = []
        self.error: str | None = None

    def commit_async(self, positions: Sequence[Position]) -> None:
        self.sent.append(list(positions))

    def commit(self, positions: Sequence[Position]) -> str | None:
        self.sent.append(list(positions))
        return self.error


class Rig:
    """Commits on a clock that the test moves, of a consumer that holds partition 0 with five messages taken."""

    def __init__(self) -> None:
        self.now = 100.0
        self.port = Port()
        self.wakes = 0
        self.seen: list[events.Event] = []
        self.commits = PlainCommits(
            self.port,  # type: ignore[arg-type]
            INTERVAL_S,
            ENOUGH,
            self._wake,
            self.seen.append,
            lambda: self.now,
        )
        self.held: dict[TopicPartition, PartitionTracker] = {}
        self.hold(0)

    def _wake(self) -> None:
        self.wakes += 1

    def hold(self, partition: int) -> PartitionTracker:
        tracker = PartitionTracker(TOPIC, partition, 1, start=0)
        for offset in range(5):
            tracker.take(offset)
        self.held[TopicPartition(TOPIC, partition)] = tracker
        return tracker

    def step(self, seconds: float = 0.0) -> list[tuple[int, int]]:
        """Partition and offset of what was sent in this round."""
        self.now += seconds
        before = len(self.port.sent)
        self.commits.step(self.held)
        return [(one.partition, one.offset) for batch in self.port.sent[before:] for one in batch]

    def answer(self, error: str | None = None) -> None:
        """To what was sent last."""
        self.commits.answered(self.port.sent[-1], error, self.held)


@pytest.fixture
def rig() -> Rig:
    return Rig()


def finish(rig: Rig, *offsets: int, partition: int = 0) -> None:
    for offset in offsets:
        rig.commits.finish(delivery(offset, partition))


def test_nothing_is_sent_before_anything_moved(rig: Rig) -> None:
    assert [rig.commits.pending] == [False]
    assert rig.step() == []
    rig.commits.moved(FIRST)
    assert [rig.commits.pending] == [True]
    assert rig.step() == [(0, 0)]
    assert [rig.commits.pending] == [False]


def test_a_clock_that_begins_at_nought_holds_nothing_up(rig: Rig) -> None:
    rig.now = 0.0
    rig.commits.moved(FIRST)
    assert rig.step() == [(0, 0)]


def test_the_interval_is_kept_exactly_and_what_has_not_moved_is_not_sent_again(rig: Rig) -> None:
    finish(rig, 0)
    assert rig.step() == [(0, 1)]
    finish(rig, 1)
    assert rig.step(INTERVAL_S - 0.25) == []
    assert [rig.commits.pending] == [True]
    assert rig.step(0.25) == [(0, 2)]
    rig.commits.moved(FIRST)
    assert rig.step(INTERVAL_S) == []
    assert len(rig.port.sent) == 2, "and no empty commit goes out"


def test_who_waits_for_a_position_gets_it_at_once_and_only_that_once(rig: Rig) -> None:
    finish(rig, 0)
    rig.step()
    finish(rig, 1)
    rig.commits.urge(FIRST)
    assert rig.step() == [(0, 2)]
    finish(rig, 2)
    assert rig.step() == []


def test_an_urge_alone_is_something_to_write(rig: Rig) -> None:
    rig.commits.urge(FIRST)
    assert [rig.commits.pending] == [True]
    assert rig.step() == [(0, 0)]


def test_what_was_refused_is_sent_again_after_the_interval_however_often_something_asks(rig: Rig) -> None:
    rig.commits.moved(FIRST)
    rig.step()
    rig.answer("COORDINATOR_LOAD_IN_PROGRESS")
    assert [rig.commits.pending] == [True]
    rig.commits.urge(FIRST)
    assert rig.step() == []
    assert rig.step(INTERVAL_S) == [(0, 0)]
    rig.answer()
    finish(rig, 0)
    rig.commits.urge(FIRST)
    assert rig.step() == [(0, 1)], "the broker takes commits again"


def test_an_urge_that_came_before_the_refusal_is_kept(rig: Rig) -> None:
    rig.commits.moved(FIRST)
    rig.step()
    rig.commits.urge(FIRST)
    rig.answer("NOT_COORDINATOR")
    rig.commits.urge(FIRST)
    assert rig.step() == [(0, 0)]


def test_an_answer_lets_tasks_start_and_is_told(rig: Rig) -> None:
    tracker = rig.held[FIRST]
    tracker.reach(9)
    finish(rig, 0, 3)
    rig.step()
    assert rig.seen == []
    assert not tracker.may_start(9)
    rig.answer()
    assert rig.seen == [events.OffsetsCommitted(TOPIC, 0, 1, 3)]
    assert tracker.may_start(9)


def test_answers_that_overtake_each_other_hold_nothing_up(rig: Rig) -> None:
    tracker = rig.held[FIRST]
    rig.commits.moved(FIRST)
    rig.step()
    tracker.reach(9)
    rig.commits.urge(FIRST)
    rig.step()
    older, last = rig.port.sent
    rig.commits.answered(older, None, rig.held)
    assert rig.step(INTERVAL_S) == [], "in their order they need nothing more"
    rig.commits.answered(last, None, rig.held)
    assert rig.step(INTERVAL_S) == [], "nor after the last"
    rig.commits.answered(older, None, rig.held)
    assert not tracker.may_start(9), "the older one may be what the broker keeps"
    assert rig.step(INTERVAL_S) == [(0, 0)]
    rig.answer()
    assert tracker.may_start(9)
    assert rig.step(INTERVAL_S) == []


def test_an_older_position_that_is_refused_and_then_taken_is_survived(rig: Rig) -> None:
    rig.commits.moved(FIRST)
    rig.step()
    rig.held[FIRST].reach(9)
    rig.commits.urge(FIRST)
    rig.step()
    older, last = rig.port.sent
    rig.commits.answered(last, None, rig.held)
    rig.commits.answered(older, "REQUEST_TIMED_OUT", rig.held)
    rig.commits.answered(older, None, rig.held)
    assert rig.step(INTERVAL_S) == [(0, 0)]


def test_an_answer_to_what_was_written_before_a_partition_left_and_came_back_writes_nothing(rig: Rig) -> None:
    rig.commits.moved(FIRST)
    rig.step()
    rig.answer()
    rig.commits.drop([FIRST], rig.held)
    rig.hold(0)
    rig.answer()
    assert [rig.commits.pending] == [False]


def test_a_refusal_tells_of_no_commit_and_starts_nothing(rig: Rig) -> None:
    rig.held[FIRST].reach(9)
    rig.commits.moved(FIRST)
    rig.step()
    rig.answer("NOT_COORDINATOR")
    assert rig.seen == []
    assert not rig.held[FIRST].may_start(9)


def test_an_answer_for_what_has_left_changes_nothing(rig: Rig) -> None:
    rig.hold(1)
    rig.commits.moved(FIRST)
    rig.step()
    del rig.held[FIRST]
    rig.answer()
    assert rig.seen == [events.OffsetsCommitted(TOPIC, 1, 0, -1)]


def test_a_refusal_for_what_has_left_and_was_dropped_changes_nothing(rig: Rig) -> None:
    rig.commits.moved(FIRST)
    rig.step()
    del rig.held[FIRST]
    rig.commits.drop([FIRST], rig.held)
    rig.answer("UNKNOWN_MEMBER_ID")
    assert rig.step(INTERVAL_S) == []


def test_enough_finished_ones_wake_the_owner(rig: Rig) -> None:
    finish(rig, 0, 1)
    assert rig.wakes == 0
    finish(rig, 2)
    assert rig.wakes == 1
    rig.step()
    finish(rig, 3)
    assert rig.wakes == 1


def test_outcomes_of_another_epoch_or_of_nothing_here_are_stale(rig: Rig) -> None:
    rig.commits.finish(delivery(0, epoch=2))
    rig.commits.finish(delivery(0, partition=1))
    finish(rig, 99)
    assert rig.commits.stale == 0
    assert rig.step() == [(0, 0)], "the partition itself is written all the same"
    assert rig.commits.stale == 3
    finish(rig, 0)
    rig.step()
    assert rig.commits.stale == 3


def test_what_is_newly_held_is_written_at_once_and_what_was_written_is_not_again(rig: Rig) -> None:
    rig.commits.renew(rig.held)
    assert rig.step() == [(0, 0)]
    rig.commits.renew(rig.held)
    assert [rig.commits.pending] == [False]
    rig.hold(1)
    rig.commits.renew(rig.held)
    assert rig.step() == [(1, 0)]


def test_what_leaves_in_order_says_so_with_all_that_is_finished_and_the_rest_does_not(rig: Rig) -> None:
    rig.hold(1)
    finish(rig, 0)
    finish(rig, 1, partition=1)
    rig.commits.leave([FIRST], rig.held)
    ((position,),) = rig.port.sent
    assert (position.partition, position.offset) == (0, 1)
    assert read(position.metadata, 1).work.clean
    assert rig.held[SECOND].is_leaving is False
    assert rig.seen == [events.OffsetsCommitted(TOPIC, 0, 1, 0)]
    rig.commits.leave([FIRST], rig.held)
    assert len(rig.port.sent) == 1, "it has been said"


def test_a_last_commit_that_was_refused_is_sent_again(rig: Rig) -> None:
    rig.port.error = "NOT_COORDINATOR"
    rig.commits.leave([FIRST], rig.held)
    assert rig.seen == []
    assert rig.step() == [(0, 0)]


def test_what_has_left_and_is_back_is_written_anew(rig: Rig) -> None:
    rig.hold(1)
    rig.commits.moved(FIRST)
    assert rig.step() == [(0, 0), (1, 0)]
    rig.commits.drop([FIRST, TopicPartition(TOPIC, 7)], {SECOND: rig.held[SECOND]})
    rig.commits.renew(rig.held)
    assert rig.step() == [(0, 0)]


def test_a_partition_of_which_nothing_is_known_is_not_written_and_others_are(rig: Rig) -> None:
    rig.held = {SECOND: PartitionTracker(TOPIC, 1, 1), **rig.held}
    rig.commits.moved(FIRST)
    assert rig.step() == [(0, 0)]
