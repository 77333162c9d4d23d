"""A platform as the wire contract describes it: produces tasks and reads statuses, by aiokafka, knowing nothing of ours."""

from __future__ import annotations

import asyncio
import json
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer

Headers = Sequence[tuple[str, bytes]]
TERMINAL = {"3", "4"}


@dataclass(frozen=True, slots=True)
class Read:
    """One record of a topic as it lies there."""

    topic: str
    partition: int
    offset: int
    key: bytes | None
    value: bytes
    headers: Headers
    written_at: float
    """Seconds since the epoch, as its producer stamped it."""

    def header(self, name: str) -> str | None:
        """The last header of that name, as text."""
        found = [value for key, value in self.headers if key == name]
        return found[-1].decode() if found else None

    @property
    def status(self) -> str:
        return self.header("status") or ""

    @property
    def body(self) -> dict[str, Any]:
        loaded: dict[str, Any] = json.loads(self.value)
        return loaded


@dataclass(slots=True)
class Platform:
    """One producer, and readers of the status and the dead-letter topic from their beginning."""

    producer: AIOKafkaProducer
    tasks_topic: str
    events: list[Read] = field(default_factory=list)
    letters: list[Read] = field(default_factory=list)
    by_key: dict[str, list[Read]] = field(default_factory=lambda: defaultdict(list))
    ended_keys: set[str] = field(default_factory=set)
    """Keys that have a terminal event."""
    arrived: asyncio.Condition = field(default_factory=asyncio.Condition)

    async def send(
        self,
        value: bytes | Mapping[str, object] | None,
        *,
        key: str | bytes | None = None,
        headers: Mapping[str, str] | Headers | None = None,
        partition: int | None = None,
    ) -> tuple[int, int]:
        """Produce one message and wait for its acknowledgement: partition and offset."""
        raw = json.dumps(value, ensure_ascii=False).encode() if isinstance(value, Mapping) else value
        pairs = (
            [(name, text.encode()) for name, text in headers.items()]
            if isinstance(headers, Mapping)
            else headers
        )
        sent = await self.producer.send_and_wait(
            self.tasks_topic,
            raw,
            key=key.encode() if isinstance(key, str) else key,
            headers=list(pairs or ()),
            partition=partition,
        )
        return sent.partition, sent.offset

    def of(self, task_id: str) -> list[Read]:
        """The status events of a task, in their order."""
        return [event for event in self.by_key[task_id] if event.status in {"2", *TERMINAL}]

    def keep(self, event: Read) -> None:
        key = (event.key or b"").decode("utf-8", "replace")
        self.events.append(event)
        self.by_key[key].append(event)
        if event.status in TERMINAL and event.header("event_id"):
            self.ended_keys.add(key)

    def terminal(self, task_id: str) -> list[Read]:
        return [event for event in self.of(task_id) if event.status in TERMINAL]

    def letters_of(self, key: str | bytes | None) -> list[Read]:
        raw = key.encode() if isinstance(key, str) else key
        return [letter for letter in self.letters if letter.key == raw]

    async def until(self, true: Callable[[], bool], seconds: float = 30.0, what: str = "") -> None:
        """Wait until ``true()``; fails the test when that does not come within ``seconds``."""
        try:
            async with asyncio.timeout(seconds), self.arrived:
                await self.arrived.wait_for(true)
        except TimeoutError:
            raise AssertionError(f"not within {seconds:.0f} s: {what or true}") from None

    async def ended(self, *task_ids: str, seconds: float = 30.0) -> list[Read]:
        """The first terminal event of each, in the order asked for."""
        await self.until(
            lambda: all(self.terminal(task_id) for task_id in task_ids),
            seconds,
            f"terminal events of {len(task_ids)} tasks",
        )
        return [self.terminal(task_id)[0] for task_id in task_ids]


@asynccontextmanager
async def platform(
    bootstrap: str, tasks_topic: str, status_topic: str, dead_letter_topic: str | None
) -> AsyncIterator[Platform]:
    """Started on the running loop, stopped on leaving."""
    producer = AIOKafkaProducer(bootstrap_servers=bootstrap, acks="all", enable_idempotence=True, linger_ms=2)
    topics = [status_topic, *([dead_letter_topic] if dead_letter_topic else [])]
    consumer = AIOKafkaConsumer(
        *topics, bootstrap_servers=bootstrap, auto_offset_reset="earliest", isolation_level="read_committed"
    )
    await producer.start()
    await consumer.start()
    here = Platform(producer, tasks_topic)
    reading = asyncio.create_task(_read(consumer, here, dead_letter_topic))
    try:
        yield here
    finally:
        reading.cancel()
        await asyncio.gather(reading, return_exceptions=True)
        await consumer.stop()
        await producer.stop()


async def _read(consumer: AIOKafkaConsumer, here: Platform, dead_letter_topic: str | None) -> None:
    while True:
        batches = await consumer.getmany(timeout_ms=200)
        for records in batches.values():
            for record in records:
                read = Read(
                    record.topic,
                    record.partition,
                    record.offset,
                    record.key,
                    record.value or b"",
                    record.headers,
                    record.timestamp / 1000,
                )
                if record.topic == dead_letter_topic:
                    here.letters.append(read)
                else:
                    here.keep(read)
        if batches:
            async with here.arrived:
                here.arrived.notify_all()
