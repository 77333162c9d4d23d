"""The bench on a real broker, through our own ports."""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import signal
import time
import traceback
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from multiprocessing.connection import Connection

from confluent_kafka import Consumer, Producer
from confluent_kafka import TopicPartition as Place

from llm_service.contract.record import Record
from llm_service.kafka.config import (
    ConnectionConfig,
    GroupConfig,
    consumer_properties,
    producer_properties,
)
from llm_service.kafka.confluent import ConfluentConsumer
from llm_service.kafka.publisher import Publisher
from llm_service.kafka.transactional_producer import (
    TransactionalProducer,
    committed_properties,
    transactional_properties,
)
from tests.contract.kafka_benches import LARGEST, PARTITIONS, PATIENCE_S, Member, Seat, Transactions
from tests.services.kafka import Kafka
from tests.simulation.group import SESSION_S

# The classic protocol's session is the client's choice; KIP-848's is the broker's.
_CLASSIC_SESSION_S = 3.0


class _HeldProducer(TransactionalProducer):
    """Stops before the end when it is told to."""

    hold = False
    _held: Producer | None = None

    def _commit(self, producer: Producer) -> None:
        if self.hold:
            producer.flush(10)
            self._held = producer
        else:
            super()._commit(producer)

    def finish(self) -> None:
        assert self._held is not None
        super()._commit(self._held)

    def drop(self) -> None:
        assert self._held is not None
        self._held.abort_transaction(10)


class RealBench:
    """Fresh topics and a fresh group on the broker."""

    name = "real"

    def __init__(self, kafka: Kafka, protocol: str, opened: ExitStack) -> None:
        self._kafka = kafka
        self._connection = ConnectionConfig(kafka.bootstrap)
        self._group = kafka.unique("group")
        self._protocol = protocol
        self._opened = opened
        self._processes: dict[Member, int] = {}
        self.session_s = SESSION_S if protocol == "consumer" else _CLASSIC_SESSION_S
        self.tasks = kafka.topic("tasks", PARTITIONS)
        self.status = kafka.topic("status", 1, {"max.message.bytes": str(LARGEST)})

    def now(self) -> float:
        return time.monotonic()

    def member(self, *, apart: bool = False) -> Member:
        terms = self._kafka.bootstrap, self._group, self.tasks, self._protocol
        if apart:
            return self._apart(terms)
        seat = _seat(*terms)
        self._opened.callback(seat.close)
        return Member(lambda name, *arguments: getattr(seat, name)(*arguments))

    def stop(self, member: Member, seconds: float) -> None:
        os.kill(self._processes[member], signal.SIGSTOP)
        time.sleep(seconds)
        os.kill(self._processes[member], signal.SIGCONT)

    def idle(self, seconds: float) -> None:
        time.sleep(seconds)

    def transactions(self, name: str) -> Transactions:
        port = _HeldProducer(
            transactional_properties(self._producer(), f"{self._group}-{name}"),
            committed_properties(self._connection.properties(), self._group),
        )
        self._opened.callback(port.close)
        return port

    def stranger(self) -> bytes:
        consumer = Consumer(_member_properties(self._kafka.bootstrap, self._group, self._protocol))
        try:
            return bytes(consumer.consumer_group_metadata())
        finally:
            consumer.close()

    def send(self, partition: int, *values: bytes) -> None:
        producer = Producer({"bootstrap.servers": self._kafka.bootstrap})
        for value in values:
            producer.produce(self.tasks, value, partition=partition)
        assert producer.flush(10) == 0

    def publish(self, topic: str, value: bytes) -> None:
        async def publish() -> None:
            publisher = Publisher(self._producer())
            publisher.start()
            try:
                await publisher.publish(topic, Record(b"key", value, ()))
            finally:
                await publisher.close(1)

        asyncio.run(publish())

    def read(self, topic: str, isolation: str) -> list[tuple[int, bytes | None]]:
        asked = {
            "bootstrap.servers": self._kafka.bootstrap,
            "group.id": "reader",
            "enable.partition.eof": True,
        }
        reader = Consumer({**asked, "isolation.level": isolation})
        reader.assign([Place(topic, 0, 0)])
        found: list[tuple[int, bytes | None]] = []
        while (message := reader.poll(10)) is not None and message.error() is None:
            found.append((message.offset() or 0, message.value()))
        reader.close()
        return found

    def _producer(self) -> dict[str, object]:
        # A client that takes more than the topic, so that the broker is who refuses.
        return producer_properties(self._connection, 10_000, 1_000_000, LARGEST, lambda _: None)

    def _apart(self, terms: tuple[str, str, str, str]) -> Member:
        # Spawned, not forked: librdkafka's threads do not come along.
        context = multiprocessing.get_context("spawn")
        here, there = context.Pipe()
        process = context.Process(target=_serve, args=(there, *terms), daemon=True)
        process.start()
        self._opened.callback(process.kill)

        def do(name: str, *arguments: object) -> object:
            here.send((name, arguments))
            assert here.poll(PATIENCE_S), "the member's process does not answer"
            failed, answer = here.recv()
            assert not failed, answer
            return answer

        member = Member(do)
        assert process.pid is not None
        self._processes[member] = process.pid
        return member


def _member_properties(bootstrap: str, group: str, protocol: str) -> dict[str, object]:
    session = int(_CLASSIC_SESSION_S * 1000)
    membership = GroupConfig(
        group,
        "earliest",
        "consumer" if protocol == "consumer" else "classic",
        "cooperative-sticky" if protocol == "cooperative" else "range",
        None,
        session,
        session // 6,
        300_000,
    )
    return consumer_properties(ConnectionConfig(bootstrap), membership, lambda _: None, lambda _: None)


def _seat(bootstrap: str, group: str, topic: str, protocol: str) -> Seat:
    properties = _member_properties(bootstrap, group, protocol)
    return Seat(ConfluentConsumer(properties, lambda _: None), topic)


def _serve(pipe: Connection, *terms: str) -> None:
    """In the member's process."""
    seat = _seat(*terms)
    while True:
        name, arguments = pipe.recv()
        try:
            pipe.send((False, getattr(seat, name)(*arguments)))
        except Exception:
            pipe.send((True, traceback.format_exc()))


@contextmanager
def real(kafka: Kafka, protocol: str) -> Iterator[RealBench]:
    with ExitStack() as opened:
        yield RealBench(kafka, protocol, opened)
