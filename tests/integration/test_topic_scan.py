"""The bounded reader of topics on a real broker: all that was there, nothing that was taken back, and an end."""

from __future__ import annotations

import time

import pytest
from confluent_kafka import Producer

from llm_service.errors import DependencyUnavailable
from llm_service.kafka.config import ConnectionConfig
from llm_service.kafka.port import TopicPartition
from llm_service.kafka.scan import TopicScan
from tests.services.kafka import Kafka


def scan(kafka: Kafka, *, committed: bool = True) -> TopicScan:
    return TopicScan(ConnectionConfig(kafka.bootstrap), 10.0, committed=committed)


def transactional(kafka: Kafka) -> Producer:
    producer = Producer({"bootstrap.servers": kafka.bootstrap, "transactional.id": kafka.unique("scan")})
    producer.init_transactions(20)
    return producer


def test_it_reads_what_is_there_in_order_and_ends(kafka: Kafka) -> None:
    topic = kafka.topic("scan", 3)
    producer = Producer({"bootstrap.servers": kafka.bootstrap})
    for number in range(30):
        producer.produce(topic, str(number), partition=number % 3, headers=[("a", b"1"), ("a", b"2")])
    producer.flush(20)
    with scan(kafka) as reader:
        found = list(reader.read(reader.spans(topic)))
    assert len(found) == 30
    of_first = [one.message for one in found if one.message.partition == 0]
    assert [message.value for message in of_first] == [str(number).encode() for number in range(0, 30, 3)]
    assert of_first[0].headers == (("a", b"1"), ("a", b"2"))
    assert all(one.timestamp is not None for one in found)


def test_it_begins_where_it_is_told(kafka: Kafka) -> None:
    topic = kafka.topic("scan", 1)
    producer = Producer({"bootstrap.servers": kafka.bootstrap})
    for number in range(10):
        producer.produce(topic, str(number))
    producer.flush(20)
    with scan(kafka) as reader:
        spans = reader.spans(topic)
        found = list(reader.read(spans, {TopicPartition(topic, 0): 7}))
        again = list(reader.read(spans, {TopicPartition(topic, 0): 10}))
    assert [one.message.offset for one in found] == [7, 8, 9]
    assert again == []


def test_an_aborted_transaction_is_left_out_and_its_marker_ends_the_reading(kafka: Kafka) -> None:
    topic = kafka.topic("scan", 1)
    producer = transactional(kafka)
    for value, commits in ((b"kept", True), (b"taken back", False)):
        producer.begin_transaction()
        producer.produce(topic, value)
        producer.flush(20)
        producer.commit_transaction(20) if commits else producer.abort_transaction(20)
    began = time.monotonic()
    with scan(kafka) as reader, scan(kafka, committed=False) as all_reader:
        seen = [one.message.value for one in reader.read(reader.spans(topic))]
        all_seen = [one.message.value for one in all_reader.read(all_reader.spans(topic))]
    assert (seen, all_seen) == ([b"kept"], [b"kept", b"taken back"])
    assert time.monotonic() - began < 9


def test_a_topic_that_is_not_there_has_no_partitions(kafka: Kafka) -> None:
    with scan(kafka) as reader:
        assert reader.spans(kafka.unique("none")) == {}
        assert list(reader.read({})) == []


def test_brokers_that_are_away_are_named() -> None:
    with TopicScan(ConnectionConfig("127.0.0.1:1"), 1.0) as reader, pytest.raises(DependencyUnavailable):
        reader.spans("tasks")
