"""The consumer loop, step by step, against a scripted port."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from llm_service import events
from llm_service.kafka.consumer import ConsumerLoop
from llm_service.kafka.consumer_policy import ConsumerPolicy
from llm_service.kafka.log_watch import Extent
from llm_service.kafka.port import Committed, TopicPartition
from tests.unit.kafka.fake_port import TOPIC, Downstream, FakePort

POLICY = ConsumerPolicy(topics=(TOPIC,), window=4, full_cadence_s=0.0)


class Rig:
    """A loop on a clock that the test moves."""

    def __init__(self, policy: ConsumerPolicy = POLICY) -> None:
        self.now = 100.0
        self.port = FakePort()
        self.downstream = Downstream()
        self.seen: list[events.Event] = []
        self.loop = ConsumerLoop(self.port, policy, self.downstream, self.seen.append, lambda: self.now)
        self.downstream.finish = self.loop.finish
        self.loop.start()

    def step(self, times: int = 1, seconds: float = 1.0) -> None:
        for _ in range(times):
            self.now += seconds
            self.loop.step()

    def finish(self, *offsets: int) -> None:
        for delivery in list(self.downstream.deliveries):
            if delivery.offset in offsets:
                self.loop.finish(delivery)
                self.downstream.deliveries.remove(delivery)


@pytest.fixture
def rig() -> Rig:
    rig = Rig()
    rig.port.assign(0)
    rig.step()
    return rig


def test_one_slow_task_holds_the_commit_while_those_above_are_in_the_map(rig: Rig) -> None:
    rig.port.feed(0, 10, 11, 12)
    rig.step()
    rig.finish(11, 12)
    rig.step()

    assert rig.port.committed_offset(0) == 10
    rig.port.lose(0)
    rig.step()
    rig.port.assign(0)
    rig.step()
    rig.downstream.deliveries.clear()
    rig.port.feed(0, 10, 11, 12, 13)
    rig.step()
    assert rig.downstream.offsets() == [10, 13]


def test_the_commit_is_sent_again_when_the_broker_refused_it(rig: Rig) -> None:
    rig.port.feed(0, 1)
    rig.step()
    rig.finish(1)
    rig.port.commit_error = "COORDINATOR_LOAD_IN_PROGRESS"
    rig.step(2)
    assert rig.port.committed_offset(0) == 1, "as it was written before the task began"
    rig.port.commit_error = None
    rig.step()
    assert rig.port.committed_offset(0) == 2


def test_nothing_new_nothing_committed(rig: Rig) -> None:
    rig.port.feed(0, 1)
    rig.step()
    rig.finish(1)
    rig.step()
    count = len(rig.port.commits)
    rig.step(5)
    assert len(rig.port.commits) == count


def test_statuses_on_a_shared_topic_are_skipped_and_counted_as_finished(rig: Rig) -> None:
    rig.port.feed(0, 1)
    for offset, status in ((2, b"2"), (3, b"3"), (4, b"4"), (5, b"nonsense")):
        rig.port.feed(0, offset, headers=(("status", status),))
    rig.step()
    assert rig.downstream.offsets() == [1]
    rig.step()
    assert rig.port.committed_offset(0) == 1
    rig.finish(1)
    rig.step()
    assert rig.port.committed_offset(0) == 6


def test_a_full_window_goes_on_polling_and_keeps_what_comes(rig: Rig) -> None:
    rig.port.feed(0, *range(1, 8))
    rig.step()
    assert rig.downstream.offsets() == [1, 2, 3, 4]
    rig.step(seconds=0.02)
    assert rig.loop.is_full
    assert rig.downstream.offsets() == [1, 2, 3, 4, 5], "a message that came is kept, not dropped"
    assert rig.port.paused == set()


def test_a_window_full_for_seconds_pauses_and_resumes_when_there_is_room(rig: Rig) -> None:
    rig.port.feed(0, 1, 2, 3, 4)
    rig.step()
    rig.step(3, seconds=2.0)
    assert rig.port.paused == {TopicPartition(TOPIC, 0)}
    assert rig.loop.is_full
    rig.finish(1, 2)
    rig.step()
    assert rig.port.paused == set()
    assert not rig.loop.is_full


def test_a_paused_worker_still_hears_of_rebalances(rig: Rig) -> None:
    rig.port.feed(0, 1, 2, 3, 4)
    rig.step()
    rig.step(3, seconds=2.0)
    rig.port.revoke(0)
    rig.step()
    assert rig.downstream.revoked


@pytest.mark.parametrize("leave", [FakePort.lose, FakePort.revoke])
def test_a_partition_that_left_while_it_was_paused_is_resumed_when_it_is_back(
    rig: Rig, leave: Callable[..., None]
) -> None:
    rig.port.feed(0, 1, 2, 3, 4)
    rig.step(6)
    assert rig.port.paused, "the window was full for seconds"
    leave(rig.port, 0)
    rig.step()
    rig.port.assign(0)
    rig.step(2)
    assert not rig.port.paused, "or it would stand still for ever, for librdkafka remembers the pause"


def test_tasks_that_wait_for_a_blocked_provider_leave_their_room_to_others(rig: Rig) -> None:
    rig.port.feed(0, *range(1, 10))
    rig.step()
    rig.loop.excuse(2)
    rig.step()
    assert rig.downstream.offsets() == [1, 2, 3, 4, 5, 6]


def test_what_was_settled_during_a_revoke_is_committed_before_the_partition_leaves(rig: Rig) -> None:
    rig.port.feed(0, 1, 2)
    rig.step()
    rig.downstream.at_revoke = [rig.downstream.deliveries[0]]
    rig.port.revoke(0)
    rig.step()
    assert rig.port.committed_offset(0) == 2


def test_lost_partitions_commit_nothing_and_their_outcomes_are_dropped(rig: Rig) -> None:
    rig.port.feed(0, 1, 2)
    rig.step()
    late = rig.downstream.deliveries[0]
    rig.port.lose(0)
    rig.step()
    rig.loop.finish(late)
    rig.step()
    assert rig.port.committed_offset(0) == 1
    assert rig.loop.stale_outcomes == 1


def test_an_outcome_of_an_older_epoch_does_not_finish_the_offset_of_the_new_one(rig: Rig) -> None:
    rig.port.feed(0, 1)
    rig.step()
    old = rig.downstream.deliveries.pop()
    rig.port.revoke(0)
    rig.port.assign(0)
    rig.step(2)
    rig.port.feed(0, 1)
    rig.step()
    assert rig.downstream.deliveries[0].epoch > old.epoch
    rig.loop.finish(old)
    rig.step(2)
    assert rig.port.committed_offset(0) == 1


def test_no_task_starts_before_the_map_of_its_partition_is_read() -> None:
    rig = Rig()
    rig.port.silent = True
    rig.port.assign(0)
    rig.step()
    rig.port.feed(0, 1, 2)
    rig.step(2)
    assert rig.downstream.offsets() == []
    rig.port.silent = False
    rig.port.stored[TopicPartition(TOPIC, 0)] = Committed(TOPIC, 0, 1, "")
    rig.step()
    assert rig.downstream.offsets() == [1, 2]


def test_what_is_committed_is_where_a_partition_is_read_from() -> None:
    rig = Rig()
    rig.port.stored[TopicPartition(TOPIC, 0)] = Committed(TOPIC, 0, 7, "")
    rig.port.assign(0, 1)
    rig.step()
    assert rig.port.starts == {TopicPartition(TOPIC, 0): 7}, "the client needs not ask for itself"


def test_a_partition_that_is_answered_late_is_read_again_from_what_is_committed() -> None:
    """By then the client has asked for itself; what came of it may be from anywhere."""
    rig = Rig()
    rig.port.silent = True
    rig.port.assign(0)
    rig.step()
    rig.port.feed(0, 90, 91)
    rig.step()
    rig.port.silent = False
    rig.port.stored[TopicPartition(TOPIC, 0)] = Committed(TOPIC, 0, 90, "")
    rig.step(2)
    assert rig.port.seeks == [(TopicPartition(TOPIC, 0), 90)]
    assert rig.downstream.offsets() == [90, 91], "each once"


def test_a_client_that_begins_below_what_is_committed_is_led_back_and_nothing_is_done_twice() -> None:
    rig = Rig(replace(POLICY, window=20))  # all of it comes in one batch
    rig.port.stored[TopicPartition(TOPIC, 0)] = Committed(TOPIC, 0, 7, "")
    rig.port.assign(0)
    rig.step()
    rig.port.feed(0, *range(9))
    rig.step(3)
    assert rig.downstream.offsets() == [7, 8], "each once"
    assert not [seen for seen in rig.seen if isinstance(seen, events.LogBegunAnew)]
    assert set(rig.port.seeks) == {(TopicPartition(TOPIC, 0), 7)}
    assert rig.port.committed_offset(0) == 7
    assert [seen.reason for seen in rig.seen if isinstance(seen, events.Trouble)] == [
        f"{TOPIC}/0 is read on from 7"
    ]


def test_where_the_log_ends_below_what_is_committed_it_is_another_and_read_from_its_beginning() -> None:
    rig = Rig()
    rig.loop.watch_logs(lambda _, __: Extent(0, 3))
    rig.port.stored[TopicPartition(TOPIC, 0)] = Committed(TOPIC, 0, 7, "")
    rig.port.assign(0)
    rig.step(2)
    del rig.port.stored[TopicPartition(TOPIC, 0)]  # as the broker forgets it with the topic
    rig.port.feed(0, 0, 1, 2)
    rig.step(2)
    assert rig.downstream.offsets() == [0, 1, 2]
    assert rig.port.seeks == []


def test_after_its_patience_a_partition_starts_without_a_map() -> None:
    rig = Rig(replace(POLICY, takeover_patience_s=5.0))
    rig.port.silent = True
    rig.port.assign(0)
    rig.step()
    rig.port.feed(0, 1)
    rig.step(4)
    assert rig.downstream.offsets() == []
    rig.step(4)
    assert rig.downstream.offsets() == [1]


def test_a_map_that_belongs_to_another_offset_is_not_used(rig: Rig) -> None:
    rig.port.feed(0, 10, 11, 12)
    rig.step()
    rig.finish(11, 12)
    rig.step()
    stored = rig.port.stored[TopicPartition(TOPIC, 0)]
    rig.port.stored[TopicPartition(TOPIC, 0)] = replace(stored, offset=9)
    rig.port.lose(0)
    rig.port.assign(0)
    rig.step(2)
    rig.downstream.deliveries.clear()
    rig.port.feed(0, 9, 10, 11, 12)
    rig.step()
    assert rig.downstream.offsets() == [9, 10, 11, 12]


def test_after_stopping_nothing_is_taken_and_nothing_unread_is_passed(rig: Rig) -> None:
    rig.port.feed(0, 1, 2)
    rig.step()
    rig.loop.stop_taking()
    rig.port.feed(0, 3, 4)
    rig.step(3)
    assert rig.downstream.offsets() == [1, 2]
    rig.finish(1, 2)
    rig.step(3)
    assert rig.port.committed_offset(0) == 3


def test_an_idle_worker_waits_long_and_a_busy_one_commits_on_time(rig: Rig) -> None:
    rig.step()
    assert rig.port.polls[-1] == POLICY.poll_timeout_s
    rig.port.feed(0, 1)
    rig.step()
    rig.step()
    assert rig.port.polls[-1] <= POLICY.commit_interval_s


def test_a_log_that_begins_anew_is_tracked_anew_and_what_runs_of_the_old_one_finishes_nothing(
    rig: Rig,
) -> None:
    rig.port.feed(0, 10, 11, 12)
    rig.step()
    old = list(rig.downstream.deliveries)
    rig.finish(10, 11)
    rig.step()
    assert rig.port.committed_offset(0) == 12

    rig.port.stored.clear()  # as the brokers do with a topic's offsets when it is deleted
    rig.port.feed(0, 0, 1)
    rig.step()
    rig.step()
    assert rig.port.committed_offset(0) == 0
    (told,) = [event for event in rig.seen if isinstance(event, events.LogBegunAnew)]
    assert (told.finished, told.first, told.unfinished) == (11, 0, 1)
    assert {delivery.epoch for delivery in rig.downstream.deliveries if delivery.offset < 2} == {
        old[0].epoch + 1
    }
    rig.finish(12)
    rig.step()
    assert rig.port.committed_offset(0) == 0
    assert rig.loop.stale_outcomes == 1
    rig.finish(0, 1)
    rig.step()
    assert rig.port.committed_offset(0) == 2


def test_a_stop_writes_nothing_for_a_log_that_ends_before_what_was_read() -> None:
    rig = Rig()
    known = Extent(0, 12)
    rig.loop.watch_logs(lambda _, __: known)
    rig.port.assign(0)
    rig.port.feed(0, 10, 11)
    rig.step(2)
    rig.finish(10, 11)
    rig.step(2)
    rig.port.stored.clear()
    known = Extent(0, 0)
    rig.loop.close()
    assert not rig.port.stored


def test_a_log_that_begins_anew_without_a_message_is_committed_from_its_beginning() -> None:
    rig = Rig()
    known = Extent(0, 13)
    rig.loop.watch_logs(lambda _, __: known)
    rig.port.assign(0)
    rig.port.feed(0, 10, 11, 12)
    rig.step(2)
    rig.finish(10, 11, 12)
    rig.step(2)
    assert rig.port.committed_offset(0) == 13
    known = Extent(0, 0)
    rig.port.stored.clear()
    rig.step(6)
    assert rig.port.committed_offset(0) == 0
