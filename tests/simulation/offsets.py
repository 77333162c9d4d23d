"""A group's committed offsets, and those that wait for the end of a transaction."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from llm_service.kafka.port import Committed, TopicPartition
from llm_service.kafka.tracker import Position
from tests.simulation.log import Producer

METADATA_LIMIT = 4095
"""The broker's 4,096 less the NUL that confluent-kafka sends along."""


@dataclass(frozen=True, slots=True)
class _Written:
    """``number``: its place in the offsets' own log, where a later plain commit beats a transaction begun before."""

    offset: int
    metadata: str
    number: int


class Offsets:
    """What ``OffsetFetch`` answers."""

    def __init__(self) -> None:
        self._stable: dict[TopicPartition, _Written] = {}
        self._pending: dict[TopicPartition, dict[Producer, _Written]] = {}
        self._number = 0
        self.on_commit: Callable[[TopicPartition], None] = lambda _: None

    def commit(self, positions: Sequence[Position]) -> str | None:
        """A plain commit, each partition for itself: None, or why some are refused."""
        for position in positions:
            if len(position.metadata) <= METADATA_LIMIT:
                self._put(_place(position), self._new(position))
        return _refusal(positions)

    def add_pending(self, writer: Producer, positions: Sequence[Position]) -> str | None:
        """The offsets of an open transaction: None, or why it can only be aborted."""
        refusal = _refusal(positions)
        for position in positions if refusal is None else ():
            self._pending.setdefault(_place(position), {})[writer] = self._new(position)
        return refusal

    def decide(self, writer: Producer, *, commit: bool) -> None:
        for place, waiting in list(self._pending.items()):
            written = waiting.pop(writer, None)
            if not waiting:
                del self._pending[place]
            if commit and written is not None:
                before = self._stable.get(place)
                if before is None or before.number < written.number:
                    self._put(place, written)

    def is_stable(self, place: TopicPartition) -> bool:
        return place not in self._pending

    def stable(self, places: Sequence[TopicPartition]) -> list[Committed]:
        """One undecided partition holds up those that are asked for with it: librdkafka asks for all of them again."""
        return [self.committed(place) for place in places] if all(map(self.is_stable, places)) else []

    def committed(self, place: TopicPartition) -> Committed:
        """The last stable value, whatever waits."""
        found = self._stable.get(place)
        if found is None:
            return Committed(place.topic, place.partition, None, "")
        return Committed(place.topic, place.partition, found.offset, found.metadata)

    def _put(self, place: TopicPartition, written: _Written) -> None:
        self._stable[place] = written
        self.on_commit(place)

    def _new(self, position: Position) -> _Written:
        self._number += 1
        return _Written(position.offset, position.metadata, self._number)


def _refusal(positions: Sequence[Position]) -> str | None:
    is_too_long = any(len(position.metadata) > METADATA_LIMIT for position in positions)
    return "OFFSET_METADATA_TOO_LARGE" if is_too_long else None


def _place(position: Position) -> TopicPartition:
    return TopicPartition(position.topic, position.partition)
