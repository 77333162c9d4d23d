"""What every settler must do: one suite over both delivery modes, on a real broker."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace

import pytest
from confluent_kafka import Consumer, Producer, TopicPartition

from llm_service import events
from llm_service.contract.record import Record
from llm_service.errors import DeliveryRevoked, MessageTooLarge
from llm_service.kafka.config import (
    ConnectionConfig,
    GroupConfig,
    consumer_properties,
    producer_properties,
)
from llm_service.kafka.confluent import ConfluentConsumer
from llm_service.kafka.consumer_policy import ConsumerPolicy
from llm_service.kafka.exactly_once import ExactlyOnceSettler, TransactionalCommits
from llm_service.kafka.offset_map import read
from llm_service.kafka.publisher import Publisher
from llm_service.kafka.settling import AtLeastOnceSettler, OutcomeTopics
from llm_service.kafka.settling_loop import SettlingPolicy
from llm_service.kafka.source import KafkaSource
from llm_service.kafka.transactional_producer import (
    TransactionalProducer,
    committed_properties,
    transactional_properties,
)
from llm_service.resilience.clock import SystemClock
from llm_service.tasks.ports import Delivery, Outcome, Settler
from tests.services.kafka import Kafka

LARGEST = 20_000


@dataclass
class Intake:
    """Takes deliveries and keeps them."""

    taken: list[Delivery] = field(default_factory=list)

    def take(self, deliveries: Sequence[Delivery]) -> None:
        self.taken += deliveries

    async def revoke(self, is_gone: Callable[[Delivery], bool]) -> None:
        self.taken = [delivery for delivery in self.taken if not is_gone(delivery)]


@dataclass
class Bench:
    """A source and its settler over fresh topics of one partition."""

    kafka: Kafka
    settler: Settler
    source: KafkaSource
    intake: Intake
    tasks: str
    topics: OutcomeTopics
    group: str
    seen: list[events.Event]

    async def deliveries(self, count: int) -> list[Delivery]:
        """Send so many messages, and what came of them."""
        producer = Producer({"bootstrap.servers": self.kafka.bootstrap})
        for number in range(count):
            producer.produce(self.tasks, f"{number}".encode(), key=b"key")
        await asyncio.to_thread(producer.flush, 10)
        await self.until(lambda: len(self.intake.taken) >= count)
        return self.intake.taken[-count:]

    async def until(self, true: Callable[[], bool]) -> None:
        deadline = time.monotonic() + 15
        while not true():
            assert time.monotonic() < deadline, self.seen
            await asyncio.sleep(0.01)

    def committed(self) -> tuple[int, set[int]]:
        """The offset, and what the map says is finished above it."""
        consumer = Consumer({"bootstrap.servers": self.kafka.bootstrap, "group.id": self.group})
        try:
            (answer,) = consumer.committed([TopicPartition(self.tasks, 0)], 5)
        finally:
            consumer.close()
        runs = read(answer.metadata, answer.offset).runs
        return answer.offset, {offset for run in runs for offset in range(run.start, run.end)}

    async def until_committed(self, offset: int, above: set[int]) -> None:
        deadline = time.monotonic() + 10
        while (found := await asyncio.to_thread(self.committed)) != (offset, above):
            assert time.monotonic() < deadline, found
            await asyncio.sleep(0.05)

    def read(self, topic: str) -> list[bytes | None]:
        """What a read_committed reader sees of it."""
        return read_all(self.kafka, topic)


def read_all(kafka: Kafka, topic: str, isolation: str = "read_committed") -> list[bytes | None]:
    consumer = Consumer(
        {
            "bootstrap.servers": kafka.bootstrap,
            "group.id": "reader",
            "isolation.level": isolation,
            "enable.partition.eof": True,
        }
    )
    consumer.assign([TopicPartition(topic, 0, 0)])
    found = []
    while (message := consumer.poll(10)) is not None and message.error() is None:
        found.append(message.value())
    consumer.close()
    return found


def outcome(status: bytes | None, letter: bytes | None = None) -> Outcome:
    first, second = (Record(b"key", value, ()) if value is not None else None for value in (status, letter))
    return Outcome(status=first, dead_letter=second)


@pytest.fixture(params=["at_least_once", "exactly_once"])
async def bench(request: pytest.FixtureRequest, kafka: Kafka) -> AsyncIterator[Bench]:
    async with benched(kafka, request.param) as bench:
        yield bench


@asynccontextmanager
async def benched(kafka: Kafka, mode: str) -> AsyncIterator[Bench]:
    """Started on the running loop, closed on leaving."""
    config = {"max.message.bytes": str(LARGEST)}
    topics = OutcomeTopics(
        kafka.topic("status", 1, config), kafka.topic("dlq", 1), kafka.topic("retry", 1, config)
    )
    tasks, group = kafka.topic("tasks", 1), kafka.unique("group")
    seen: list[events.Event] = []
    connection = ConnectionConfig(kafka.bootstrap)
    membership = GroupConfig(group, "earliest", "classic", "cooperative-sticky", None, 6000, 1500, 300_000)
    consumer = ConfluentConsumer(
        consumer_properties(connection, membership, lambda _: None, lambda _: None), lambda _: None
    )
    # A client that takes more than the topic, so that the broker is who refuses.
    properties = producer_properties(connection, 10_000, 1_000_000, LARGEST, lambda _: None)
    publisher = Publisher(properties)
    publisher.start()
    intake = Intake()
    if mode == "at_least_once":
        commits = None
        settler: Settler = AtLeastOnceSettler(publisher, lambda: source, topics, SystemClock(), seen.append)
    else:
        port = TransactionalProducer(
            transactional_properties(properties, f"{group}-me"),
            committed_properties(connection.properties(), group),
        )
        await asyncio.to_thread(port.open)
        exact = ExactlyOnceSettler(
            port,
            SettlingPolicy(f"{group}-me"),
            topics,
            seen.append,
            lambda error: source.fail(error),  # noqa: PLW0108 -- it is made below
            lambda: source.wake(),  # noqa: PLW0108
        )
        exact.start()
        settler, commits = exact, TransactionalCommits(consumer, exact.loop, lambda _: None)
    policy = ConsumerPolicy(topics=(tasks,), window=100, poll_timeout_s=0.1)
    source = KafkaSource(consumer, policy, intake, seen.append, commits)
    ended = source.start()
    try:
        yield Bench(kafka, settler, source, intake, tasks, topics, group, seen)
    finally:
        await source.close(5)
        if isinstance(settler, ExactlyOnceSettler):
            await settler.close(5)
        await publisher.close(1)
        await ended


async def test_an_outcome_is_there_once_with_its_offset_and_what_is_finished_above(bench: Bench) -> None:
    first, second, third = await bench.deliveries(3)
    await bench.settler.settle(second, outcome(b"two", b"letter"))
    await bench.settler.settle(third, outcome(b"three"))
    assert bench.read(bench.topics.status) == [b"two", b"three"]
    assert bench.read(bench.topics.dead_letter) == [b"letter"]
    await bench.until_committed(0, {1, 2})
    await bench.settler.settle(first, outcome(b"one"))
    await bench.until_committed(3, set())


async def test_one_that_goes_round_is_on_the_retry_topic_and_done_here(bench: Bench) -> None:
    """Its offset with it: killed from here on, it is neither lost nor there twice."""
    first, second = await bench.deliveries(2)
    await bench.settler.settle(second, Outcome(retry=Record(b"key", b"two", ())))
    assert bench.read(bench.topics.retry) == [b"two"]
    assert bench.read(bench.topics.status) == []
    await bench.until_committed(0, {1})
    with pytest.raises(MessageTooLarge):
        async with asyncio.timeout(20):
            await bench.settler.settle(first, Outcome(retry=Record(b"key", b"x" * 2 * LARGEST, ())))
    await bench.until_committed(0, {1})
    await bench.settler.settle(first, outcome(b"one"))
    await bench.until_committed(2, set())
    assert bench.read(bench.topics.retry) == [b"two"]


async def test_a_message_that_is_skipped_moves_the_offset_and_says_nothing(bench: Bench) -> None:
    (only,) = await bench.deliveries(1)
    await bench.settler.settle(only, Outcome())
    await bench.until_committed(1, set())
    assert bench.read(bench.topics.status) == []


async def test_many_at_once_are_all_there(bench: Bench) -> None:
    found = await bench.deliveries(80)
    await asyncio.gather(*(bench.settler.settle(one, outcome(b"%d" % one.offset)) for one in reversed(found)))
    assert sorted(int(value or b"") for value in bench.read(bench.topics.status)) == list(range(80))
    await bench.until_committed(80, set())


async def test_an_outcome_of_a_former_epoch_is_refused_and_not_published(bench: Bench) -> None:
    (only,) = await bench.deliveries(1)
    await bench.source.close(5)
    with pytest.raises(DeliveryRevoked):
        await asyncio.wait_for(bench.settler.settle(only, outcome(b"late")), 5)
    with pytest.raises(DeliveryRevoked):
        await asyncio.wait_for(bench.settler.settle(replace(only, epoch=0), outcome(b"late")), 5)
    assert bench.read(bench.topics.status) == []


async def test_one_that_is_too_large_is_told_so_and_the_others_are_settled(bench: Bench) -> None:
    first, second, third = await bench.deliveries(3)
    settling = [
        bench.settler.settle(first, outcome(b"one")),
        bench.settler.settle(second, outcome(b"x" * (LARGEST + 5000), b"letter")),
        bench.settler.settle(third, outcome(b"three")),
    ]
    answers = await asyncio.gather(*settling, return_exceptions=True)
    assert [type(answer) for answer in answers] == [type(None), MessageTooLarge, type(None)]
    await bench.until_committed(1, {2})
    await bench.settler.settle(second, outcome(b"smaller"))
    await bench.until_committed(3, set())
    assert sorted(bench.read(bench.topics.status), key=str) == [b"one", b"smaller", b"three"]
    assert bench.read(bench.topics.dead_letter) == []
