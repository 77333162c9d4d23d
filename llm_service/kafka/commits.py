"""How the group's offsets are written, as the consumer loop sees it; and the way of ``at_least_once``."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Protocol, TypeAlias

from llm_service import events
from llm_service.kafka.port import ConsumerPort, TopicPartition
from llm_service.kafka.tracker import PartitionTracker, Position
from llm_service.tasks.ports import Delivery

Held: TypeAlias = Mapping[TopicPartition, PartitionTracker]
"""The partitions that are ours, and what is taken of each under the present epoch."""


class Commits(Protocol):
    """Writes offsets. The thread that owns the consumer calls it, but for ``finish``."""

    @property
    def whole(self) -> bool:
        """Whether an outcome counts only where the map covers it: then a map must be read, and always fit."""
        ...

    @property
    def stale(self) -> int:
        """Outcomes that came for an epoch that had ended."""
        ...

    @property
    def pending(self) -> bool:
        """Whether something is to be written that was not yet."""
        ...

    def step(self, held: Held) -> None:
        """One round."""
        ...

    def renew(self, held: Held) -> None:
        """What is held has changed, or is about to: in a rebalance, from inside ``poll``."""
        ...

    def moved(self, place: TopicPartition) -> None:
        """Offsets of this partition were read: taken, skipped, or finished by a former owner."""
        ...

    def urge(self, place: TopicPartition) -> None:
        """Something waits until the position of this partition is written."""
        ...

    def finish(self, delivery: Delivery) -> None:
        """The outcome of ``delivery`` is durable. Any thread."""
        ...

    def leave(self, places: Collection[TopicPartition], held: Held) -> None:
        """Write what there is of these, and that they leave in order, within a short time."""
        ...

    def part(self, places: Collection[TopicPartition]) -> None:
        """Return when nothing that was written of these, which were dropped, can come after what their next owner writes."""
        ...

    def drop(self, places: Collection[TopicPartition], held: Held) -> None:
        """These have left; ``held`` is what stays."""
        ...

    def overdue(self, places: Collection[TopicPartition]) -> None:
        """The brokers have not said for a second what is committed for these."""
        ...

    def answered(self, positions: Sequence[Position], error: str | None, held: Held) -> None:
        """The broker's answer to a plain commit."""
        ...


class PlainCommits:
    """Commits by the consumer itself, some time after the outcomes are durable."""

    whole = False

    def __init__(
        self,
        port: ConsumerPort,
        interval_s: float,
        enough: int,
        wake: Callable[[], None],
        observe: events.Observer,
        monotonic: Callable[[], float],
    ) -> None:
        """``enough`` finished ones end the wait of a full window, by ``wake``."""
        self._port = port
        self._interval_s = interval_s
        self._enough = enough
        self._wake = wake
        self._observe = observe
        self._monotonic = monotonic
        self._finished: deque[Delivery] = deque()
        self._sent: dict[TopicPartition, Position] = {}
        self._taken: set[TopicPartition] = set()
        """Those of which the broker has taken what was sent last."""
        self._next_commit = 0.0
        self._dirty = False
        self._urged = False
        self._refused = False
        self.stale = 0

    @property
    def pending(self) -> bool:
        return self._dirty

    def step(self, held: Held) -> None:
        self._note_finished(held)
        now = self._monotonic()
        if not self._dirty or (now < self._next_commit and not self._urged):
            return
        self._next_commit = now + self._interval_s
        self._dirty = self._urged = False
        changed = self._changed(held, held)
        if changed:
            self._send(changed)
            self._port.commit_async(list(changed.values()))

    def renew(self, held: Held) -> None:
        """Who takes a partition over from us has to know that we had it."""
        for place in held.keys() - self._sent.keys():
            self.urge(place)

    def moved(self, place: TopicPartition) -> None:
        del place
        self._dirty = True

    def urge(self, place: TopicPartition) -> None:
        del place
        # After a refusal the interval is kept, however often something asks.
        self._urged = self._urged or not self._refused
        self._dirty = True

    def finish(self, delivery: Delivery) -> None:
        self._finished.append(delivery)
        if len(self._finished) >= self._enough:
            self._wake()

    def leave(self, places: Collection[TopicPartition], held: Held) -> None:
        self._note_finished(held)
        for place in places:
            held[place].is_leaving = True
        leaving = self._changed(places, held)
        if leaving:
            self._send(leaving)
            positions = list(leaving.values())
            self.answered(positions, self._port.commit(positions), held)

    def part(self, places: Collection[TopicPartition]) -> None:
        """Nothing to do: an offset that goes back is work repeated, which this mode allows."""

    def drop(self, places: Collection[TopicPartition], held: Held) -> None:
        del held
        for place in places:
            self._sent.pop(place, None)
            self._taken.discard(place)

    def overdue(self, places: Collection[TopicPartition]) -> None:
        """Nothing to do: in doubt a partition starts without its map."""

    def answered(self, positions: Sequence[Position], error: str | None, held: Held) -> None:
        self._refused = error is not None
        for position in positions:
            place = TopicPartition(position.topic, position.partition)
            tracker = held.get(place)
            if error is not None:
                self._sent.pop(place, None)
                self._dirty = True  # not taken: the next round sends it again
            elif tracker is not None:
                self._note_taken(place, position)
                tracker.written(position)
                highest = tracker.highest_finished
                self._observe(events.OffsetsCommitted(place.topic, place.partition, position.offset, highest))

    def _send(self, positions: Mapping[TopicPartition, Position]) -> None:
        self._sent.update(positions)
        self._taken -= positions.keys()

    def _note_taken(self, place: TopicPartition, position: Position) -> None:
        """An answer to an older position that comes after the last one's: which of them is kept, nobody can tell.

        The last is sent again, or what it grants would be waited for in vain.
        """
        if position == self._sent.get(place):
            self._taken.add(place)
        elif place in self._taken:
            self._sent.pop(place, None)
            self._dirty = True

    def _note_finished(self, held: Held) -> None:
        while self._finished:
            done = self._finished.popleft()
            self._dirty = True
            tracker = held.get(TopicPartition(done.topic, done.partition))
            if tracker is None or tracker.epoch != done.epoch or not tracker.finish(done.offset):
                self.stale += 1

    def _changed(self, places: Iterable[TopicPartition], held: Held) -> dict[TopicPartition, Position]:
        out = {}
        for place in places:
            position = held[place].position()
            if position is not None and position != self._sent.get(place):
                out[place] = position
        return out
