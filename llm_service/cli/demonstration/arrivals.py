"""Statuses as they arrive from Kafka, read as any consumer of the status topic would."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from dataclasses import dataclass

from confluent_kafka import OFFSET_BEGINNING, Consumer, Message, TopicPartition

from llm_service.resilience.clock import Clock

PROCESSING, SUCCESS, FAILED = 2, 3, 4
NAMES = {1: "PENDING", PROCESSING: "PROCESSING", SUCCESS: "SUCCESS", FAILED: "FAILED"}
# How long a Ctrl-C waits for the thread that reads.
_POLL_S = 0.1
_BATCH = 100


@dataclass(frozen=True, slots=True)
class Arrival:
    """One status event, and when it was read."""

    task_id: str
    status: int
    body: Mapping[str, object]
    at: float
    """Seconds of the monotonic clock."""

    @property
    def is_terminal(self) -> bool:
        return self.status in {SUCCESS, FAILED}


class StatusReader:
    """Reads a status topic from its beginning, without a group."""

    def __init__(self, bootstrap: str, topic: str, clock: Clock) -> None:
        self._topic = topic
        self._clock = clock
        self._consumer = Consumer(
            {
                "bootstrap.servers": bootstrap,
                # Asked for by librdkafka; with an assignment of one's own no group is joined.
                "group.id": "demo-reader",
                "enable.auto.commit": False,
                # The broker answers a fetch as soon as there is something, but looks only when asked.
                "fetch.wait.max.ms": 20,
                "log_level": 0,
            }
        )

    def assign(self, timeout: float) -> None:
        """Take all partitions; blocks."""
        partitions = self._consumer.list_topics(self._topic, timeout).topics[self._topic].partitions
        self._consumer.assign(
            [TopicPartition(self._topic, number, OFFSET_BEGINNING) for number in partitions]
        )

    async def read(self) -> list[Arrival]:
        """What has come since; an empty list after a tenth of a second in which nothing came."""
        messages = await asyncio.to_thread(self._consume)
        now = self._clock.monotonic()
        read = (_arrival(message, now) for message in messages if message.error() is None)
        return [arrival for arrival in read if arrival is not None]

    def close(self) -> None:
        self._consumer.close()

    def _consume(self) -> list[Message]:
        first = self._consumer.poll(_POLL_S)
        return [] if first is None else [first, *self._consumer.consume(_BATCH, 0)]


def _arrival(message: Message, now: float) -> Arrival | None:
    """None for what is no status event: whoever is on the machine may produce here."""
    headers = dict(message.headers() or ())
    word = headers.get("status")
    text = word.decode("ascii", "replace") if isinstance(word, bytes) else str(word)
    if text not in {"2", "3", "4"}:
        return None
    key: bytes | str = message.key() or b""
    task_id = key if isinstance(key, str) else key.decode("utf-8", "replace")
    return Arrival(task_id, int(text), _body(message.value()), now)


def _body(value: object) -> Mapping[str, object]:
    try:
        loaded = json.loads(value) if isinstance(value, bytes | str) else None
    except ValueError:
        loaded = None
    return loaded if isinstance(loaded, dict) else {}
