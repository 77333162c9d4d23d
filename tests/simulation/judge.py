"""What must hold, computed from the brokers' logs and the provider's: the workers are never asked."""

from __future__ import annotations

from bisect import bisect_left, insort
from collections import Counter, defaultdict
from collections.abc import Collection, Sequence

from llm_service.contract.retry import decode
from llm_service.kafka.offset_map import OffsetMapInvalid, Run, read
from llm_service.kafka.port import Committed, TopicPartition
from llm_service.kafka.tracker import Position
from tests.simulation.cluster import Cluster
from tests.simulation.drop_watch import DropWatch
from tests.simulation.log import Entry
from tests.simulation.outside import START
from tests.simulation.scenario import DROPS, LETTERS, RETRY, STATUS, TASKS, Expected
from tests.simulation.transactions import Watcher

Place = tuple[TopicPartition, int]
_TERMINAL = ("3", "4")
# A member whose session has ended reads on, for as long as it is paused (9 s beyond its session at most) and until the
# broker's answer to what it does next tells it so.
_ZOMBIE_S = 13.0
# The clock of a message's due time counts milliseconds.
_TOO_EARLY_S = 0.002


class Watch(Watcher):
    """Looks on while the run goes: what is done, and whether the committed offsets ever claim more."""

    def __init__(self, cluster: Cluster, *, exactly: bool) -> None:
        """``exactly``: the mode is ``exactly_once``."""
        self._cluster = cluster
        self._exactly = exactly
        self.sent: dict[Place, Expected] = {}
        self.by_id: dict[str, list[Place]] = defaultdict(list)
        self.open: set[Place] = set()
        """Neither terminal nor dead-lettered yet. A task that goes round is open where it lies now."""
        self.copies: dict[Place, list[Place]] = defaultdict(list)
        """Of each message those on the retry topic that it became."""
        self.absorbed: Counter[str] = Counter()
        """Repeats that are answered by the one that waits on the retry topic."""
        self.drops = DropWatch(cluster.world)
        self.failures: list[str] = []
        self._sent_at: dict[Place, float] = {}
        self._ended_at: dict[Place, float] = {}
        self._due: dict[str, float] = {}
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
        if expected.drop_id is not None:
            self.drops.note_sent(offset, expected)
            return
        self.by_id[expected.task_id].append((place, offset))
        # A repeat is answered by the one that waits, or is worked on where nobody knows any more that one does.
        self._due.pop(expected.task_id, None)
        self._note(place, offset, expected)

    def _note(self, place: TopicPartition, offset: int, expected: Expected) -> None:
        self.sent[place, offset] = expected
        insort(self._offsets[place], offset)  # a transaction is decided after what was written behind it
        now = self._sent_at[place, offset] = self._cluster.world.now
        self.disturbed[place, offset] += sum(now < at + _ZOMBIE_S for at in self._gone_at[place])
        if expected.statuses or expected.letter:
            self.open.add((place, offset))

    def disturbance(self, run: Place) -> int:
        """How often the message, or what became of it on the retry topic, may have been worked on once more."""
        return sum(self.disturbed[place] for place in self._of_run(run))

    def _of_run(self, run: Place) -> list[Place]:
        return [run, *self.copies.get(run, ())]

    def asked(self, task_id: str) -> None:
        """The provider is asked."""
        world = self._cluster.world
        due = self._due.get(task_id)
        if due is None or due < world.now + _TOO_EARLY_S or world.hits["clock jumps"]:
            return
        if self._exactly and not self._may_read_on(self.by_id[task_id]):
            self._fail(f"I3: {task_id} is worked on at {world.now:.3f} s and is not due before {due:.3f} s")

    def _may_read_on(self, runs: Collection[Place]) -> bool:
        """Whether a former owner may not know yet that it is none."""
        since = self._cluster.world.now - _ZOMBIE_S
        places = {place for run in runs for place, _ in self._of_run(run)}
        return any(at >= since for place in places for at in self._gone_at[place])

    # --- what is written ------------------------------------------------------------------------

    def decided(
        self, name: str, entries: Sequence[tuple[str, int, Entry]], positions: Sequence[Position]
    ) -> None:
        for topic, partition, entry in entries:
            self._on_append(TopicPartition(topic, partition), entry)
        for position in positions:
            place = TopicPartition(position.topic, position.partition)
            self._check(place, Committed(place.topic, place.partition, position.offset, position.metadata))

    def _on_append(self, place: TopicPartition, entry: Entry) -> None:
        if place.topic == LETTERS:
            self._on_letter(place_of_letter(entry))
        elif place.topic == STATUS and header(entry, "status") in _TERMINAL:
            self._on_terminal(entry)
        elif place.topic == RETRY:
            self._on_round(place, entry)
        elif place.topic == TASKS and (drop := (entry.key or b"").decode()) in self.drops.expected:
            self.drops.note_task(drop)
            self.note_sent(place, entry.offset, self.drops.expected[drop])

    def _on_letter(self, run: Place) -> None:
        if run not in self._owed:
            self._end(run)
        self._owed.discard(run)
        self._lettered.add(run)

    def _on_terminal(self, entry: Entry) -> None:
        task_id = (entry.key or b"").decode()
        run = place_of_run(header(entry, "run"))
        if header(entry, "status") == "4" and run not in self._lettered:
            self._owed.add(run)
        else:
            self._owed.discard(run)  # a later worker has answered it after all
        if run in self.copies:
            self._cluster.world.hits["answered after going round"] += 1
        if not self._end(run) and len(self.by_id[task_id]) > 1:
            self._spare[task_id] += 1  # a repeat is answered with the bytes of the first

    def _on_round(self, place: TopicPartition, entry: Entry) -> None:
        """The task lies here from now on."""
        found = decode(entry.headers)
        assert found is not None
        note, _ = found
        run = TopicPartition(note.topic, note.partition), note.offset
        self._cluster.world.hits["a task goes round"] += 1
        self._end(run)
        self.copies[run].append((place, entry.offset))
        expected = self.sent[run]
        if len(self.by_id[expected.task_id]) == 1:
            self._due[expected.task_id] = (note.due - START).total_seconds()
        self._note(place, entry.offset, expected)

    def _end(self, run: Place) -> bool:
        """Whether one of the run's messages was open; it is so no more."""
        for place in self._of_run(run):
            if place in self.open:
                self.open.discard(place)
                self._ended_at[place] = self._cluster.world.now
                return True
        return False

    @property
    def is_done(self) -> bool:
        # Asked after each event, so what mostly says no comes first.
        if self.open and len(self.open) > self._spare.total():
            return False
        return not self._owed and self.drops.is_done and not self.left()

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
        if place.topic == DROPS:
            self.drops.note_committed(offset)
        self._named[place] = self._runs(committed)
        for run in self._named[place]:
            for unfinished in self._open_in(place, run.start, run.end):
                self._fail(f"I4: the map of {_name(place)} at {offset} names {unfinished}, not finished")

    def _open_in(self, place: TopicPartition, start: int, end: int) -> list[int]:
        offsets = self._offsets[place]
        found = offsets[bisect_left(offsets, start) : bisect_left(offsets, end)]
        unmade = self.drops.unmade(start, end) if place.topic == DROPS else ()
        return [
            *unmade,
            *(n for n in found if (place, n) in self.open and not self._is_repeat(place, n)),
        ]

    def _is_repeat(self, place: TopicPartition, offset: int) -> bool:
        """Whether an event that names another message, or one that has its own, is this one's; then it is taken for it.

        A repeat's event names the first, also where the first is read again later: no commit claims that one by then.
        """
        task_id = self.sent[place, offset].task_id
        if self._spare[task_id] > 0:
            self._spare[task_id] -= 1
        elif self._is_absorbed(place, offset):
            self.absorbed[task_id] += 1
        elif (same := self._same_unclaimed(place, offset)) is not None:
            self.open.add(same)
        else:
            return False
        self.open.discard((place, offset))
        return True

    def _is_absorbed(self, place: TopicPartition, offset: int) -> bool:
        """Whether another message of the id waited on the retry topic and answers for this one, which ends in silence."""
        expected, sent_at = self.sent[place, offset], self._sent_at[place, offset]
        return any(
            copy in self.open or self._ended_at.get(copy, -1.0) >= sent_at
            for run in self.by_id[expected.task_id]
            if (place, offset) not in self._of_run(run) and self.sent[run].body == expected.body
            for copy in self.copies.get(run, ())
        )

    def _same_unclaimed(self, place: TopicPartition, offset: int) -> Place | None:
        """A message of the same bytes that has an event, and that no commit says to be finished."""
        expected = self.sent[place, offset]
        places = [one for run in self.by_id[expected.task_id] for one in self._of_run(run)]
        return next(
            (
                other
                for other in places
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
            if place.topic == DROPS:
                self.drops.moves += 1
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
