"""Messages of the retry topic are taken when they are due, in their order, and the loop never stands still for them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from llm_service.contract.retry import RetryNote, encode
from llm_service.kafka.consumer import ConsumerLoop
from llm_service.kafka.consumer_policy import ConsumerPolicy
from llm_service.kafka.port import KafkaMessage, TopicPartition
from tests.unit.kafka.fake_port import PENDING, TOPIC, Downstream, FakePort

RETRY = "tasks_llm_retry"
DELAY_S = 30.0
EPOCH = datetime(2026, 11, 21, tzinfo=UTC)


class Port(FakePort):
    def subscribe(self, topics: object, listener: object) -> None:
        assert topics == (TOPIC, RETRY)
        self.listener = listener  # type: ignore[assignment]


class Rig:
    """A loop that reads both topics, on clocks that the test moves."""

    def __init__(self) -> None:
        self.now = 100.0
        self.skew_s = 0.0
        self.port = Port()
        self.downstream = Downstream()
        policy = ConsumerPolicy(
            (TOPIC, RETRY),
            window=500,
            full_cadence_s=0.0,
            retry_topic=RETRY,
            retry_delay_s=DELAY_S,
            group="ours",
        )
        self.loop = ConsumerLoop(
            self.port,
            policy,
            self.downstream,
            lambda _: None,
            lambda: self.now,
            now=lambda: EPOCH + timedelta(seconds=self.now + self.skew_s),
        )
        self.loop.start()
        self.port.actions.append(("assign", [TopicPartition(TOPIC, 0), TopicPartition(RETRY, 0)]))
        self.step(0.0)

    def step(self, seconds: float) -> None:
        self.now += seconds
        self.loop.step()

    def sent_round(self, offset: int, due_in: float, group: str = "ours", takeovers: int = 0) -> None:
        due = EPOCH + timedelta(seconds=self.now + due_in)
        note = RetryNote(group, TOPIC, 3, offset + 1000, 2, 1, due, "provider_server_error", takeovers)
        record = encode(note, b"key", b"{}", PENDING)
        self.port.queue.append(KafkaMessage(RETRY, 0, offset, record.key, record.value, record.headers))


@pytest.fixture
def rig() -> Rig:
    return Rig()


def test_the_head_is_held_until_it_is_due_and_others_go_on(rig: Rig) -> None:
    rig.sent_round(0, 29.0)
    rig.sent_round(1, 30.0)
    rig.port.feed(0, 5)
    rig.step(0.1)
    assert rig.downstream.offsets() == [5], "only the one of the tasks topic"
    assert rig.loop.held_until_due == 2
    assert rig.loop.unfinished == 1, "they take no room in the window"
    rig.step(28.0)
    assert rig.downstream.offsets() == [5]
    rig.step(1.0)
    assert rig.downstream.offsets() == [5, 0]
    rig.step(1.0)
    assert rig.downstream.offsets() == [5, 0, 1]
    (_, first, _) = rig.downstream.deliveries
    assert (first.run_place, first.attempt, first.round) == ((TOPIC, 3, 1000), 2, 1)
    assert first.place == (RETRY, 0, 0)
    assert first.headers == PENDING, "as its producer wrote them"


def test_the_poll_ends_when_the_head_is_due(rig: Rig) -> None:
    rig.sent_round(0, 0.3)
    rig.step(0.0)
    rig.step(0.0)
    assert rig.port.polls[-1] == pytest.approx(0.3)


def test_what_is_not_due_is_not_committed(rig: Rig) -> None:
    rig.sent_round(0, -1.0)
    rig.sent_round(1, 30.0)
    rig.step(0.1)
    (done,) = rig.downstream.deliveries
    rig.loop.finish(done)
    rig.step(1.0)
    assert rig.port.stored[TopicPartition(RETRY, 0)].offset == 1
    rig.port.actions.append(("lose", [TopicPartition(RETRY, 0)]))
    rig.step(1.0)
    rig.step(60.0)
    assert rig.loop.held_until_due == 0
    assert len(rig.downstream.deliveries) == 1, "it is another member's now"


def test_a_clock_that_is_wrong_holds_nothing_longer_than_the_delay(rig: Rig) -> None:
    rig.sent_round(0, 3600.0)
    rig.step(0.1)
    rig.step(DELAY_S - 1)
    assert rig.downstream.offsets() == []
    rig.step(1.0)
    assert rig.downstream.offsets() == [0]


def test_much_that_waits_pauses_its_partition_alone_and_is_read_on_in_time(rig: Rig) -> None:
    for offset in range(150):
        rig.sent_round(offset, 30.0)
    rig.step(0.1)
    rig.step(0.1)
    assert rig.port.paused == {TopicPartition(RETRY, 0)}
    rig.port.feed(0, 5)
    rig.step(0.1)
    assert rig.downstream.offsets() == [5]
    rig.step(30.0)
    rig.step(0.1)
    assert rig.downstream.offsets() == [5, *range(150)]
    assert rig.port.paused == set()


def test_a_message_that_is_not_of_our_making_is_taken_at_once(rig: Rig) -> None:
    rig.port.queue.append(KafkaMessage(RETRY, 0, 0, b"key", b"{}", PENDING))
    rig.step(0.1)
    (taken,) = rig.downstream.deliveries
    assert taken.run_place == (RETRY, 0, 0)


def test_what_another_group_sent_round_is_passed_by(rig: Rig) -> None:
    """Two deployments share a broker, and the topic's default name."""
    rig.sent_round(0, 30.0, group="theirs")
    rig.sent_round(1, -1.0)
    rig.step(0.1)
    rig.step(31.0)
    assert rig.downstream.offsets() == [1]
    rig.loop.finish(rig.downstream.deliveries[0])
    rig.step(1.0)
    assert rig.port.stored[TopicPartition(RETRY, 0)].offset == 2


def test_who_went_round_as_a_suspect_comes_back_as_one_and_runs_alone(rig: Rig) -> None:
    """Going round gives no message another six processes."""
    rig.sent_round(0, 0.0)
    rig.sent_round(1, 0.0, takeovers=4)
    rig.sent_round(2, 0.0, takeovers=6)
    rig.sent_round(3, 0.0, group="theirs", takeovers=4)
    rig.step(0.1)
    (first,) = rig.downstream.deliveries
    assert (first.takeovers, first.is_suspect) == (0, False)
    for _ in range(5):
        rig.step(0.1)
    assert rig.downstream.offsets() == [0], "it waits until nothing else runs"
    rig.loop.finish(first)
    for _ in range(5):
        rig.step(0.1)
    suspect = rig.downstream.deliveries[-1]
    assert (suspect.offset, suspect.takeovers, suspect.is_suspect, suspect.is_poisoned) == (1, 4, True, False)
    rig.loop.finish(suspect)
    for _ in range(5):
        rig.step(0.1)
    poison = rig.downstream.deliveries[-1]
    assert (poison.offset, poison.takeovers, poison.is_suspect, poison.is_poisoned) == (2, 6, False, True)
    rig.loop.finish(poison)
    for _ in range(5):
        rig.step(0.1)
    assert len(rig.downstream.deliveries) == 3, "another deployment's is passed by"
