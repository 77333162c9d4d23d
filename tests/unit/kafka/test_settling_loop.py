"""The settling loop, step by step, against scripted transactions."""

from __future__ import annotations

import pytest

from llm_service import events
from llm_service.errors import (
    ConsumerFatal,
    DeliveryRevoked,
    DependencyUnavailable,
    MessageTooLarge,
    TopicNotWritable,
)
from llm_service.kafka.grouping import Waiting
from llm_service.kafka.membership import Membership
from llm_service.kafka.offset_map import Run, read
from llm_service.kafka.port import TopicPartition
from llm_service.kafka.settling_loop import SettlingLoop, SettlingPolicy, Told
from llm_service.kafka.tracker import PartitionTracker
from llm_service.kafka.transaction import Aborted, MembershipRefused, MessagesRefused, Undecided
from tests.unit.kafka.fake_transactions import TOPIC, FakeTransactions, answers, waiting

POLICY = SettlingPolicy(owner="group-me")


class Rig:
    """A loop on a clock that the test moves, as a member that holds partition 0."""

    def __init__(self) -> None:
        self.now = 100.0
        self.port = FakeTransactions()
        self.seen: list[events.Event] = []
        self.loop = SettlingLoop(self.port, POLICY, self._tell, lambda: None, lambda: self.now)
        self.trackers: dict[TopicPartition, PartitionTracker] = {}
        self.hold(0)

    def _tell(self, told: Told) -> None:
        for one, error in told.answers:
            one.answer(error)
        self.seen += told.events

    def hold(self, partition: int, epoch: int = 1, start: int = 0, taken: int = 10) -> PartitionTracker:
        tracker = PartitionTracker(TOPIC, partition, epoch, start=start)
        for offset in range(start, start + taken):
            tracker.take(offset)
        self.trackers[TopicPartition(TOPIC, partition)] = tracker
        self.member()
        return tracker

    def member(self, metadata: bytes | None = b"generation 1") -> None:
        self.loop.hand_over(Membership(metadata, dict(self.trackers)))

    def settle(self, *offsets: int, partition: int = 0, epoch: int = 1) -> list[Waiting]:
        added = [waiting(offset, partition, epoch) for offset in offsets]
        for one in added:
            self.loop.add(one)
        return added

    def step(self, times: int = 1, seconds: float = 1.0) -> None:
        for _ in range(times):
            self.now += seconds
            self.loop.step()


@pytest.fixture
def rig() -> Rig:
    return Rig()


def test_what_waits_goes_into_one_transaction_with_offset_and_whole_map(rig: Rig) -> None:
    settled = rig.settle(0, 1, 5)
    rig.step()
    ((messages, positions, metadata),) = rig.port.log
    assert len(messages) == 3
    assert metadata == b"generation 1"
    offset, text = positions[0]
    known = read(text, offset)
    assert (offset, known.runs, known.owner) == (2, (Run(5, 6),), "group-me")
    assert [answers(one) for one in settled] == [[None]] * 3
    assert rig.trackers[TopicPartition(TOPIC, 0)].unfinished == 7


def test_nothing_is_settled_while_there_is_no_membership(rig: Rig) -> None:
    rig.member(None)
    (one,) = rig.settle(0)
    rig.step(3)
    assert rig.port.tried == []
    rig.member(b"generation 2")
    rig.step()
    assert answers(one) == [None]
    assert rig.port.log[0][2] == b"generation 2"


def test_an_older_epochs_outcome_is_dropped_and_counted(rig: Rig) -> None:
    rig.hold(0, epoch=2)
    (old,) = rig.settle(0, epoch=1)
    (gone,) = rig.settle(0, partition=7)
    rig.step()
    assert rig.port.values() == []
    assert [type(error) for one in (old, gone) for error in answers(one)] == [DeliveryRevoked] * 2
    assert rig.loop.stale == 2


def test_a_refused_membership_is_not_tried_again_and_what_is_still_ours_goes_with_the_next(rig: Rig) -> None:
    rig.hold(1)
    kept, left = rig.settle(0)[0], rig.settle(0, partition=1)[0]
    rig.port.ends.append(MembershipRefused("ILLEGAL_GENERATION"))
    rig.step(seconds=0.01)
    rig.step(3, seconds=0.01)
    assert rig.port.tried == [2], "the same membership would be refused again"
    del rig.trackers[TopicPartition(TOPIC, 1)]
    rig.member(b"generation 2")
    rig.step(seconds=0.01)
    assert answers(kept) == [None]
    assert isinstance(answers(left)[0], DeliveryRevoked)
    assert rig.port.values() == [b"0/0".ljust(10)]


def test_a_snapshot_that_comes_during_a_transaction_is_not_mixed_into_it(rig: Rig) -> None:
    def change() -> None:
        rig.trackers.clear()
        rig.member(b"generation 2")

    rig.port.before = change
    rig.settle(0)
    rig.step()
    assert rig.port.log[0][2] == b"generation 1"


def test_offsets_that_move_by_skipped_messages_alone_are_written_in_a_transaction(rig: Rig) -> None:
    tracker = PartitionTracker(TOPIC, 3, 1, start=0)
    rig.trackers[TopicPartition(TOPIC, 3)] = tracker
    rig.member()
    tracker.skip(0)
    rig.loop.mark_moved(TopicPartition(TOPIC, 3))
    rig.step()
    assert [positions[3][0] for _, positions, _ in rig.port.log] == [1]
    rig.loop.mark_moved(TopicPartition(TOPIC, 3))
    rig.step(5)
    assert len(rig.port.log) == 1, "what is committed so already is not written again"
    assert rig.loop.is_written([TopicPartition(TOPIC, 3)])


def test_one_too_large_is_taken_out_and_only_its_sender_hears_of_it(rig: Rig) -> None:
    good, bad, other = rig.settle(0, 1, 2)
    rig.port.ends.append(MessagesRefused({1: MessageTooLarge("too large")}))
    rig.step(2)
    assert (answers(good), answers(other), answers(bad)) == ([None], [None], [])
    rig.port.ends.append(MessagesRefused({0: MessageTooLarge("too large")}))
    rig.step()
    assert [type(error) for error in answers(bad)] == [MessageTooLarge]
    offset, text = rig.port.log[0][1][0]
    assert (offset, read(text, offset).runs) == (1, (Run(2, 3),)), "its offset stays open"


def test_a_topic_that_cannot_be_written_holds_its_outcomes_and_no_others(rig: Rig) -> None:
    (bad,) = (waiting(0, topic="dlq"),)
    rig.loop.add(bad)
    (good,) = rig.settle(1)
    rig.port.ends.append(MessagesRefused({0: TopicNotWritable("dlq is missing")}))
    rig.step(2, seconds=0.1)
    assert (answers(bad), answers(good)) == ([], [None])
    assert events.Trouble("kafka", "dlq is missing") in rig.seen
    rig.step()
    assert answers(bad) == [None]


def test_outcomes_of_a_former_assignment_do_not_keep_a_topic_that_can_be_written_waiting(rig: Rig) -> None:
    old = [waiting(offset, topic="dlq") for offset in range(5)]
    for one in old:
        rig.loop.add(one)
    rig.port.ends.append(MessagesRefused(dict.fromkeys(range(5), TopicNotWritable("dlq is missing"))))
    rig.step()
    rig.hold(0, epoch=2)
    good = waiting(7, epoch=2, topic="dlq")
    rig.loop.add(good)
    rig.step(2)
    assert answers(good) == [None]
    assert all(isinstance(answers(one)[0], DeliveryRevoked) for one in old)


def test_a_commit_whose_reply_was_lost_is_not_settled_again(rig: Rig) -> None:
    (one,) = rig.settle(4)
    rig.port.commits_then_fails = True
    rig.port.ends.append(Undecided("fenced"))
    rig.step()
    rig.port.silent = True
    rig.step()
    assert answers(one) == [], "as long as the brokers have not said"
    rig.port.silent = False
    rig.step(3)
    assert answers(one) == [None]
    assert len(rig.port.values()) == 1
    assert rig.port.opened == 1


def test_a_transaction_that_was_not_committed_after_all_is_settled_again(rig: Rig) -> None:
    (one,) = rig.settle(4)
    rig.port.ends.append(Undecided("fenced"))
    rig.port.open_fails.append(DependencyUnavailable("no broker answers"))
    rig.step(6, seconds=2.0)
    assert answers(one) == [None]
    assert len(rig.port.values()) == 1


def test_a_lost_transactions_partition_that_has_left_is_not_settled_again(rig: Rig) -> None:
    (one,) = rig.settle(4)
    rig.port.ends.append(Undecided("fenced"))
    rig.step()
    rig.trackers.clear()
    rig.member(b"generation 2")
    rig.step(4)
    assert isinstance(answers(one)[0], DeliveryRevoked)
    assert rig.port.values() == []


def test_a_slow_transaction_that_was_aborted_is_tried_in_halves(rig: Rig) -> None:
    for offset in range(10):
        rig.loop.add(waiting(offset, size=100_000))

    def slow() -> None:
        rig.now += 6.0

    rig.port.before = slow
    rig.port.ends.append(Aborted("a message timed out"))
    rig.step(4)
    assert rig.port.tried[:2] == [9, 4]


def test_two_processes_of_one_id_do_not_fence_each_other_for_ever(rig: Rig) -> None:
    rig.settle(0)
    rig.port.ends.extend([Undecided("fenced")] * 40)
    with pytest.raises(ConsumerFatal, match="KAFKA_GROUP_INSTANCE_ID"):
        rig.step(80, seconds=0.5)
