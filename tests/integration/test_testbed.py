"""Each service of the test bed is the real thing."""

from __future__ import annotations

import asyncio
import gc
import io
import json
import time

import asyncpg
import jsonschema
import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from ollama import AsyncClient

from tests.services.bed import Bed
from tests.services.kafka import Kafka
from tests.services.minio import MinioServer
from tests.services.ollama import Ollama
from tests.services.postgres import Postgres
from tests.services.wishes import Wishes


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


@pytest.mark.usefixtures("minio")
def test_a_bed_waits_for_the_end_of_what_it_started() -> None:
    """A process that nobody has waited for fails whichever test runs when it is collected: here this one."""
    bed = Bed(Wishes.read(), lambda _line: None)
    bed.another("minio")
    bed.close()
    del bed
    gc.collect()


async def test_postgres_keeps_a_committed_row_over_a_kill(postgres: Postgres) -> None:
    dsn = await asyncio.to_thread(postgres.database)
    connection = await asyncpg.connect(dsn)
    await connection.execute("CREATE TABLE letter (body text)")
    await connection.execute("INSERT INTO letter VALUES ($1)", "письмо")
    await asyncio.to_thread(postgres.restart)
    connection.terminate()
    connection = await asyncpg.connect(dsn)
    assert await connection.fetchval("SELECT body FROM letter") == "письмо"
    await connection.close()


async def test_each_asked_for_postgres_database_is_its_own(postgres: Postgres) -> None:
    first, second = [await asyncio.to_thread(postgres.database) for _ in range(2)]
    connection = await asyncpg.connect(first)
    await connection.execute("CREATE TABLE letter (body text)")
    await connection.close()
    connection = await asyncpg.connect(second)
    assert await connection.fetchval("SELECT to_regclass('letter')") is None
    await connection.close()


async def test_ollama_keeps_to_a_schema(ollama: Ollama) -> None:
    schema = {
        "type": "object",
        "properties": {"city": {"type": "string"}, "count": {"type": "integer"}},
        "required": ["city", "count"],
    }
    messages = [{"role": "system", "content": "Отвечай кратко."}, {"role": "user", "content": "Какой город?"}]
    async with AsyncClient(host=ollama.base_url, timeout=60) as client:
        answer = await client.chat(model=ollama.model, messages=messages, format=schema, options={"seed": 7})
    assert answer.message.content is not None
    jsonschema.validate(json.loads(answer.message.content), schema)
    assert answer.done_reason == "stop"


async def test_ollama_answers_in_words_and_ends(ollama: Ollama) -> None:
    messages = [{"role": "user", "content": "Как дела?"}]
    async with AsyncClient(host=ollama.base_url, timeout=60) as client:
        answer = await client.chat(model=ollama.model, messages=messages, options={"seed": 7})
    assert answer.message.content
    assert answer.done_reason == "stop"
    assert answer.prompt_eval_count is not None
    assert answer.prompt_eval_count > len("Как дела?".encode())


async def test_ollama_comes_back_with_its_model(ollama: Ollama) -> None:
    await asyncio.to_thread(ollama.restart)
    async with AsyncClient(host=ollama.base_url, timeout=60) as client:
        listed = await client.list()
    assert [model.model for model in listed.models] == [f"{ollama.model}:latest"]


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
