"""How far a group is behind in a topic: what it has not read, how old that is, what was deleted before it was read."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TypeVar

from confluent_kafka import Consumer, TopicPartition
from confluent_kafka.admin._group import ConsumerGroupDescription
from confluent_kafka.admin._listoffsets import EarliestSpec, LatestSpec, OffsetSpec

from llm_service.kafka.cluster import Cluster, CoordinatorMoves, answer, answered, operations
from llm_service.kafka.config import ConnectionConfig, accepted

T = TypeVar("T")

# A coordinator is found, or has read its groups, in a fraction of a second.
_PAUSE_S = 0.2


@dataclass(frozen=True, slots=True)
class Place:
    """A group's place in one partition, in offsets."""

    partition: int
    first: int
    """The oldest message that is still there."""
    end: int
    """Behind the newest message."""
    committed: int | None
    """The next one to be read; None before the group has committed any."""

    @property
    def unread(self) -> int:
        """Messages that are there and not done; all of them for a group that begins at the earliest."""
        return max(0, self.end - max(self.first, self.committed or 0))

    @property
    def lost(self) -> int:
        """Messages that retention deleted before they were done."""
        return 0 if self.committed is None else max(0, self.first - self.committed)


@dataclass(frozen=True, slots=True)
class Member:
    """A worker of the group."""

    client_id: str
    host: str
    partitions: Mapping[str, int]
    """How many it has of each topic."""


@dataclass(frozen=True, slots=True)
class Group:
    """The group as its coordinator describes it."""

    state: str
    """``STABLE``, ``EMPTY``, ``DEAD`` (none of that name yet) …"""
    protocol: str
    """``CLASSIC`` or ``CONSUMER``."""
    assignor: str
    members: tuple[Member, ...]
    operations: frozenset[str] | None
    """What this service may do with it; None where the broker does not say."""


def group(cluster: Cluster, group_id: str, timeout_s: float) -> Group:
    """Members and state. Blocks. Raises NotPermitted and DependencyUnavailable."""

    def describe() -> Group:
        futures = cluster.admin.describe_consumer_groups(
            [group_id], include_authorized_operations=True, request_timeout=timeout_s
        )
        return _group(answer(futures[group_id], timeout_s))

    return _when_coordinated(describe, timeout_s)


def places(
    cluster: Cluster, reader: Consumer, topic: str, partitions: int, timeout_s: float
) -> tuple[Place, ...]:
    """The group's place in each partition. Blocks. Raises NotPermitted and DependencyUnavailable.

    By a consumer and not by the admin client: librdkafka 2.16 ends the process when an admin client's request for offsets
    comes to a broker that does not coordinate the group yet, as in a cluster that has just been started.
    """
    wanted = [TopicPartition(topic, number) for number in range(partitions)]

    def ask() -> list[TopicPartition]:
        with answered():
            return reader.committed(wanted, timeout=timeout_s)

    committed = _when_coordinated(ask, timeout_s)
    done = {place.partition: place.offset for place in committed}
    return tuple(
        Place(number, first, end, done[number] if done.get(number, -1) >= 0 else None)
        for number, (first, end) in enumerate(extent(cluster, topic, partitions, timeout_s))
    )


def has_begun(reader: Consumer, topic: str, timeout_s: float) -> bool:
    """Whether the group has an offset there. Blocks. Raises NotPermitted and DependencyUnavailable."""

    def ask() -> list[TopicPartition]:
        with answered():
            partitions = reader.list_topics(topic, timeout=timeout_s).topics[topic].partitions
            wanted = [TopicPartition(topic, number) for number in partitions]
            return reader.committed(wanted, timeout=timeout_s) if wanted else []

    return any(place.offset >= 0 for place in _when_coordinated(ask, timeout_s))


def extent(cluster: Cluster, topic: str, partitions: int, timeout_s: float) -> list[tuple[int, int]]:
    """The oldest offset and the end of each partition. Blocks. Raises NotPermitted and DependencyUnavailable."""
    wanted = [TopicPartition(topic, number) for number in range(partitions)]
    firsts = _offsets(cluster, wanted, EarliestSpec(), timeout_s)  # type: ignore[no-untyped-call]
    ends = _offsets(cluster, wanted, LatestSpec(), timeout_s)  # type: ignore[no-untyped-call]
    return [(firsts[number], ends[number]) for number in range(partitions)]


@contextmanager
def reading(connection: ConnectionConfig, group_id: str, *, stable: bool = True) -> Iterator[Consumer]:
    """A consumer that may ask in the group's name, joins it never and commits nothing. Its closing blocks.

    Without ``stable`` what is committed is told at once, and what a transaction replaces right now is told as it was before.
    """
    properties: dict[str, str | int | float | bool] = {
        **connection.properties(),
        "group.id": group_id,
        "isolation.level": "read_committed" if stable else "read_uncommitted",
        "enable.auto.commit": False,
        "auto.offset.reset": "earliest",
        # One message of each partition is enough, and the first one comes whole whatever these say.
        "fetch.message.max.bytes": 1000,
        "queued.min.messages": 1,
    }
    with accepted():
        consumer = Consumer(properties)
    try:
        yield consumer
    finally:
        consumer.close()


def oldest_unread(
    reader: Consumer, topic: str, behind: tuple[Place, ...], timeout_s: float
) -> datetime | None:
    """When the oldest message that waits was written, by its own timestamp; None when none came in time. Blocks.

    Reads the first message of each partition that is behind.
    """
    starts = [
        TopicPartition(topic, place.partition, max(place.first, place.committed or 0))
        for place in behind
        if place.unread
    ]
    reader.assign(starts)
    return _oldest(reader, {start.partition for start in starts}, timeout_s)


def _when_coordinated(request: Callable[[], T], timeout_s: float) -> T:
    """The first group of a new cluster has its topic made, which takes a second: asked again until then."""
    until = time.monotonic() + timeout_s
    while True:
        try:
            return request()
        except CoordinatorMoves:
            if time.monotonic() + _PAUSE_S > until:
                raise
            time.sleep(_PAUSE_S)


def _oldest(consumer: Consumer, waiting: set[int], timeout_s: float) -> datetime | None:
    written: list[int] = []
    until = time.monotonic() + timeout_s
    while waiting and (left := until - time.monotonic()) > 0:
        message = consumer.poll(left)
        if message is None or message.error() is not None or message.partition() not in waiting:
            continue
        waiting.discard(message.partition() or 0)
        _, timestamp = message.timestamp()
        if timestamp > 0:
            written.append(timestamp)
    return datetime.fromtimestamp(min(written) / 1000, UTC) if written else None


def _offsets(
    cluster: Cluster, partitions: list[TopicPartition], spec: OffsetSpec, timeout_s: float
) -> dict[int, int]:
    futures = cluster.admin.list_offsets(dict.fromkeys(partitions, spec), request_timeout=timeout_s)
    return {place.partition: answer(future, timeout_s).offset for place, future in futures.items()}


def _group(described: ConsumerGroupDescription) -> Group:
    members = []
    for member in described.members:
        partitions: dict[str, int] = {}
        for place in member.assignment.topic_partitions:
            partitions[place.topic] = partitions.get(place.topic, 0) + 1
        members.append(Member(member.client_id, member.host.lstrip("/"), partitions))
    return Group(
        state=described.state.name,
        protocol=described.type.name,
        assignor=described.partition_assignor,
        members=tuple(members),
        operations=operations(described.authorized_operations),
    )
