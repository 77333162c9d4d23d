"""The consumer loop: reads, tracks, commits. One thread owns it and calls ``step`` for ever.

It never stops polling, however long a task runs: rebalances come only from ``poll``. When the window is full
it polls at a low cadence and keeps what comes (a small overshoot), and pauses the partitions only after
seconds of that, since the first message after a resume takes about a second.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from threading import Event as ThreadEvent

from llm_service import events
from llm_service.contract.message import is_skipped
from llm_service.kafka import offset_map
from llm_service.kafka.port import Committed, ConsumerPort, Downstream, KafkaMessage, TopicPartition
from llm_service.kafka.tracker import PartitionTracker, Position
from llm_service.tasks.ports import Delivery


@dataclass(frozen=True, slots=True)
class ConsumerPolicy:
    """The numbers of the loop; seconds, and counts of messages."""

    topics: Sequence[str]
    window: int
    """Unfinished messages held at most, but for a small overshoot."""
    poll_timeout_s: float = 1.0
    commit_interval_s: float = 0.2
    full_cadence_s: float = 0.02
    """How often a full window polls: often enough for rebalances, seldom enough to take little."""
    pause_after_s: float = 3.0
    """A window full for so long pauses its partitions: at the cadence above that is 150 messages more."""
    batch: int = 500
    takeover_timeout_s: float = 1.0
    takeover_patience_s: float = 5.0
    """After so long without an answer a partition starts without its map: repeated work, no lost one."""
    revoke_timeout_s: float = 2.0


@dataclass(slots=True)
class _Takeover:
    """A partition whose committed map is not known yet, and the messages that wait for it."""

    epoch: int
    since: float
    held: list[KafkaMessage] = field(default_factory=list)


class ConsumerLoop:
    """Drives one consumer. Only ``finish``, ``wake`` and ``excuse`` may be called from another thread."""

    def __init__(
        self,
        port: ConsumerPort,
        policy: ConsumerPolicy,
        downstream: Downstream,
        observe: events.Observer,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._port = port
        self._policy = policy
        self._downstream = downstream
        self._observe = observe
        self._monotonic = monotonic
        self._trackers: dict[TopicPartition, PartitionTracker] = {}
        self._takeovers: dict[TopicPartition, _Takeover] = {}
        self._sent: dict[TopicPartition, Position] = {}
        self._epoch = 0
        self._finished: deque[Delivery] = deque()
        self._excused = 0
        self._wake = ThreadEvent()
        self._next_commit = 0.0
        self._full_since: float | None = None
        # Kept when a partition leaves: librdkafka remembers the pause, and the partition may come back.
        self._paused: set[TopicPartition] = set()
        self._taking = True
        self._dirty = False
        self.stepped_at = monotonic()
        self.stale_outcomes = 0

    # --- from other threads ---------------------------------------------------------------------

    def finish(self, delivery: Delivery) -> None:
        """The outcome of ``delivery`` is durable. An outcome of an older epoch is dropped and counted."""
        self._finished.append(delivery)
        if len(self._finished) * 2 >= self._policy.window:
            self._wake.set()

    def wake(self) -> None:
        """End the wait of a full window now."""
        self._wake.set()

    def excuse(self, waiting: int) -> None:
        """So many unfinished messages wait for a blocked provider and leave the window's room to others."""
        self._excused = waiting

    def stop_taking(self) -> None:
        """Take no more messages; go on polling and committing."""
        self._taking = False

    # --- the owner's thread ---------------------------------------------------------------------

    def start(self) -> None:
        self._port.subscribe(self._policy.topics, self)

    def step(self) -> None:
        """One round: note what is finished, commit, read. Raises ConsumerFatal."""
        self.stepped_at = self._monotonic()
        self._note_finished()
        self._commit_if_due()
        self._ask_for_maps()
        room = self._room()
        messages = self._read(room) if room > 0 else self._read_while_full()
        if messages:
            self._accept(messages)

    def close(self) -> None:
        """Commit what is finished and leave the group."""
        self._note_finished()
        self._port.close()

    @property
    def unfinished(self) -> int:
        """Messages taken and not finished, those held for a takeover included."""
        held = sum(len(takeover.held) for takeover in self._takeovers.values())
        return sum(tracker.unfinished for tracker in self._trackers.values()) + held

    @property
    def assigned(self) -> int:
        return len(self._trackers) + len(self._takeovers)

    # --- reading --------------------------------------------------------------------------------

    def _room(self) -> int:
        if not self._taking:
            return 0
        return self._policy.window - self.unfinished + self._excused

    def _read(self, room: int) -> list[KafkaMessage]:
        self._full_since = None
        if held_back := self._paused & {*self._trackers, *self._takeovers}:
            self._port.resume(sorted(held_back))
            self._paused -= held_back
        first = self._port.poll(self._poll_timeout())
        if first is None:
            return []
        return [first, *self._port.consume(min(room, self._policy.batch) - 1)] if room > 1 else [first]

    def _read_while_full(self) -> list[KafkaMessage]:
        now = self._monotonic()
        if self._full_since is None:
            self._full_since = now
        if not self._taking or now - self._full_since > self._policy.pause_after_s:
            self._pause()
        self._wake.wait(self._policy.full_cadence_s)
        self._wake.clear()
        message = self._port.poll(0)
        # What comes after the last take is left unread: its offset stays uncommitted.
        return [message] if message is not None and self._taking else []

    def _pause(self) -> None:
        running = {*self._trackers, *self._takeovers} - self._paused
        if running:
            self._port.pause(sorted(running))
            self._paused |= running

    def _poll_timeout(self) -> float:
        # While tasks run, what they finish is committed on time; an idle worker waits as long as it may.
        if self._dirty or self.unfinished:
            return min(self._policy.poll_timeout_s, self._policy.commit_interval_s / 2)
        return self._policy.poll_timeout_s

    def _accept(self, messages: Sequence[KafkaMessage]) -> None:
        deliveries: list[Delivery] = []
        now = self._monotonic()
        for message in messages:
            place = TopicPartition(message.topic, message.partition)
            tracker = self._trackers.get(place)
            if tracker is not None:
                self._take(tracker, message, now, deliveries)
            elif place in self._takeovers:
                self._takeovers[place].held.append(message)
        if deliveries:
            self._downstream.deliver(deliveries)

    def _take(
        self, tracker: PartitionTracker, message: KafkaMessage, now: float, out: list[Delivery]
    ) -> None:
        self._dirty = True
        if is_skipped(message.headers):
            tracker.skip(message.offset)
            self._observe(events.MessageSkipped(message.topic, message.partition, message.offset))
        elif tracker.take(message.offset):
            out.append(
                Delivery(
                    message.topic,
                    message.partition,
                    message.offset,
                    tracker.epoch,
                    message.key,
                    message.value,
                    message.headers,
                    now,
                )
            )

    # --- finishing and committing ---------------------------------------------------------------

    def _note_finished(self) -> None:
        while self._finished:
            done = self._finished.popleft()
            self._dirty = True
            tracker = self._trackers.get(TopicPartition(done.topic, done.partition))
            if tracker is None or tracker.epoch != done.epoch or not tracker.finish(done.offset):
                self.stale_outcomes += 1

    def _commit_if_due(self) -> None:
        now = self._monotonic()
        if not self._dirty or now < self._next_commit:
            return
        self._next_commit = now + self._policy.commit_interval_s
        self._dirty = False
        changed = self._changed(self._trackers)
        if changed:
            self._sent.update(changed)
            self._port.commit_async(list(changed.values()))

    def _changed(self, places: Iterable[TopicPartition]) -> dict[TopicPartition, Position]:
        out = {}
        for place in places:
            position = self._trackers[place].position()
            if position is not None and position != self._sent.get(place):
                out[place] = position
        return out

    def on_commit(self, positions: Sequence[Position], error: str | None) -> None:
        for position in positions:
            place = TopicPartition(position.topic, position.partition)
            if error is not None:
                self._sent.pop(place, None)
                self._dirty = True  # not taken: the next round sends it again
            else:
                self._note_committed(place, position)

    def _note_committed(self, place: TopicPartition, position: Position) -> None:
        tracker = self._trackers.get(place)
        if tracker is None:
            return
        highest = tracker.highest_finished
        self._observe(events.OffsetsCommitted(place.topic, place.partition, position.offset, highest))

    # --- rebalances -----------------------------------------------------------------------------

    def on_assign(self, partitions: Sequence[TopicPartition]) -> None:
        if not partitions:
            return
        self._epoch += 1
        now = self._monotonic()
        for place in partitions:
            self._takeovers[place] = _Takeover(self._epoch, now)
        self._read_maps(self._policy.takeover_timeout_s)

    def on_revoke(self, partitions: Sequence[TopicPartition]) -> None:
        epochs = self._epochs_of(partitions)
        if epochs:
            self._downstream.revoke(epochs, self._policy.revoke_timeout_s)
        self._note_finished()
        leaving = self._changed([place for place in partitions if place in self._trackers])
        if leaving:
            error = self._port.commit(list(leaving.values()))
            self.on_commit(list(leaving.values()), error)
        self._drop(partitions, lost=False)

    def on_lost(self, partitions: Sequence[TopicPartition]) -> None:
        epochs = self._epochs_of(partitions)
        if epochs:
            # Nothing may be settled any more, so there is nothing to wait for.
            self._downstream.revoke(epochs, 0.0)
        self._drop(partitions, lost=True)

    def _epochs_of(self, partitions: Sequence[TopicPartition]) -> dict[TopicPartition, int]:
        return {place: self._trackers[place].epoch for place in partitions if place in self._trackers}

    def _drop(self, partitions: Sequence[TopicPartition], *, lost: bool) -> None:
        for place in partitions:
            for known in (self._trackers, self._takeovers, self._sent):
                known.pop(place, None)
        for topic, numbers in _by_topic(partitions):
            self._observe(events.PartitionsRevoked(topic, numbers, lost))

    # --- takeover -------------------------------------------------------------------------------

    def _ask_for_maps(self) -> None:
        if self._takeovers:
            self._read_maps(self._policy.full_cadence_s)

    def _read_maps(self, timeout: float) -> None:
        """No task of a partition starts before its map is read; in doubt it starts without one."""
        answers = list(self._port.committed(list(self._takeovers), timeout))
        answered = {TopicPartition(answer.topic, answer.partition) for answer in answers}
        too_old = self._monotonic() - self._policy.takeover_patience_s
        for place, takeover in self._takeovers.items():
            if place not in answered and takeover.since < too_old:
                answers.append(Committed(place.topic, place.partition, None, ""))
        finished = {TopicPartition(answer.topic, answer.partition): self._begin(answer) for answer in answers}
        for topic, numbers in _by_topic(finished):
            above = sum(count for place, count in finished.items() if place.topic == topic)
            self._observe(events.PartitionsAssigned(topic, numbers, above))

    def _begin(self, answer: Committed) -> int:
        place = TopicPartition(answer.topic, answer.partition)
        takeover = self._takeovers.pop(place)
        runs: tuple[offset_map.Run, ...] = ()
        if answer.offset is not None:
            try:
                runs = offset_map.decode(answer.metadata, answer.offset)
            except offset_map.OffsetMapInvalid:
                runs = ()
        self._trackers[place] = PartitionTracker(place.topic, place.partition, takeover.epoch, runs)
        self._accept(takeover.held)
        return sum(run.end - run.start for run in runs)


def _by_topic(places: Iterable[TopicPartition]) -> list[tuple[str, list[int]]]:
    topics: dict[str, list[int]] = {}
    for place in places:
        topics.setdefault(place.topic, []).append(place.partition)
    return list(topics.items())
