"""A bucket whose MinIO tells Kafka of new files, and a worker that makes tasks of them."""

from __future__ import annotations

import asyncio
import json
from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aiokafka import AIOKafkaConsumer
from confluent_kafka import Consumer, TopicPartition

from tests.acceptance.platform import Platform, Read
from tests.acceptance.stage import Stage
from tests.services.kafka import Kafka
from tests.services.minio_notifying import minio_notifying, notify
from tests.standins.process import GigaChatProcess

PARTITIONS = 4


@dataclass(frozen=True, slots=True)
class Dropping:
    """The stage, with its bucket's notifications on ``topic``."""

    stage: Stage
    topic: str
    rules: Path

    @property
    def environment(self) -> dict[str, str]:
        """What a worker is told of drops."""
        return {"KAFKA_FILE_DROP_TOPIC": self.topic, "DROP_RULES_FILE": str(self.rules)}

    def drop(self, key: str, told: str = "") -> None:
        """Put a file that the stand-in answers with its own mark, ``told`` beside."""
        self.stage.put(key, content(key, told))

    async def tasks(self, at_least: int, seconds: float = 20.0) -> dict[str, list[Read]]:
        """Task messages by the key of their file, once there are so many; a moment later, lest there are more."""
        by_key: dict[str, list[Read]] = defaultdict(list)
        prefix = f"s3://{self.stage.bucket}/"
        async for read in self._read(self.stage.tasks, at_least, seconds):
            by_key[read.body["storage_path"].removeprefix(prefix)].append(read)
        return by_key

    async def notifications(self, at_least: int, seconds: float = 20.0) -> list[Read]:
        """What MinIO told."""
        return [read async for read in self._read(self.topic, at_least, seconds)]

    async def done(self, seconds: float = 20.0) -> None:
        """Return when the group has committed all that MinIO told."""
        behind: list[int] = []
        for _ in range(int(seconds / 0.2)):
            behind = await asyncio.to_thread(self._behind)
            if not any(behind):
                return
            await asyncio.sleep(0.2)
        raise AssertionError(f"the lag of the drops does not end: {behind}")

    def _behind(self) -> list[int]:
        consumer = Consumer({"bootstrap.servers": self.stage.kafka.bootstrap, "group.id": self.stage.group})
        try:
            places = [TopicPartition(self.topic, number) for number in range(PARTITIONS)]
            committed = consumer.committed(places, 10)
            return [
                consumer.get_watermark_offsets(place, 5.0)[1] - max(place.offset, 0) for place in committed
            ]
        finally:
            consumer.close()

    async def _read(self, topic: str, at_least: int, seconds: float) -> Any:
        consumer = AIOKafkaConsumer(
            topic,
            bootstrap_servers=self.stage.kafka.bootstrap,
            auto_offset_reset="earliest",
            isolation_level="read_committed",
        )
        await consumer.start()
        count, patience = 0, seconds
        try:
            while True:
                try:
                    record = await asyncio.wait_for(consumer.getone(), patience)
                except TimeoutError:
                    assert count >= at_least, f"{count} of {at_least} messages on {topic}"
                    return
                count += 1
                patience = seconds if count < at_least else 1.0
                yield Read(
                    record.topic,
                    record.partition,
                    record.offset,
                    record.key,
                    record.value or b"",
                    record.headers,
                    record.timestamp / 1000,
                )
        finally:
            await consumer.stop()


@contextmanager
def dropping(kafka: Kafka, standin: GigaChatProcess, folder: Path, rules: str) -> Iterator[Dropping]:
    """A MinIO of the test's own beside the Kafka of all."""
    topic = kafka.topic("drops", PARTITIONS)
    with minio_notifying(folder / "minio", kafka.bootstrap, topic) as minio:
        stage = Stage.build(kafka, minio, standin, folder)
        notify(minio, stage.bucket)
        path = folder / "drops.yaml"
        path.write_text(rules, "utf-8")
        yield Dropping(stage, topic, path)


def content(key: str, told: str = "") -> bytes:
    """A file by whose answer one sees which file was read."""
    return f"{told}[[standin:answer=read {mark_of(key)} {{nonce}}]] Договор".encode()


def mark_of(key: str) -> str:
    """The key in a form that a directive holds."""
    return key.encode().hex()


def answer_of(event: Read) -> str:
    """The mark in an answer."""
    result: Mapping[str, str] = json.loads(event.body["result"])
    return result["raw_response"].split()[1]


def successes(here: Platform, task_id: str) -> list[Read]:
    """All SUCCESS events of a task."""
    return [event for event in here.of(task_id) if event.status == "3"]
