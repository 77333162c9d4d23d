"""The status topic, read by aiokafka: without a group, without commits."""

from __future__ import annotations

import asyncio
import heapq
from collections.abc import Iterable
from contextlib import suppress
from datetime import datetime
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import (
    CorruptRecordException,
    KafkaError,
    TopicAuthorizationFailedError,
    UnsupportedCodecError,
)

from llm_service.cli.watching.arrival import Arrival, Message, read_arrival
from llm_service.cli.watching.connection import client_arguments
from llm_service.cli.watching.start import Edge, Start
from llm_service.errors import DependencyUnavailable
from llm_service.kafka.config import ConnectionConfig
from llm_service.kafka.topics import StatusTopic
from llm_service.resilience.clock import Clock

# What a reader of the screen does not notice; the broker answers as soon as there is something.
_FETCH_WAIT_MS = 100
_BATCH = 500
_OPEN_S = 10.0
# A broker answers in milliseconds.
_ANSWER_S = 3.0
# How soon a partition that was added is found.
_METADATA_MS = 5_000
_CLOSE_S = 2.0


class StatusReader:
    """Reads one topic from where it is told to, as far as it is committed (read_committed), and on."""

    def __init__(
        self,
        connection: ConnectionConfig,
        topic: StatusTopic,
        clock: Clock,
        ids: Iterable[str] = (),
        *,
        fetch_wait_ms: int = _FETCH_WAIT_MS,
    ) -> None:
        """With ``ids`` only the statuses of those tasks are read. Raises SettingsInvalid.

        ``fetch_wait_ms``: how long a broker keeps a request in which it has nothing to tell.
        """
        self._servers = connection.bootstrap_servers
        self._topic = topic
        self._clock = clock
        self._ids = frozenset(ids)
        self._consumer: Any = None
        self._arguments = client_arguments(connection)
        self._fetch_wait_ms = fetch_wait_ms
        self._ahead: dict[TopicPartition, int] = {}
        """Partitions that are not read as far as they went when reading began, and how far that is."""

    @property
    def topic(self) -> StatusTopic:
        return self._topic

    @property
    def caught_up(self) -> bool:
        """Whether everything that was there when reading began has been read."""
        return not self._ahead

    def only(self, ids: Iterable[str]) -> None:
        """From now on read the statuses of these tasks alone."""
        self._ids = frozenset(ids)

    async def open(self, start: Start) -> None:
        """Settle where each partition is read from: what is written after this returned is read for sure.

        Raises DependencyUnavailable.
        """
        self._consumer = AIOKafkaConsumer(
            **self._arguments,
            group_id=None,
            enable_auto_commit=False,
            isolation_level="read_committed",
            # Where what was to be read has been deleted meanwhile.
            auto_offset_reset="earliest",
            fetch_max_wait_ms=self._fetch_wait_ms,
            metadata_max_age_ms=_METADATA_MS,
            # A broker that is stopped keeps its connections.
            request_timeout_ms=10_000,
        )
        try:
            async with asyncio.timeout(_OPEN_S):
                await self._consumer.start()
                places = [TopicPartition(self._topic.name, n) for n in range(self._topic.partitions)]
                self._consumer.assign(places)
                await self._seek(places, start)
        except (KafkaError, TimeoutError) as error:
            raise self._unreadable(error) from error

    async def read(self, wait_s: float) -> list[Arrival]:
        """What has come, at the latest after ``wait_s`` seconds; an empty list when nothing has.

        Raises DependencyUnavailable where waiting can't help: no right to read, or what can't be decoded.
        """
        try:
            batches = await self._consumer.getmany(timeout_ms=int(wait_s * 1000), max_records=_BATCH)
        except (TopicAuthorizationFailedError, UnsupportedCodecError, CorruptRecordException) as error:
            raise self._unreadable(error) from error
        except KafkaError:
            # What passes: aiokafka tries again by itself, and ``trouble`` tells when it lasts.
            await self._clock.sleep(wait_s)
            return []
        now = self._clock.monotonic()
        # Partitions are read side by side; each keeps its order, and among them what was written first goes first.
        records = heapq.merge(*batches.values(), key=lambda record: record.timestamp)
        read = [self._read(record, now) for record in records]
        if self._ahead:
            await self._look_how_far()
        await self._take_new_partitions()
        return [arrival for arrival in read if arrival is not None]

    async def trouble(self) -> str | None:
        """What keeps statuses from coming, asked actively; None when the brokers answer."""
        place = TopicPartition(self._topic.name, 0)
        try:
            async with asyncio.timeout(_ANSWER_S):
                await self._consumer.end_offsets([place])
        except (KafkaError, TimeoutError):
            return f"no answer about {self._topic.name} from {self._servers}"
        return None

    async def close(self) -> None:
        if self._consumer is None:
            return
        with suppress(KafkaError, TimeoutError):
            async with asyncio.timeout(_CLOSE_S):
                await self._consumer.stop()

    def _read(self, record: Any, now: float) -> Arrival | None:
        message = Message(
            record.topic,
            record.partition,
            record.offset,
            record.key,
            record.value,
            tuple(record.headers),
            record.timestamp / 1000,
        )
        return read_arrival(message, now, ids=self._ids, shared=self._topic.shared)

    async def _seek(self, places: list[TopicPartition], start: Start) -> None:
        ends = await self._consumer.end_offsets(places)
        begins = ends if start is Edge.END else await self._consumer.beginning_offsets(places)
        if isinstance(start, datetime):
            milliseconds = int(start.timestamp() * 1000)
            found = await self._consumer.offsets_for_times(dict.fromkeys(places, milliseconds))
            begins = {p: ends[p] if found.get(p) is None else found[p].offset for p in places}
        for place in places:
            self._consumer.seek(place, begins[place])
        self._ahead = {place: ends[place] for place in places if begins[place] < ends[place]}

    async def _look_how_far(self) -> None:
        """By position, not by what was read: the end of a transaction is a record nobody is given."""
        with suppress(TimeoutError):
            async with asyncio.timeout(_ANSWER_S):
                for place in list(self._ahead):
                    if await self._consumer.position(place) >= self._ahead[place]:
                        del self._ahead[place]

    async def _take_new_partitions(self) -> None:
        """Partitions that were added to the topic: all of what is in them is new."""
        known = self._consumer.assignment()
        numbers = self._consumer.partitions_for_topic(self._topic.name) or set()
        added = {TopicPartition(self._topic.name, number) for number in numbers} - known
        if not added:
            return
        with suppress(TimeoutError, KafkaError):
            async with asyncio.timeout(_ANSWER_S):
                positions = {place: await self._consumer.position(place) for place in known}
                self._consumer.assign([*known, *added])
                for place in (*known, *added):
                    self._consumer.seek(place, positions.get(place, 0))

    def _unreadable(self, error: Exception) -> DependencyUnavailable:
        name = self._topic.name
        match error:
            case TopicAuthorizationFailedError():
                return DependencyUnavailable(f"{name} may not be read: grant READ on it")
            case UnsupportedCodecError() | CorruptRecordException():
                return DependencyUnavailable(f"{name} holds what can't be decoded here: {error}")
        return DependencyUnavailable(
            f"no answer about {name} from {self._servers} ({str(error) or type(error).__name__}): "
            "check KAFKA_BOOTSTRAP_SERVERS and that Kafka runs"
        )
