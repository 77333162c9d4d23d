"""What the service of before has left on its topics: its tasks in both forms, its statuses, and those it never answered."""

from __future__ import annotations

import json
import random
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from uuid import UUID

from confluent_kafka import Consumer, Producer, TopicPartition

from tests.acceptance.scene import mark
from tests.acceptance.stage import Stage

Headers = list[tuple[str, str | bytes | None]]


@dataclass(slots=True)
class OldService:
    """Writes a history; ids by what became of them."""

    stage: Stage
    rng: random.Random
    answered: list[str] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)
    """Of the answered."""
    unanswered: list[str] = field(default_factory=list)
    _now_ms: int = 0

    def __post_init__(self) -> None:
        self._now_ms = int(time.time() * 1000) - 3_600_000

    def write(self, tasks: int, *, left: float = 0.3) -> OldService:
        """So many tasks; a share of them is left without an answer, some of these with a PROCESSING."""
        producer = self._producer()
        for _ in range(tasks):
            task_id = str(self._uuid())
            self.send(producer, task_id)
            is_left = self.rng.random() < left
            if not is_left or self.rng.random() < 0.5:
                self.say(producer, task_id, 2, {})
            if is_left:
                self.unanswered.append(task_id)
            else:
                self.answer(producer, task_id)
        assert producer.flush(20) == 0
        return self

    def send(self, producer: Producer, task_id: str) -> None:
        """A task in the form with headers, or in the one that has all in its body."""
        self._now_ms += 1000
        trace_id = str(self._uuid())
        if self.rng.random() < 0.5:
            headers: Headers = [("status", b"1"), ("trace_id", trace_id.encode())]
            body: Mapping[str, object] = {
                "text": mark(task_id),
                "metadata": json.dumps({"filename": "a.pdf"}),
            }
        else:
            headers = []
            body = {"task_id": task_id, "status": 1, "text": mark(task_id), "trace_id": trace_id}
        self._produce(producer, self.stage.tasks, task_id, body, headers)

    def answer(self, producer: Producer, task_id: str) -> None:
        """SUCCESS, or now and then FAILED."""
        self.answered.append(task_id)
        if self.rng.random() < 0.1:
            self.failed.append(task_id)
            self.say(producer, task_id, 4, {"error_message": "GigaChat did not answer"})
        else:
            self.say(producer, task_id, 3, {"result": json.dumps({"Статус": "Успешно"})})

    def say(self, producer: Producer, task_id: str, status: int, body: Mapping[str, object]) -> None:
        """A status as the service of before writes it."""
        self._now_ms += 500
        headers: Headers = [
            ("status", str(status).encode()),
            ("trace_id", str(self._uuid()).encode()),
            ("worker_id", b"LLM_worker_1"),
            ("timestamp", b"2026-11-20T09:10:00"),
        ]
        self._produce(producer, self.stage.status, task_id, body, headers)

    def commit_all(self, partitions: int) -> None:
        """Past what is unfinished, as it did."""
        consumer = Consumer({"bootstrap.servers": self.stage.kafka.bootstrap, "group.id": self.stage.group})
        places = [TopicPartition(self.stage.tasks, number) for number in range(partitions)]
        ends = [
            TopicPartition(place.topic, place.partition, consumer.get_watermark_offsets(place, 10)[1])
            for place in places
        ]
        consumer.commit(offsets=ends, asynchronous=False)
        consumer.close()

    def _producer(self) -> Producer:
        return Producer({"bootstrap.servers": self.stage.kafka.bootstrap, "partitioner": "murmur2_random"})

    def _produce(
        self, producer: Producer, topic: str, key: str, body: Mapping[str, object], headers: Headers
    ) -> None:
        value = json.dumps(body, ensure_ascii=False).encode()
        producer.produce(topic, value, key, headers=headers, timestamp=self._now_ms)

    def _uuid(self) -> UUID:
        return UUID(int=self.rng.getrandbits(128), version=4)


def called(stage: Stage) -> list[str]:
    """The tasks that the provider's stand-in was asked for, sorted."""
    return sorted(call.marker for call in stage.gigachat.requests() if call.marker)
