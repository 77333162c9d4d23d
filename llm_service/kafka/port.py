"""What the consumer loop needs of a Kafka consumer, and what it gives back to the side of the tasks.

The loop is written against these, so that a simulated consumer can drive the very same code.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from llm_service.contract.record import Headers
from llm_service.kafka.tracker import Position
from llm_service.tasks.ports import Delivery


@dataclass(frozen=True, slots=True, order=True)
class TopicPartition:
    topic: str
    partition: int


def by_topic(places: Iterable[TopicPartition]) -> dict[str, list[int]]:
    """The numbers of the partitions of each topic, both in the order given."""
    topics: dict[str, list[int]] = {}
    for place in places:
        topics.setdefault(place.topic, []).append(place.partition)
    return topics


@dataclass(frozen=True, slots=True)
class KafkaMessage:
    """One message as it was fetched."""

    topic: str
    partition: int
    offset: int
    key: bytes | None
    value: bytes | None
    headers: Headers

    @property
    def place(self) -> TopicPartition:
        return TopicPartition(self.topic, self.partition)


@dataclass(frozen=True, slots=True)
class Committed:
    """The group's committed offset of a partition and its metadata; ``offset`` is None when there is none."""

    topic: str
    partition: int
    offset: int | None
    metadata: str


class RebalanceListener(Protocol):
    """Called from inside ``poll`` and ``close``, on the owner's thread."""

    def on_assign(self, partitions: Sequence[TopicPartition]) -> Mapping[TopicPartition, int]:
        """From where to read each of them; the client has to find out for those that are left out."""
        ...

    def on_revoke(self, partitions: Sequence[TopicPartition]) -> None: ...

    def on_lost(self, partitions: Sequence[TopicPartition]) -> None: ...

    def on_commit(self, positions: Sequence[Position], error: str | None) -> None:
        """The broker's answer to ``commit_async``; ``error`` is None when it took the positions."""
        ...


class ConsumerPort(Protocol):
    """A consumer of one group; one thread calls it. Raises ConsumerFatal where it can't go on."""

    def subscribe(self, topics: Sequence[str], listener: RebalanceListener) -> None: ...

    def poll(self, timeout: float) -> KafkaMessage | None:
        """Wait up to ``timeout`` seconds for one message; rebalances happen in here."""
        ...

    def consume(self, limit: int) -> Sequence[KafkaMessage]:
        """At most ``limit`` messages that are here already, without waiting."""
        ...

    def committed(self, partitions: Sequence[TopicPartition], timeout: float) -> Sequence[Committed]:
        """What the broker says within ``timeout`` seconds; a partition without an answer is left out: ask again."""
        ...

    def commit_async(self, positions: Sequence[Position]) -> None:
        """Send the positions; the answer comes by ``on_commit``."""
        ...

    def commit(self, positions: Sequence[Position]) -> str | None:
        """Send the positions and wait for the answer: None, or what went wrong."""
        ...

    def pause(self, partitions: Sequence[TopicPartition]) -> None: ...

    def resume(self, partitions: Sequence[TopicPartition]) -> None: ...

    def seek(self, place: TopicPartition, offset: int) -> None:
        """Read on from ``offset``, and forget what was fetched; without effect before anything could be fetched."""
        ...

    def close(self) -> None:
        """Leave the group; ``on_revoke`` is called for what is still assigned."""
        ...


class GroupMember(Protocol):
    """What tells who in the group this consumer is; the thread that owns it calls."""

    def group_metadata(self) -> bytes | None:
        """What a transaction has to bring along to write the group's offsets; None while it is no member.

        A broker takes offsets under the metadata of a consumer that has not joined, and fences nothing then.
        """
        ...


class Downstream(Protocol):
    """The side of the tasks, as the owner's thread sees it."""

    def deliver(self, deliveries: Sequence[Delivery]) -> None:
        """Hand over without waiting."""
        ...

    def crowded(self, message: tuple[str, int, int]) -> None:
        """The message at this place holds its partition near the bound of the offset map; without waiting."""
        ...

    def revoke(self, epochs: dict[TopicPartition, int], timeout: float) -> None:
        """Stop the work of these partitions under these epochs.

        Returns when their outcomes that were being settled are settled, or after ``timeout`` seconds.
        """
        ...
