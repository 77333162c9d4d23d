"""The publisher, on librdkafka's in-process broker."""

from __future__ import annotations

import asyncio

import pytest
from confluent_kafka import KafkaError

from llm_service.contract.record import Record
from llm_service.errors import MessageTooLarge, PublishFailed
from llm_service.kafka.embedded import EmbeddedBroker
from llm_service.kafka.publisher import Publisher

RECORD = Record(b"key", b"{}", (("status", b"2"),))
NOWHERE = {"bootstrap.servers": "127.0.0.1:1", "log_level": 0, "message.timeout.ms": 60_000}


async def test_a_producer_that_met_a_fatal_error_is_replaced_and_each_of_its_messages_is_reported() -> None:
    """A fatal error is for good: without a new producer every later outcome would wait for ever."""
    publisher = Publisher(NOWHERE)
    publisher.start()
    waiting = [asyncio.create_task(publisher.publish("topic", RECORD)) for _ in range(3)]
    await asyncio.sleep(0)
    before = publisher._producer
    publisher._judge(before, KafkaError(KafkaError._FATAL, "out of order", fatal=True))

    ended = await asyncio.wait_for(asyncio.gather(*waiting, return_exceptions=True), 10)

    assert [type(error) for error in ended] == [PublishFailed] * 3
    assert publisher._producer is not before
    await publisher.close(0)


async def test_what_is_published_is_acknowledged_and_what_is_too_large_is_named() -> None:
    broker = EmbeddedBroker()
    publisher = Publisher({"bootstrap.servers": broker.bootstrap, "message.max.bytes": 2000})
    publisher.start()
    await asyncio.wait_for(publisher.publish("topic", RECORD), 10)
    with pytest.raises(MessageTooLarge, match="topic"):
        await publisher.publish("topic", Record(b"key", b"x" * 3000, ()))
    await publisher.close(1)


async def test_a_queue_that_is_full_is_told_to_who_comes_next_and_to_nobody_else() -> None:
    publisher = Publisher({**NOWHERE, "queue.buffering.max.messages": 1})
    publisher.start()
    first = asyncio.create_task(publisher.publish("topic", RECORD))
    await asyncio.sleep(0)
    with pytest.raises(PublishFailed, match="the producer's queue is full: Kafka takes messages slower"):
        await publisher.publish("topic", RECORD)
    assert not first.done()
    first.cancel()
    await asyncio.gather(first, return_exceptions=True)
    await publisher.close(0)
