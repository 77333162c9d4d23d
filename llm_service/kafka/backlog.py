"""How far a group is behind in a topic: what it has not read, how old that is, what was deleted before it was read."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from confluent_kafka import (
    Consumer,
    ConsumerGroupTopicPartitions,
    TopicPartition,
)
from confluent_kafka.admin._group import ConsumerGroupDescription
from confluent_kafka.admin._listoffsets import EarliestSpec, LatestSpec, OffsetSpec

from llm_service.kafka.cluster import Cluster, answer, operations
from llm_service.kafka.config import ConnectionConfig, accepted


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
    futures = cluster.admin.describe_consumer_groups(
        [group_id], include_authorized_operations=True, request_timeout=timeout_s
    )
    return _group(answer(futures[group_id], timeout_s))


def places(
    cluster: Cluster, group_id: str, topic: str, partitions: int, timeout_s: float
) -> tuple[Place, ...]:
    """The group's place in each partition. Blocks. Raises NotPermitted and DependencyUnavailable."""
    wanted = [TopicPartition(topic, number) for number in range(partitions)]
    committing = cluster.admin.list_consumer_group_offsets(
        [ConsumerGroupTopicPartitions(group_id, wanted)], request_timeout=timeout_s
    )[group_id]
    there = extent(cluster, topic, partitions, timeout_s)
    committed = answer(committing, timeout_s).topic_partitions or []
    done = {place.partition: place.offset for place in committed}
    return tuple(
        Place(number, first, end, done[number] if done.get(number, -1) >= 0 else None)
        for number, (first, end) in enumerate(there)
    )


def extent(cluster: Cluster, topic: str, partitions: int, timeout_s: float) -> list[tuple[int, int]]:
    """The oldest offset and the end of each partition. Blocks. Raises NotPermitted and DependencyUnavailable."""
    wanted = [TopicPartition(topic, number) for number in range(partitions)]
    firsts = _offsets(cluster, wanted, EarliestSpec(), timeout_s)  # type: ignore[no-untyped-call]
    ends = _offsets(cluster, wanted, LatestSpec(), timeout_s)  # type: ignore[no-untyped-call]
    return [(firsts[number], ends[number]) for number in range(partitions)]


def oldest_unread(
    connection: ConnectionConfig, group_id: str, topic: str, behind: tuple[Place, ...], timeout_s: float
) -> datetime | None:
    """When the oldest message that waits was written, by its own timestamp; None when none came in time. Blocks.

    Reads the first message of each partition that is behind, joining no group and committing nothing.
    """
    starts = [
        TopicPartition(topic, place.partition, max(place.first, place.committed or 0))
        for place in behind
        if place.unread
    ]
    properties: dict[str, str | int | float | bool] = {
        **connection.properties(),
        "group.id": group_id,
        "enable.auto.commit": False,
        "auto.offset.reset": "earliest",
        # One message of each is enough, and the first one comes whole whatever these say.
        "fetch.message.max.bytes": 1000,
        "queued.min.messages": 1,
    }
    with accepted():
        consumer = Consumer(properties)
    try:
        consumer.assign(starts)
        return _oldest(consumer, {start.partition for start in starts}, timeout_s)
    finally:
        consumer.close()


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
