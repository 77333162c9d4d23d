"""Which offsets of one partition are unfinished, under one assignment.

The committed offset is the lowest unfinished one, never the highest finished: a crash then repeats
work, and loses none. What is finished above it goes into the offset map.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from llm_service.kafka.offset_map import Run, encode, finished_runs


@dataclass(frozen=True, slots=True)
class Position:
    """What is committed for a partition: the next offset to run and the map of those finished above it."""

    topic: str
    partition: int
    offset: int
    metadata: str


class PartitionTracker:
    """The offsets taken from one partition under one epoch.

    Not thread-safe: the thread that owns the consumer is the only one that touches it.
    """

    __slots__ = ("_inherited", "_next", "_unfinished", "epoch", "highest_finished", "partition", "topic")

    def __init__(self, topic: str, partition: int, epoch: int, finished: Sequence[Run] = ()) -> None:
        self.topic = topic
        self.partition = partition
        self.epoch = epoch
        self.highest_finished = -1
        self._inherited = list(finished)
        self._unfinished: set[int] = set()
        self._next: int | None = None

    @property
    def unfinished(self) -> int:
        """How many offsets were taken and are not finished."""
        return len(self._unfinished)

    def take(self, offset: int) -> bool:
        """Note that the message at ``offset`` was read; False when a former owner has finished it.

        Offsets come in ascending order within an assignment; one read again below is taken again.
        """
        if self._next is None or offset >= self._next:
            self._next = offset + 1
        if self._was_finished(offset):
            self.highest_finished = max(self.highest_finished, offset)
            return False
        self._unfinished.add(offset)
        return True

    def skip(self, offset: int) -> None:
        """Note that the message at ``offset`` was read and needs no work: read and finished in one."""
        if self._next is None or offset >= self._next:
            self._next = offset + 1
        self.highest_finished = max(self.highest_finished, offset)

    def finish(self, offset: int) -> bool:
        """Note that the outcome of ``offset`` is durable; False when it was not open here."""
        if offset not in self._unfinished:
            return False
        self._unfinished.discard(offset)
        self.highest_finished = max(self.highest_finished, offset)
        return True

    def position(self) -> Position | None:
        """What to commit now; None before anything was read."""
        if self._next is None:
            return None
        base = min(self._unfinished, default=self._next)
        runs = finished_runs(base, self._next, self._unfinished)
        runs += [Run(max(run.start, self._next), run.end) for run in self._inherited if run.end > self._next]
        return Position(self.topic, self.partition, base, encode(base, runs))

    def _was_finished(self, offset: int) -> bool:
        # Runs wholly below are dropped on the way: offsets only grow, so each run is looked at once.
        while self._inherited and self._inherited[0].end <= offset:
            del self._inherited[0]
        return bool(self._inherited) and self._inherited[0].start <= offset
