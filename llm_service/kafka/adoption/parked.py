"""Which tasks of the group wait on the retry topic: there they go on, so that their own messages are done.

A message of the retry topic has gone on where the same run has gone a further round, where its task was answered after it
was written, or where the group's own offsets say so. Those of other groups are passed by, as the workers do.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from llm_service.contract import retry
from llm_service.contract.message import Envelope
from llm_service.kafka import offset_map
from llm_service.kafka.adoption.answers import Answers
from llm_service.kafka.adoption.plan import text, weighed_between, worthiest
from llm_service.kafka.port import Committed, TopicPartition
from llm_service.kafka.scan import Scanned, Span
from llm_service.kafka.tracker import Position


@dataclass(frozen=True, slots=True)
class _Waiting:
    place: TopicPartition
    offset: int
    round: int
    is_done: bool
    """Kept all the same: an earlier round may lie on another partition, and be read later."""


class Parked:
    """The retry topic as one group sees it."""

    def __init__(
        self, group: str, spans: Mapping[TopicPartition, Span], committed: Mapping[TopicPartition, Committed]
    ) -> None:
        """``committed``: what the group has on this topic; partitions without an offset may be left out."""
        self._group = group
        self._spans = spans
        self._committed = committed
        self._newest: dict[retry.Run, _Waiting] = {}
        self._passed: dict[TopicPartition, list[int]] = {place: [] for place in spans}
        """Own messages by partition, whatever became of them."""

    def note(self, scanned: Scanned, answers: Answers) -> None:
        """One message of the topic, in the order of its partition."""
        message = scanned.message
        found = retry.decode(message.headers)
        if found is None or found[0].group != self._group:
            return
        note, headers = found
        self._passed[message.place].append(message.offset)
        before = self._newest.get(note.run)
        if before is not None and before.round >= note.round:
            return
        identity = Envelope(message.key, message.value, headers, *note.run).identity()
        is_done = self._is_done(message.place, message.offset) or answers.covers(identity.task_id, scanned)
        self._newest[note.run] = _Waiting(message.place, message.offset, note.round, is_done)

    @property
    def runs(self) -> Collection[retry.Run]:
        """Where the tasks that wait there were read first."""
        return {run for run, found in self._newest.items() if not found.is_done}

    def positions(self) -> list[Position]:
        """Where the group is to begin there; none where it has offsets, or nothing of its own lies there."""
        if self._committed or not any(self._passed.values()):
            return []
        return [self._position(place) for place in sorted(self._spans)]

    def _position(self, place: TopicPartition) -> Position:
        waiting = sorted(
            found.offset for found in self._newest.values() if found.place == place and not found.is_done
        )
        end = self._spans[place].end
        base = waiting[0] if waiting else end
        bounds = [*waiting[1:], end]
        gaps = [
            sum(offset < passed < bound for passed in self._passed[place])
            for offset, bound in zip(waiting, bounds, strict=False)
        ]
        kept = worthiest(base, weighed_between(waiting, gaps, end))
        return Position(place.topic, place.partition, base, text(base, kept))

    def _is_done(self, place: TopicPartition, offset: int) -> bool:
        known = self._committed.get(place)
        if known is None or known.offset is None:
            return False
        if offset < known.offset:
            return True
        try:
            runs = offset_map.read(known.metadata, known.offset).runs
        except offset_map.OffsetMapInvalid:
            return False
        return any(run.start <= offset < run.end for run in runs)
