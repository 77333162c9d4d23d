"""Settling in ``at_least_once``: all of an outcome is acknowledged before its offset counts, and only while it is ours."""

from __future__ import annotations

import asyncio
from collections import deque

import pytest

from llm_service import events
from llm_service.contract.record import Record
from llm_service.errors import (
    DeliveryError,
    DeliveryRevoked,
    MessageTooLarge,
    PublishFailed,
    TopicNotWritable,
)
from llm_service.kafka.settling import AtLeastOnceSettler, KafkaStatusSink, OutcomeTopics, RepublishPolicy
from llm_service.tasks.ports import Delivery, Outcome
from tests.manual_clock import ManualClock
from tests.unit.kafka.fake_transactions import delivery

TOPICS = OutcomeTopics("status", "dlq", "retry", "tasks")
POLICY = RepublishPolicy(first_delay_s=0.5, last_delay_s=3.0)


def record(name: str) -> Record:
    return Record(name.encode(), b"", ())


class Kafka:
    """The publisher and the source in one: what happened, in its order."""

    def __init__(self) -> None:
        self.log: list[tuple[str, object]] = []
        self.fails: deque[DeliveryError] = deque()
        self.gone_after: int | None = None
        """The partition leaves after so many messages were offered."""
        self.offered = 0

    async def publish(self, topic: str, one: Record) -> None:
        self.offered += 1
        if self.fails:
            raise self.fails.popleft()
        self.log.append((topic, one))

    def is_live(self, one: Delivery) -> bool:
        assert isinstance(one, Delivery)
        return self.gone_after is None or self.offered < self.gone_after

    def finish(self, one: Delivery) -> None:
        self.log.append(("finished", one))


class Rig:
    def __init__(self, policy: RepublishPolicy | None = POLICY) -> None:
        self.kafka = Kafka()
        self.clock = ManualClock()
        self.seen: list[events.Event] = []
        arguments = (self.kafka, lambda: self.kafka, TOPICS, self.clock, self.seen.append)
        self.settler = (
            AtLeastOnceSettler(*arguments)  # type: ignore[arg-type]
            if policy is None
            else AtLeastOnceSettler(*arguments, policy)  # type: ignore[arg-type]
        )

    async def settled_after(self, outcome: Outcome) -> float:
        """Seconds on the clock."""
        began = self.clock.monotonic()
        await self.clock.run(self.settler.settle(delivery(7), outcome))
        return self.clock.monotonic() - began


@pytest.fixture
def rig() -> Rig:
    return Rig()


async def test_an_outcome_goes_to_its_topics_in_their_order_and_then_its_offset_counts(rig: Rig) -> None:
    outcome = Outcome(record("s"), record("d"), retry=record("r"), tasks=(record("t1"), record("t2")))
    await rig.settler.settle(delivery(7), outcome)
    assert rig.kafka.log == [
        ("status", record("s")),
        ("dlq", record("d")),
        ("retry", record("r")),
        ("tasks", record("t1")),
        ("tasks", record("t2")),
        ("finished", delivery(7)),
    ]
    assert rig.seen == []


async def test_what_an_outcome_does_not_have_is_not_written(rig: Rig) -> None:
    await rig.settler.settle(delivery(7), Outcome(record("s"), None))
    assert rig.kafka.log == [("status", record("s")), ("finished", delivery(7))]


@pytest.mark.parametrize(
    "error", [PublishFailed("no acknowledgement"), TopicNotWritable("status is missing")]
)
async def test_what_kafka_does_not_take_is_offered_again_after_pauses_that_double_to_their_limit(
    rig: Rig, error: PublishFailed
) -> None:
    rig.kafka.fails.extend([error] * 5)
    assert await rig.settled_after(Outcome(record("s"), None)) == 0.5 + 1.0 + 2.0 + 3.0 + 3.0
    assert rig.kafka.log == [("status", record("s")), ("finished", delivery(7))]
    assert rig.seen == [events.Trouble("kafka", error.message)] * 5


async def test_each_message_begins_with_the_short_pause() -> None:
    rig = Rig(policy=None)
    rig.kafka.fails.extend([PublishFailed("no")] * 6)
    assert await rig.settled_after(Outcome(record("s"), record("d"))) == 0.5 + 1.0 + 2.0 + 4.0 + 8.0 + 10.0


async def test_what_is_too_large_is_for_the_sender_and_no_offset_counts(rig: Rig) -> None:
    rig.kafka.fails.append(MessageTooLarge("too large"))
    with pytest.raises(MessageTooLarge):
        await rig.settler.settle(delivery(7), Outcome(record("s"), None))
    assert rig.kafka.log == []


@pytest.mark.parametrize(
    ("gone_after", "written"), [(0, []), (1, [("status", record("s"))])], ids=["before", "meanwhile"]
)
async def test_a_partition_that_left_gets_no_more_and_its_offset_does_not_count(
    rig: Rig, gone_after: int, written: list[tuple[str, object]]
) -> None:
    rig.kafka.gone_after = gone_after
    for outcome in (Outcome(record("s"), None), Outcome(record("s"), record("d"))):
        rig.kafka.offered = 0
        rig.kafka.log.clear()
        with pytest.raises(DeliveryRevoked):
            await rig.settler.settle(delivery(7), outcome)
        assert rig.kafka.log == written


async def test_a_partition_that_leaves_during_a_pause_ends_the_offering(rig: Rig) -> None:
    rig.kafka.fails.append(PublishFailed("no"))
    rig.kafka.gone_after = 1
    with pytest.raises(DeliveryRevoked):
        await rig.settled_after(Outcome(record("s"), None))
    assert rig.kafka.offered == 1


async def test_what_is_released_is_not_finished(rig: Rig) -> None:
    rig.settler.release(delivery(7))
    await asyncio.sleep(0)
    assert rig.kafka.log == []


async def test_a_status_goes_to_its_topic_as_it_is() -> None:
    kafka = Kafka()
    await KafkaStatusSink(kafka, "status").publish(record("s"))  # type: ignore[arg-type]
    assert kafka.log == [("status", record("s"))]
