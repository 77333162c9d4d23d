"""Who we are in the group and what is ours under that, as one snapshot.

A broker checks the member and its generation, never who owns a partition: newer metadata must not go with older
partitions. So the consumer's thread makes both at once, and a transaction uses one snapshot from its beginning to its end.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

from llm_service.kafka.port import TopicPartition
from llm_service.kafka.tracker import PartitionTracker, Position
from llm_service.tasks.ports import Delivery


@dataclass(frozen=True, slots=True)
class Membership:
    """A snapshot; ``metadata`` is None while this consumer is no member, and nothing may be settled."""

    metadata: bytes | None
    held: Mapping[TopicPartition, PartitionTracker]

    def tracker(self, delivery: Delivery) -> PartitionTracker | None:
        """The tracker that the delivery was taken by; None when its epoch has ended."""
        tracker = self.held.get(place_of(delivery))
        return tracker if tracker is not None and tracker.epoch == delivery.epoch else None

    def positions(
        self, finished: Iterable[Delivery], moved: Collection[TopicPartition], owner: str
    ) -> Sequence[Position]:
        """What to commit in the transaction that finishes these, and for the partitions that moved without it."""
        offsets: dict[TopicPartition, set[int]] = {place: set() for place in moved if place in self.held}
        for delivery in finished:
            offsets.setdefault(place_of(delivery), set()).add(delivery.offset)
        found = [self.held[place].position_with(done, owner) for place, done in sorted(offsets.items())]
        return [position for position in found if position is not None]


def place_of(delivery: Delivery) -> TopicPartition:
    return TopicPartition(delivery.topic, delivery.partition)
