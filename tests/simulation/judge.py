"""What must hold, computed from the brokers' logs and the provider's: the workers are never asked."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import Collection, Sequence

from llm_service.kafka.offset_map import OffsetMapInvalid, Run, read
from llm_service.kafka.port import Committed, TopicPartition
from llm_service.kafka.tracker import Position
from tests.simulation.cluster import Cluster
from tests.simulation.log import Entry
from tests.simulation.scenario import LETTERS, STATUS, TASKS, Expected
from tests.simulation.transactions import Watcher

Place = tuple[TopicPartition, int]
_TERMINAL = ("3", "4")
# A member whose session has ended reads on, for as long as it is paused (9 s beyond its session at most) and until the
# broker's answer to what it does next tells it so.
_ZOMBIE_S = 13.0


class Watch(Watcher):
    """Looks on while the run goes: what is done, and whether the committed offsets ever claim more."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self.sent: dict[Place, Expected] = {}
        self.by_id: dict[str, list[Place]] = defaultdict(list)
        self.open: set[Place] = set()
        """Neither terminal nor dead-lettered yet."""
        self.failures: list[str] = []
        self._owed: set[Place] = set()
        """FAILED and without a dead letter yet: at least once has one after the other."""
        self._lettered: set[Place] = set()
        self._spare: Counter[str] = Counter()
        """Events of tasks that were sent repeatedly which do not say which of the messages they settle."""
        self._offsets: dict[TopicPartition, list[int]] = defaultdict(list)
        self._checked: dict[TopicPartition, int] = {}
        self._named: dict[TopicPartition, Sequence[Run]] = {}
        """What the last map of a partition names."""
        self._position: dict[TopicPartition, int] = {}
        self.disturbed: Counter[Place] = Counter()
        """How often a partition changed hands while the message was not covered, or had a former owner that may read on."""
        self._gone_at: dict[TopicPartition, list[float]] = defaultdict(list)
        cluster.transactions.watch.append(self)
        cluster.offsets.on_commit = self._on_commit
        cluster.on_append = self._on_append
        cluster.group.on_gone = self._on_gone

    def note_sent(self, place: TopicPartition, offset: int, expected: Expected) -> None:
        self.sent[place, offset] = expected
        self.by_id[expected.task_id].append((place, offset))
        self._offsets[place].append(offset)
        now = self._cluster.world.now
        self.disturbed[place, offset] += sum(now < at + _ZOMBIE_S for at in self._gone_at[place])
        if expected.statuses or expected.letter:
            self.open.add((place, offset))

    def decided(
        self, name: str, entries: Sequence[tuple[str, int, Entry]], positions: Sequence[Position]
    ) -> None:
        for topic, _, entry in entries:
            self._on_append(topic, entry)
        for position in positions:
            place = TopicPartition(position.topic, position.partition)
            self._check(place, Committed(place.topic, place.partition, position.offset, position.metadata))

    def _on_append(self, topic: str, entry: Entry) -> None:
        if topic == LETTERS:
            place = place_of_letter(entry)
            self.open.discard(place)
            self._owed.discard(place)
            self._lettered.add(place)
        elif topic == STATUS and header(entry, "status") in _TERMINAL:
            task_id = (entry.key or b"").decode()
            run = place_of_run(header(entry, "run"))
            if header(entry, "status") == "4" and run not in self._lettered:
                self._owed.add(run)
            else:
                self._owed.discard(run)  # a later worker has answered it after all
            if run in self.open:
                self.open.discard(run)
                return
            if len(self.by_id[task_id]) > 1:
                self._spare[task_id] += 1  # a repeat is answered with the bytes of the first

    @property
    def is_done(self) -> bool:
        if self._owed:
            return False
        return not self.open or (len(self.open) <= self._spare.total() and not self.left())

    @property
    def owed(self) -> list[Place]:
        """The messages that are FAILED without a dead letter."""
        return sorted(self._owed)

    def left(self) -> list[Place]:
        """The messages that have no outcome."""
        spare = Counter(self._spare)
        left = []
        for place in sorted(self.open):
            task_id = self.sent[place].task_id
            spare[task_id] -= 1
            if spare[task_id] < 0:
                left.append(place)
        return left

    def _fail(self, sentence: str) -> None:
        self.failures.append(sentence)

    # --- committed offsets ----------------------------------------------------------------------

    def _on_commit(self, place: TopicPartition) -> None:
        committed = self._cluster.offsets.committed(place)
        self._check(place, committed)
        offset = committed.offset or 0
        if offset < self._position.get(place, 0):
            self._fail(f"I4: the committed offset of {_name(place)} went back to {offset}")
        self._position[place] = offset

    def _check(self, place: TopicPartition, committed: Committed) -> None:
        """I4: nothing below the offset, and nothing in the map, is unfinished."""
        offset = committed.offset or 0
        begin = self._checked.get(place, 0)
        for unfinished in self._open_in(place, begin, offset):
            self._fail(f"I4: {_name(place)} is committed up to {offset}, and {unfinished} is not finished")
        self._checked[place] = max(begin, offset)
        self._named[place] = self._runs(committed)
        for run in self._named[place]:
            for unfinished in self._open_in(place, run.start, run.end):
                self._fail(f"I4: the map of {_name(place)} at {offset} names {unfinished}, not finished")

    def _open_in(self, place: TopicPartition, start: int, end: int) -> list[int]:
        offsets = self._offsets[place]
        found = offsets[bisect_left(offsets, start) : bisect_left(offsets, end)]
        return [
            offset for offset in found if (place, offset) in self.open and not self._is_repeat(place, offset)
        ]

    def _is_repeat(self, place: TopicPartition, offset: int) -> bool:
        """Whether an event that names another message, or one that has its own, is this one's; then it is taken for it.

        A repeat's event names the first, also where the first is read again later: no commit claims that one by then.
        """
        task_id = self.sent[place, offset].task_id
        if self._spare[task_id] > 0:
            self._spare[task_id] -= 1
        elif (same := self._same_unclaimed(place, offset)) is not None:
            self.open.add(same)
        else:
            return False
        self.open.discard((place, offset))
        return True

    def _same_unclaimed(self, place: TopicPartition, offset: int) -> Place | None:
        """A message of the same bytes that has an event, and that no commit says to be finished."""
        expected = self.sent[place, offset]
        return next(
            (
                other
                for other in self.by_id[expected.task_id]
                if other not in self.open
                and other not in self._lettered
                and self.sent[other].body == expected.body
                and not self._is_claimed(*other)
            ),
            None,
        )

    def _is_claimed(self, place: TopicPartition, offset: int) -> bool:
        runs = self._named.get(place, ())
        return offset < self._checked.get(place, 0) or any(run.start <= offset < run.end for run in runs)

    def _on_gone(self, places: Collection[TopicPartition]) -> None:
        for place in places:
            if place.topic != TASKS:
                continue
            self._gone_at[place].append(self._cluster.world.now)
            committed = self._cluster.offsets.committed(place)
            offset, runs = committed.offset or 0, self._runs(committed)
            offsets = self._offsets[place]
            for later in offsets[bisect_left(offsets, offset) :]:
                if not any(run.start <= later < run.end for run in runs):
                    self.disturbed[place, later] += 1

    def _runs(self, committed: Committed) -> Sequence[Run]:
        try:
            return read(committed.metadata, committed.offset or 0).runs
        except OffsetMapInvalid as error:
            self._fail(f"I4: the map of {committed} can't be read: {error}")
            return ()


def _name(place: TopicPartition) -> str:
    return f"{place.topic}/{place.partition}"


def header(entry: Entry, name: str) -> str:
    found = next((value for key, value in reversed(entry.headers) if key == name), None)
    return found.decode() if found is not None else ""


def place_of_run(run: str) -> Place:
    topic, partition, offset = run.rsplit("/", 2)
    return TopicPartition(topic, int(partition)), int(offset)


def place_of_letter(entry: Entry) -> Place:
    place = TopicPartition(header(entry, "dlq_topic"), int(header(entry, "dlq_partition")))
    return place, int(header(entry, "dlq_offset"))
