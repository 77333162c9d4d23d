"""The tasks of one run, and how many of them are done, as the broker tells."""

from __future__ import annotations

import json
import uuid
from dataclasses import dataclass

from confluent_kafka import Producer, TopicPartition
from confluent_kafka.admin import AdminClient, OffsetSpec  # type: ignore[attr-defined]

from tests.services.kafka import Kafka

PARTITIONS = 12
EVENTS_A_TASK = 2
# Two pages of ordinary Russian prose are 3 to 4 kB; a letter's text is about one.
TEXT = (
    "Уважаемые коллеги! Направляем вам уточнённый график поставок и просим подтвердить его получение. " * 10
)
_FLUSH_S = 60
_ASK_S = 10


@dataclass(frozen=True, slots=True)
class Topics:
    """Fresh topics and a fresh group on one broker."""

    bootstrap: str
    tasks: str
    status: str
    dead_letters: str
    group: str

    @classmethod
    def create(cls, kafka: Kafka) -> Topics:
        tasks, status, letters = (
            kafka.topic(name, PARTITIONS) for name in ("bench-tasks", "bench-status", "bench-dlq")
        )
        return cls(kafka.bootstrap, tasks, status, letters, kafka.unique("bench"))

    def produce(self, count: int) -> None:
        """Put so many tasks on the topic; they are there when this returns."""
        producer = Producer(
            {
                "bootstrap.servers": self.bootstrap,
                "linger.ms": 20,
                "partitioner": "murmur2_random",
                "queue.buffering.max.messages": 1_000_000,
            }
        )
        value = json.dumps({"text": TEXT, "task_type": "summary"}, ensure_ascii=False).encode()
        for _ in range(count):
            task_id = str(uuid.uuid4())
            headers = [("status", b"1"), ("prompt_id", b"1"), ("trace_id", str(uuid.uuid4()).encode())]
            producer.produce(self.tasks, value, task_id.encode(), headers=list(headers))
            producer.poll(0)
        if producer.flush(_FLUSH_S):
            raise RuntimeError(f"Kafka did not take {count} tasks within {_FLUSH_S} s")

    def progress(self) -> Progress:
        return Progress(self)


class Progress:
    """Counts tasks by the ends of the status topic's partitions: what is measured is not asked itself."""

    def __init__(self, topics: Topics) -> None:
        self._admin = AdminClient({"bootstrap.servers": topics.bootstrap})
        latest: OffsetSpec = OffsetSpec.latest()  # type: ignore[no-untyped-call]
        self._wanted = {TopicPartition(topics.status, number): latest for number in range(PARTITIONS)}
        self.done()  # connects and learns the leaders, which can take a second

    def done(self) -> float:
        """Tasks done; half a task is one whose PROCESSING is there."""
        ends = self._admin.list_offsets(self._wanted, request_timeout=_ASK_S).values()
        return float(sum(end.result(_ASK_S).offset for end in ends)) / EVENTS_A_TASK
