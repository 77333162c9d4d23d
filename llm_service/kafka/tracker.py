"""Which offsets of one partition are unfinished, under one assignment.

The committed offset is the lowest unfinished one, never the highest finished: a crash then repeats
work, and loses none. What is finished above it goes into the offset map.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from threading import Lock

from llm_service.kafka.offset_map import (
    RUNS_LIMIT,
    Run,
    Work,
    encode,
    encode_owned,
    finished_runs,
    read,
    varint,
)
from llm_service.kafka.suspects import NOBODY, Suspects

_CROWDED = RUNS_LIMIT * 3 // 4


@dataclass(frozen=True, slots=True)
class Position:
    """What is committed for a partition: the next offset to run and the map of those finished above it."""

    topic: str
    partition: int
    offset: int
    metadata: str


class PartitionTracker:
    """The offsets taken from one partition under one epoch.

    Thread-safe: the consumer's thread takes, and what is settled in transactions is finished by the thread that
    commits them.
    """

    __slots__ = (
        "_granted",
        "_has_begun",
        "_inherited",
        "_inherited_bytes",
        "_limit",
        "_lock",
        "_low",
        "_made",
        "_next",
        "_recorded",
        "_unfinished",
        "epoch",
        "highest_finished",
        "is_leaving",
        "partition",
        "suspects",
        "topic",
    )

    def __init__(
        self,
        topic: str,
        partition: int,
        epoch: int,
        finished: Sequence[Run] = (),
        start: int | None = None,
        suspects: Suspects = NOBODY,
    ) -> None:
        """``finished``, ``start`` and ``suspects`` are what was committed, where it is known."""
        self.topic = topic
        self.partition = partition
        self.epoch = epoch
        self.highest_finished = -1
        self._inherited = list(finished)
        self._inherited_bytes = map_bytes(start or 0, finished)
        """What each inherited run takes in a map, at most."""
        self._unfinished: set[int] = set()
        self._next = start
        self._low = start
        """At or below the lowest unfinished offset."""
        self.suspects = suspects
        self.is_leaving = False
        """Whether what is written from now on says that its owner has left in order."""
        self._has_begun = False
        self._limit = start or 0
        """What we want to be recorded: below this offset messages may have been started."""
        self._recorded: int | None = None
        """What the broker said last is recorded; None before it took anything of ours."""
        self._made: deque[tuple[Position, int]] = deque()
        """The positions that the broker has not taken yet, as far as is known, with the limit of each."""
        self._granted: int | None = None
        """Below this offset messages may be started."""
        self._lock = Lock()

    @property
    def unfinished(self) -> int:
        """How many offsets were taken and are not finished."""
        return len(self._unfinished)

    # --- what may be started --------------------------------------------------------------------

    def arrived(self, offset: int) -> None:
        """The first message since the takeover: where its log begins, where nobody knew or it is another log by now."""
        if self._has_begun:
            return
        self._has_begun = True
        with self._lock:
            if self._next is not None and offset >= self._next:
                return
            self._next = self._low = self._limit = offset
            self._recorded = self._granted = None
            self.suspects = NOBODY
            self._inherited, self._inherited_bytes = [], []

    def may_start(self, offset: int) -> bool:
        """Whether who takes the partition over from us, dead or alive, can know that this one may have been started."""
        return self._granted is not None and offset < self._granted and not self.is_leaving

    def reach(self, offset: int) -> bool:
        """Ask that messages up to this one may be started; whether that is new, and has to be written."""
        with self._lock:
            if offset < self._limit:
                return self._recorded is None
            self._limit = offset + 1
            return True

    def narrow(self, end: int | None = None) -> bool:
        """Start nothing from ``end`` on (nothing more, without it); whether that has to be written."""
        with self._lock:
            if self._next is None:
                return False
            self._limit = self._next if end is None else end
            # Not where this was recorded, and taken back by a position that is still to come: that one would have the
            # last word.
            is_recorded = self._recorded == self._limit and self._least() >= self._limit
            if is_recorded:
                # Also where this was asked for, taken back, and recorded meanwhile: nobody would write it a second time.
                self._granted = self._limit
            elif self._granted is not None:
                self._granted = min(self._granted, self._limit)
            return not is_recorded

    @property
    def room_ahead(self) -> int:
        """How many offsets beyond those taken may be started, or are being asked for."""
        return self._limit - (self._next or 0)

    def written(self, position: Position) -> None:
        """The broker has taken a position of this assignment."""
        limit = read(position.metadata, position.offset).work.limit
        with self._lock:
            self._recorded = limit
            if any(made == position for made, _ in self._made):
                while self._made.popleft()[0] != position:
                    pass
            self._granted = min(limit, self._limit, self._least())

    def _least(self) -> int:
        """The least that may be recorded by what is on its way."""
        return min((limit for _, limit in self._made), default=self._limit)

    def is_unfinished(self, offset: int) -> bool:
        return offset in self._unfinished

    # --- what is taken --------------------------------------------------------------------------

    def take(self, offset: int) -> bool:
        """Note that the message at ``offset`` was read; False when a former owner has finished it.

        Offsets come in ascending order within an assignment; one read again below is taken again.
        """
        with self._lock:
            self._pass(offset)
            if self._was_finished(offset):
                self.highest_finished = max(self.highest_finished, offset)
                return False
            self._unfinished.add(offset)
            return True

    def skip(self, offset: int) -> None:
        """Note that the message at ``offset`` was read and needs no work: read and finished in one."""
        with self._lock:
            self._pass(offset)
            self.highest_finished = max(self.highest_finished, offset)

    def finish(self, offset: int) -> bool:
        """Note that the outcome of ``offset`` is durable; False when it was not open here."""
        with self._lock:
            if offset not in self._unfinished:
                return False
            self._unfinished.discard(offset)
            self.highest_finished = max(self.highest_finished, offset)
            return True

    def position(self) -> Position | None:
        """What to commit now, the map cut where it does not fit; None before anything was read."""
        with self._lock:
            found = self._runs(())
        if found is None:
            return None
        base, runs = found
        work = self._work(base)
        return self._noted(Position(self.topic, self.partition, base, encode(base, runs, work)), work.limit)

    def position_with(self, finished: Collection[int], owner: str) -> Position | None:
        """What to commit in the transaction that finishes these too: the whole map, under its writer's id.

        None before anything is known of the partition. Raises OffsetMapTooLong, which ``has_room`` prevents.
        """
        with self._lock:
            found = self._runs(finished)
        if found is None:
            return None
        base, runs = found
        work = self._work(base)
        text = encode_owned(base, runs, owner, work)
        return self._noted(Position(self.topic, self.partition, base, text), work.limit)

    def has_room(self, offset: int) -> bool:
        """Whether the map fits the commit metadata however those taken finish, once ``offset`` is taken too.

        With n offsets unfinished over a span of D, in whatever order they finish, the map is at most n pairs of runs:
        each begins with an unfinished one. The unfinished lengths add up to n, and a varint is no longer than its
        number, so they take n bytes at most; each finished length takes as many as D itself. All lengths together
        are D, so the map never takes more than D either. A single unfinished one adds nothing to the map that was inherited.
        """
        with self._lock:
            if not self._unfinished or self._low is None:
                return True
            if self._bound(offset) <= RUNS_LIMIT:
                return True
            self._low = min(self._unfinished)
            return self._bound(offset) <= RUNS_LIMIT

    def _noted(self, position: Position, limit: int) -> Position:
        with self._lock:
            if not self._made or self._made[-1][0] != position:
                self._made.append((position, max(limit, position.offset)))
        return position

    def _work(self, base: int) -> Work:
        return Work(self.is_leaving, 0 if self.is_leaving else self._limit, self.suspects.above(base))

    def crowding(self) -> int | None:
        """The lowest unfinished offset where the map could fill three quarters of its room by now; None before.

        The last quarter is for what is read until that offset is finished.
        """
        with self._lock:
            if not self._unfinished or self._next is None or self._bound(self._next - 1) <= _CROWDED:
                return None
            self._low = min(self._unfinished)
            return self._low if self._bound(self._next - 1) > _CROWDED else None

    def _bound(self, offset: int) -> int:
        end = max(offset + 1, self._next or 0, self._inherited[-1].end if self._inherited else 0)
        # Two more, for a first and a joining run of length 0.
        span = end - min(self._low or 0, offset) + 2
        pairs = (len(self._unfinished) + 1) * (1 + len(varint(span)))
        return min(span, pairs + sum(self._inherited_bytes))

    def _pass(self, offset: int) -> None:
        if self._next is None or offset >= self._next:
            self._next = offset + 1
        if self._low is None or offset < self._low:
            self._low = offset

    def _runs(self, finished: Collection[int]) -> tuple[int, list[Run]] | None:
        if self._next is None:
            return None
        unfinished = self._unfinished.difference(finished)
        base = min(unfinished, default=self._next)
        runs = finished_runs(base, self._next, unfinished)
        runs += [Run(max(run.start, self._next), run.end) for run in self._inherited if run.end > self._next]
        return base, runs

    def _was_finished(self, offset: int) -> bool:
        # Runs wholly below are dropped on the way: offsets only grow, so each run is looked at once.
        while self._inherited and self._inherited[0].end <= offset:
            del self._inherited[0], self._inherited_bytes[0]
        return bool(self._inherited) and self._inherited[0].start <= offset


def map_bytes(base: int, runs: Sequence[Run]) -> list[int]:
    """What each of the runs takes in a map above ``base``."""
    ends = [base, *(run.end for run in runs)]
    return [
        len(varint(run.start - before)) + len(varint(run.end - run.start))
        for before, run in zip(ends, runs, strict=False)
    ]
