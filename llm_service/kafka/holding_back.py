"""Messages that are here and not taken, because the offset map of their partition might not fit any more."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping, Sequence

from llm_service.kafka.port import KafkaMessage, TopicPartition
from llm_service.kafka.tracker import PartitionTracker


class HoldingBack:
    """Per partition, what came after the last one that could be taken. The consumer's thread alone.

    Such a partition is paused at once: one slow task has let thousands finish above it, and the second that a
    resume takes is little beside that.
    """

    def __init__(self) -> None:
        self._held: dict[TopicPartition, deque[KafkaMessage]] = {}

    def __len__(self) -> int:
        return sum(len(held) for held in self._held.values())

    def __contains__(self, place: TopicPartition) -> bool:
        return place in self._held

    @property
    def places(self) -> set[TopicPartition]:
        """The partitions that wait for room in their maps."""
        return set(self._held)

    def add(self, place: TopicPartition, message: KafkaMessage) -> None:
        self._held.setdefault(place, deque()).append(message)

    def takeable(self, trackers: Mapping[TopicPartition, PartitionTracker]) -> Iterator[KafkaMessage]:
        """Those that can be taken by now, each taken before the next is asked for."""
        for place in list(self._held):
            held, tracker = self._held[place], trackers[place]
            while held and tracker.has_room(held[0].offset):
                yield held.popleft()
            if not held:
                del self._held[place]

    def drop(self, places: Sequence[TopicPartition]) -> None:
        for place in places:
            self._held.pop(place, None)
