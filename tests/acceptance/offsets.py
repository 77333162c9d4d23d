"""Samples of the group's committed offsets, read from the broker by a consumer that never joins the group."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable
from dataclasses import dataclass, field

from confluent_kafka import Consumer, KafkaException, TopicPartition

from llm_service.kafka.offset_map import decode

EVERY_S = 0.1


@dataclass(frozen=True, slots=True)
class Sample:
    """What was committed at a moment: by partition, the offset and the commit's metadata."""

    at: float
    """Seconds since the epoch, when the answer had come."""
    committed: dict[int, tuple[int, str]]

    def covered(self, partition: int, offsets: Iterable[int]) -> set[int]:
        """Those of the offsets that this commit says are finished."""
        base, metadata = self.committed.get(partition, (0, ""))
        above = {offset for run in decode(metadata, base) for offset in range(run.start, run.end)}
        return {offset for offset in offsets if offset < base or offset in above}


@dataclass(slots=True)
class Sampler:
    """Takes samples until it is stopped."""

    bootstrap: str
    group: str
    topic: str
    partitions: int
    samples: list[Sample] = field(default_factory=list)
    _stopped: bool = False

    async def run(self) -> None:
        consumer = Consumer({"bootstrap.servers": self.bootstrap, "group.id": self.group, "log_level": 0})
        try:
            while not self._stopped:
                await asyncio.to_thread(self._take, consumer)
                await asyncio.sleep(EVERY_S)
        finally:
            consumer.close()

    def stop(self) -> None:
        self._stopped = True

    def now(self) -> Sample:
        """One sample at once."""
        consumer = Consumer({"bootstrap.servers": self.bootstrap, "group.id": self.group, "log_level": 0})
        try:
            return self._ask(consumer)
        finally:
            consumer.close()

    def _take(self, consumer: Consumer) -> None:
        try:
            self.samples.append(self._ask(consumer))
        except KafkaException:
            return  # the broker is away: there is nothing to see

    def _ask(self, consumer: Consumer) -> Sample:
        places = [TopicPartition(self.topic, partition) for partition in range(self.partitions)]
        answers = consumer.committed(places, 5.0)
        committed = {
            answer.partition: (answer.offset, answer.metadata or "")
            for answer in answers
            if answer.offset >= 0
        }
        return Sample(time.time(), committed)
