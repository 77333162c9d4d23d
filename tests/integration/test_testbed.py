"""Each service of the test bed is the real thing."""

from __future__ import annotations

import asyncio
import io
import time

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer

from tests.services.kafka import Kafka
from tests.services.minio import MinioServer


async def test_kafka_keeps_what_was_produced_over_a_kill(kafka: Kafka) -> None:
    topic = kafka.topic("testbed", partitions=12)
    async with AIOKafkaProducer(bootstrap_servers=kafka.bootstrap) as producer:
        for number in range(24):
            await producer.send_and_wait(topic, f"задача {number}".encode(), partition=number % 12)
    await asyncio.to_thread(kafka.restart)
    values = await _read(kafka, topic, count=24)
    assert values == {f"задача {number}" for number in range(24)}


async def test_a_paused_kafka_is_silent_and_comes_back(kafka: Kafka) -> None:
    topic = kafka.topic("testbed", partitions=1)
    async with AIOKafkaProducer(bootstrap_servers=kafka.bootstrap) as producer:
        await producer.send_and_wait(topic, b"before")
        kafka.pause()
        sent = asyncio.create_task(producer.send_and_wait(topic, b"during"))
        await asyncio.sleep(0.5)
        assert not sent.done()
        kafka.resume()
        await asyncio.wait_for(sent, 20)
    assert await _read(kafka, topic, count=2) == {"before", "during"}


def test_minio_keeps_an_object_over_a_kill(minio: MinioServer) -> None:
    bucket = minio.bucket()
    body = "письмо".encode() * 1000
    minio.client().put_object(bucket, "входящие/письмо.txt", io.BytesIO(body), len(body))
    minio.restart()
    answer = minio.client().get_object(bucket, "входящие/письмо.txt")
    try:
        assert answer.read() == body
    finally:
        answer.close()
        answer.release_conn()


def test_a_killed_service_is_down_until_it_is_started(minio: MinioServer) -> None:
    minio.kill()
    assert not minio.is_running()
    began = time.monotonic()
    minio.start()
    assert minio.is_running()
    assert time.monotonic() - began < 30


async def _read(kafka: Kafka, topic: str, count: int) -> set[str]:
    """The values of a topic's first records, in the order of no partition."""
    consumer = AIOKafkaConsumer(
        topic,
        bootstrap_servers=kafka.bootstrap,
        group_id=kafka.unique("testbed"),
        auto_offset_reset="earliest",
    )
    await consumer.start()
    try:
        async with asyncio.timeout(30):
            return {(await anext(consumer)).value.decode() for _ in range(count)}
    finally:
        await consumer.stop()
