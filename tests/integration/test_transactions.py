"""The transactional producer on a real broker: what is whole, what is invisible, who is refused, how the dead end."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from confluent_kafka import Consumer, Producer
from confluent_kafka import TopicPartition as ConfluentPartition

from llm_service.contract.record import Record
from llm_service.errors import DependencyUnavailable, MessageTooLarge, TopicNotWritable
from llm_service.kafka.adoption.standing import is_known
from llm_service.kafka.config import ConnectionConfig
from llm_service.kafka.dead_member import DeadMembers
from llm_service.kafka.offset_map import Run, encode_owned, read
from llm_service.kafka.port import TopicPartition
from llm_service.kafka.tracker import Position
from llm_service.kafka.transaction import MembershipRefused, MessagesRefused, Outgoing, Undecided
from llm_service.kafka.transactional_producer import (
    TransactionalProducer,
    committed_properties,
    transactional_properties,
)
from tests.contract.test_settler_contract import read_all
from tests.services.kafka import Kafka


@dataclass
class Bench:
    """A group with one member, and a producer of its own."""

    kafka: Kafka
    group: str
    tasks: str
    status: str
    member: Consumer
    port: TransactionalProducer
    reader: dict[str, object]

    @property
    def metadata(self) -> bytes:
        metadata: bytes = self.member.consumer_group_metadata()
        return metadata

    def outgoing(self, *values: bytes, topic: str | None = None) -> list[Outgoing]:
        return [Outgoing(topic or self.status, Record(b"key", value, ())) for value in values]

    def position(self, offset: int, *above: int, owner: str = "me") -> list[Position]:
        runs = [Run(one, one + 1) for one in above]
        return [Position(self.tasks, 0, offset, encode_owned(offset, runs, owner))]

    def seen(self, isolation: str = "read_committed") -> list[bytes | None]:
        return read_all(self.kafka, self.status, isolation)


def producer_config(kafka: Kafka, name: str) -> dict[str, object]:
    plain = {**ConnectionConfig(kafka.bootstrap).properties(), "partitioner": "murmur2_random"}
    return transactional_properties(plain, name)


@pytest.fixture
def bench(kafka: Kafka) -> Iterator[Bench]:
    group, tasks = kafka.unique("group"), kafka.topic("tasks", 1)
    status = kafka.topic("status", 1, {"max.message.bytes": "5000"})
    member = Consumer({"bootstrap.servers": kafka.bootstrap, "group.id": group, "session.timeout.ms": 6000})
    assigned: list[object] = []
    member.subscribe([tasks], on_assign=lambda _, partitions: assigned.append(partitions))
    while not assigned:
        member.poll(0.1)
    config = producer_config(kafka, f"{group}-me")
    reader = committed_properties(ConnectionConfig(kafka.bootstrap).properties(), group)
    port = TransactionalProducer(config, reader)
    port.open()
    yield Bench(kafka, group, tasks, status, member, port, reader)
    port.close()
    member.close()


def test_event_offset_and_map_are_there_together(bench: Bench) -> None:
    bench.port.run(bench.outgoing(b"one", b"two"), bench.position(4, 6), bench.metadata)
    assert bench.seen() == [b"one", b"two"]
    (answer,) = bench.port.committed([TopicPartition(bench.tasks, 0)])
    known = read(answer.metadata, answer.offset or 0)
    assert (answer.offset, known.runs, known.owner) == (4, (Run(6, 7),), "me")


def test_a_queue_smaller_than_a_transaction_is_waited_for(bench: Bench) -> None:
    config = {**producer_config(bench.kafka, f"{bench.group}-me"), "queue.buffering.max.messages": 3}
    port = TransactionalProducer(config, bench.reader)
    port.open()
    values = [b"%d" % number for number in range(10)]
    port.run(bench.outgoing(*values), bench.position(10), bench.metadata)
    port.close()
    assert bench.seen() == values


def test_a_former_member_is_refused_and_nothing_of_it_is_seen(bench: Bench) -> None:
    former = bench.metadata
    bench.member.unsubscribe()
    deadline = time.monotonic() + 10
    while bench.metadata == former and time.monotonic() < deadline:
        bench.member.poll(0.1)
    with pytest.raises(MembershipRefused):
        bench.port.run(bench.outgoing(b"late"), bench.position(4), former)
    assert bench.seen() == []
    assert bench.seen("read_uncommitted") in ([], [b"late"])
    (answer,) = bench.port.committed([TopicPartition(bench.tasks, 0)])
    assert answer.offset is None


def test_a_message_that_is_too_large_is_named_and_nothing_of_the_others_is_seen(bench: Bench) -> None:
    with pytest.raises(MessagesRefused) as refused:
        bench.port.run(bench.outgoing(b"x" * 9000), bench.position(1), bench.metadata)
    assert {index: type(error) for index, error in refused.value.named.items()} == {0: MessageTooLarge}
    bench.port.run(bench.outgoing(b"small"), bench.position(1), bench.metadata)
    assert bench.seen() == [b"small"]


def test_a_message_that_the_client_itself_refuses_is_named_too(bench: Bench) -> None:
    with pytest.raises(MessagesRefused) as refused:
        bench.port.run(bench.outgoing(b"fine", b"x" * 2_000_000), bench.position(1), bench.metadata)
    assert list(refused.value.named) == [1]
    assert bench.seen() == []


def test_messages_for_a_topic_that_is_missing_are_named(bench: Bench) -> None:
    missing = bench.outgoing(b"lost", topic=bench.kafka.unique("missing"))
    with pytest.raises(MessagesRefused) as refused:
        bench.port.run([*bench.outgoing(b"one"), *missing], bench.position(1), bench.metadata)
    assert {index: type(error) for index, error in refused.value.named.items()} == {1: TopicNotWritable}
    bench.port.run(bench.outgoing(b"one"), bench.position(1), bench.metadata)
    assert bench.seen() == [b"one"]


def test_a_producer_that_was_fenced_says_so_and_goes_on_when_it_is_opened_anew(bench: Bench) -> None:
    Producer(producer_config(bench.kafka, f"{bench.group}-me")).init_transactions(10)
    with pytest.raises(Undecided):
        bench.port.run(bench.outgoing(b"one"), bench.position(1), bench.metadata)
    assert bench.seen() == []
    bench.port.open()
    bench.port.run(bench.outgoing(b"one"), bench.position(1), bench.metadata)
    assert bench.seen() == [b"one"]


def test_a_dead_members_transaction_is_ended_long_before_the_broker_would(bench: Bench) -> None:
    name = f"{bench.group}-dead"
    config = producer_config(bench.kafka, name)
    before = TransactionalProducer(config, bench.reader)
    before.open()
    before.run([], bench.position(1, owner=name), bench.metadata)
    before.close()
    dead = Producer(config)
    dead.init_transactions(10)
    dead.begin_transaction()
    dead.produce(bench.status, b"half")
    offsets = [ConfluentPartition(bench.tasks, 0, 2, "half")]
    dead.send_offsets_to_transaction(offsets, bench.metadata, 10)
    place = TopicPartition(bench.tasks, 0)
    assert bench.port.committed([place]) == [], "it is undecided, so nothing may start"
    began = time.monotonic()
    assert is_known(ConnectionConfig(bench.kafka.bootstrap), bench.group, bench.tasks, 5.0)
    assert time.monotonic() - began < 2, "a process that starts meanwhile does not wait for it"

    said: list[str] = []
    members = DeadMembers(config, bench.reader, f"{bench.group}-me", said.append, time.monotonic)
    began = time.monotonic()
    while not (answers := bench.port.committed([place])):
        members.overdue([place])
    assert time.monotonic() - began < 5
    assert [answer.offset for answer in answers] == [1], "and what it had begun does not count"
    while not said and time.monotonic() - began < 10:
        time.sleep(0.01)
    assert name in said[0]
    assert bench.seen() == []


def test_a_cluster_that_gives_no_coordinator_is_known_within_seconds(bench: Bench) -> None:
    del bench
    port = TransactionalProducer(
        transactional_properties({"bootstrap.servers": "127.0.0.1:9", "log_level": 0}, "group-me"), {}
    )
    began = time.monotonic()
    with pytest.raises(DependencyUnavailable, match="KAFKA_DELIVERY=at_least_once"):
        port.open()
    assert time.monotonic() - began < 8
