"""The consumer loop: reads, tracks, commits. One thread owns it and calls ``step`` for ever.

It never stops polling, however long a task runs: rebalances come only from ``poll``. When the window is full
it polls at a low cadence and keeps what comes (a small overshoot), and pauses the partitions only after
seconds of that, since the first message after a resume takes about a second.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime

from llm_service import events
from llm_service.contract.message import is_skipped
from llm_service.contract.record import Headers
from llm_service.contract.retry import RetryNote, decode
from llm_service.kafka.commits import Commits, PlainCommits
from llm_service.kafka.consumer_policy import ConsumerPolicy
from llm_service.kafka.handing_over import HandingOver
from llm_service.kafka.log_watch import AskExtent, LogWatch
from llm_service.kafka.port import ConsumerPort, Downstream, KafkaMessage, TopicPartition, by_topic
from llm_service.kafka.suspects import runs_alone
from llm_service.kafka.takeover import TakenOver, Takeovers
from llm_service.kafka.tracker import PartitionTracker, Position
from llm_service.kafka.until_due import UntilDue
from llm_service.resilience.threads import SYSTEM_THREADS, Threads
from llm_service.tasks.ports import Delivery

_TELL_EVERY_S = 1.0


class ConsumerLoop:
    """Drives one consumer. Only ``finish``, ``wake``, ``excuse`` and ``halt`` may be called from another thread."""

    def __init__(
        self,
        port: ConsumerPort,
        policy: ConsumerPolicy,
        downstream: Downstream,
        observe: events.Observer,
        monotonic: Callable[[], float] = time.monotonic,
        commits: Commits | None = None,
        threads: Threads = SYSTEM_THREADS,
        *,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        """``commits``: how offsets are written; without it by the consumer itself. ``now``: the wall clock."""
        self._port = port
        self._policy = policy
        self._until_due = UntilDue(policy.retry_topic, policy.retry_delay_s, monotonic, now)
        self._downstream = downstream
        self._observe = observe
        self._monotonic = monotonic
        self._trackers: dict[TopicPartition, PartitionTracker] = {}
        self._commits: Commits = commits or PlainCommits(
            port, policy.commit_interval_s, (policy.window + 1) // 2, self.wake, observe, monotonic
        )
        self._takeovers = Takeovers(port, self._commits, policy.takeover_patience_s, observe, monotonic)
        self._handing_over = HandingOver(self._commits, policy.poison_takeovers, monotonic)
        self._logs = LogWatch(lambda _, __: None, monotonic)
        self._told_at: dict[TopicPartition, float] = {}
        self._epoch = 0
        self._excused = 0
        self._wake = threads.flag()
        self._full_since: float | None = None
        # Kept when a partition leaves: librdkafka remembers the pause, and the partition may come back.
        self._paused: set[TopicPartition] = set()
        self._taking = True
        self._halted = self._is_closing = False
        self.stepped_at = monotonic()

    # --- from other threads ---------------------------------------------------------------------

    def finish(self, delivery: Delivery) -> None:
        """The outcome of ``delivery`` is durable. An outcome of an older epoch is dropped and counted."""
        self._commits.finish(delivery)

    def wake(self) -> None:
        """End the wait of a full window now."""
        self._wake.set()

    def excuse(self, waiting: int) -> None:
        """So many unfinished messages wait for a blocked provider and leave the window's room to others."""
        self._excused = waiting

    def halt(self, halted: bool, /) -> None:  # noqa: FBT001 -- its only argument
        """Take no more messages for now, or take them again; what has come by then is taken."""
        self._halted = halted

    def stop_taking(self) -> None:
        """Take no more messages; go on polling and committing."""
        self._taking = False

    def watch_logs(self, ask: AskExtent) -> None:
        """Before the start: by what is asked how far a partition goes. Without it what was deleted unread is not told."""
        self._logs = LogWatch(ask, self._monotonic)

    # --- the owner's thread ---------------------------------------------------------------------

    def start(self) -> None:
        self._port.subscribe(self._policy.topics, self)

    def step(self) -> None:
        """One round: write what is finished, read. Raises ConsumerFatal."""
        self.stepped_at = self._monotonic()
        self._commits.step(self._trackers)
        if self._takeovers:
            self._begin(self._takeovers.go_on(self._policy.ask_timeout_s))
        self._look_at_logs()
        if not self._halted:
            self._take_due()
            self._hand_over()
        room = self._room()
        messages = self._read(room) if room > 0 else self._read_while_full()
        if messages:
            self._accept(messages)

    def close(self) -> None:
        """Commit what is finished and leave the group."""
        self._is_closing = True
        try:
            self._commits.renew(self._trackers)
            self._commits.leave(self._known(self._trackers), self._trackers)
        finally:
            self._port.close()

    @property
    def unfinished(self) -> int:
        """Messages taken and not finished, and those held for a takeover or for room in a map."""
        held = self._takeovers.held + len(self._handing_over)
        return sum(tracker.unfinished for tracker in self._trackers.values()) + held

    @property
    def held_until_due(self) -> int:
        """Messages of the retry topic that are here and not due; they take no room in the window."""
        return self._until_due.held

    @property
    def is_full(self) -> bool:
        """Whether the window has no room, and what comes next stays with the brokers until a task ends."""
        return self._full_since is not None and self._taking and not self._halted

    @property
    def assigned(self) -> int:
        return len(self._trackers) + len(self._takeovers)

    @property
    def stale_outcomes(self) -> int:
        """Outcomes that came for an epoch that had ended."""
        return self._commits.stale

    @property
    def refusal(self) -> str | None:
        """Why a partition stands still until somebody does something; None where none does."""
        return self._takeovers.refusal

    # --- reading --------------------------------------------------------------------------------

    def _room(self) -> int:
        if not self._taking or self._halted:
            return 0
        return self._policy.window - self.unfinished + self._excused

    def _read(self, room: int) -> list[KafkaMessage]:
        self._full_since = None
        kept = self._until_due.full & self._trackers.keys()
        if more := kept - self._paused:
            self._port.pause(sorted(more))
            self._paused |= more
        wanted = {*self._trackers, *self._takeovers.places} - self._handing_over.without_room - kept
        if ready := self._paused & wanted:
            self._port.resume(sorted(ready))
            self._paused -= ready
        first = self._port.poll(self._poll_timeout())
        if first is None:
            return []
        return [first, *self._port.consume(min(room, self._policy.batch) - 1)] if room > 1 else [first]

    def _read_while_full(self) -> list[KafkaMessage]:
        now = self._monotonic()
        if self._full_since is None:
            self._full_since = now
        if not self._taking or self._halted or now - self._full_since > self._policy.pause_after_s:
            self._pause()
        self._wake.wait(self._policy.full_cadence_s)
        self._wake.clear()
        message = self._port.poll(0)
        # What comes after the last take is left unread: its offset stays uncommitted.
        return [message] if message is not None and self._taking else []

    def _pause(self) -> None:
        running = {*self._trackers, *self._takeovers.places} - self._paused
        if running:
            self._port.pause(sorted(running))
            self._paused |= running

    def _poll_timeout(self) -> float:
        if self._handing_over.is_asking:
            return min(self._policy.poll_timeout_s, self._policy.asking_timeout_s)
        # While tasks run, what they finish is committed on time; an idle worker waits as long as it may.
        longest = self._policy.poll_timeout_s
        if self._commits.pending or self.unfinished:
            longest = min(longest, self._policy.commit_interval_s / 2)
        due_in = self._until_due.next_in()
        return longest if due_in is None else min(longest, due_in)

    def _accept(self, messages: Iterable[KafkaMessage]) -> None:
        behind: dict[TopicPartition, int] = {}
        for message in messages:
            if message.place not in self._trackers:
                self._takeovers.hold(message.place, message)
                continue
            if (start := self._logs.begins_behind(message)) is not None:
                behind[message.place] = start
            if message.place in behind:  # those from there on come again
                continue
            if self._logs.is_another(message):
                self._begin_anew(message.place, message.offset)
                self._logs.is_another(message)
            if not self._until_due.keep(message):
                self._handing_over.add(message.place, message, self._takeovers_before(message))
        for place, start in behind.items():
            self._observe(events.Trouble("kafka", f"{place.topic}/{place.partition} is read on from {start}"))
            self._port.seek(place, start)
        self._ask_and_hand_over()

    def _take_due(self) -> None:
        due = list(self._until_due.due(self._room()))
        for message in due:
            self._handing_over.add(message.place, message, self._takeovers_before(message))
        if due:
            self._ask_and_hand_over()

    def _ask_and_hand_over(self) -> None:
        self._hand_over()
        if self._handing_over.is_asking:
            # What they wait for is asked now, and a broker that is near answers before the next round.
            self._commits.step(self._trackers)
            self._hand_over()

    def _hand_over(self) -> None:
        deliveries: list[Delivery] = []
        now = self._monotonic()
        for message in self._handing_over.takeable(self._trackers, self._excused):
            self._take(self._trackers[message.place], message, now, deliveries)
        for place, tracker in self._trackers.items():
            self._tell_crowded(place, tracker)
        if without_room := self._handing_over.without_room - self._paused:
            # At once: one slow task has let thousands finish above it; the second that a resume takes is little beside that.
            self._port.pause(sorted(without_room))
            self._paused |= without_room
        if deliveries:
            self._downstream.deliver(deliveries)

    def _tell_crowded(self, place: TopicPartition, tracker: PartitionTracker) -> None:
        """Once a second: what holds the partition may only wait, and can do that elsewhere."""
        now = self._monotonic()
        if not self._commits.whole or now - self._told_at.get(place, -_TELL_EVERY_S) < _TELL_EVERY_S:
            return
        lowest = tracker.crowding()
        if lowest is not None:
            self._told_at[place] = now
            self._downstream.crowded((place.topic, place.partition, lowest))

    def _take(
        self, tracker: PartitionTracker, message: KafkaMessage, now: float, out: list[Delivery]
    ) -> None:
        self._commits.moved(message.place)
        found = decode(message.headers) if message.topic == self._policy.retry_topic else None
        is_others = found is not None and found[0].group != self._policy.group
        if is_others or is_skipped(message.headers):
            tracker.skip(message.offset)
            self._observe(events.MessageSkipped(message.topic, message.partition, message.offset))
        elif tracker.take(message.offset):
            takeovers = tracker.suspects.takeovers(message.offset) + (found[0].takeovers if found else 0)
            poison = self._policy.poison_takeovers
            delivery = _delivery(message, found, tracker.epoch, now)
            out.append(
                replace(
                    delivery,
                    is_poisoned=takeovers >= poison,
                    is_suspect=runs_alone(takeovers, poison),
                    takeovers=takeovers,
                )
            )

    def _takeovers_before(self, message: KafkaMessage) -> int:
        """What is counted of it from before it went round."""
        found = decode(message.headers) if message.topic == self._policy.retry_topic else None
        return found[0].takeovers if found is not None and found[0].group == self._policy.group else 0

    # --- rebalances -----------------------------------------------------------------------------

    def on_assign(self, partitions: Sequence[TopicPartition]) -> Mapping[TopicPartition, int]:
        self._commits.renew(self._trackers)
        if not partitions:
            return {}
        self._epoch += 1
        self._takeovers.add(partitions, self._epoch)
        begun = self._takeovers.begin(self._policy.takeover_timeout_s)
        self._begin(begun)
        return {each.place: each.committed for each in begun if each.committed is not None}

    def on_revoke(self, partitions: Sequence[TopicPartition]) -> None:
        # The generation has moved already where a rebalance is cooperative: what is settled now needs the new one.
        self._commits.renew(self._trackers)
        epochs = self._epochs_of(partitions)
        if epochs:
            self._downstream.revoke(epochs, self._policy.revoke_timeout_s)
        self._commits.leave(self._known(partitions), self._trackers)
        self._drop(partitions, lost=False)
        if not self._is_closing:  # who has left the group is refused whatever comes late
            self._commits.part(partitions)

    def on_lost(self, partitions: Sequence[TopicPartition]) -> None:
        epochs = self._epochs_of(partitions)
        self._drop(partitions, lost=True)
        if epochs:
            # Nothing may be settled any more, so there is nothing to wait for.
            self._downstream.revoke(epochs, 0.0)

    def on_commit(self, positions: Sequence[Position], error: str | None) -> None:
        self._commits.answered(positions, error, self._trackers)

    def _known(self, partitions: Iterable[TopicPartition]) -> list[TopicPartition]:
        """Those that started, without logs that may be others by now: of these nothing more is written."""
        return [place for place in partitions if place in self._trackers and self._logs.reaches(place)]

    def _epochs_of(self, partitions: Sequence[TopicPartition]) -> dict[TopicPartition, int]:
        return {place: self._trackers[place].epoch for place in partitions if place in self._trackers}

    def _drop(self, partitions: Sequence[TopicPartition], *, lost: bool) -> None:
        for place in partitions:
            self._trackers.pop(place, None)
        self._takeovers.drop(partitions)
        self._handing_over.drop(partitions)
        self._until_due.drop(partitions)
        self._logs.forget(partitions)
        self._commits.drop(partitions, self._trackers)
        for topic, numbers in by_topic(partitions).items():
            self._observe(events.PartitionsRevoked(topic, numbers, lost))

    # --- logs that are cut, and others under the same name -----------------------------------------

    def _look_at_logs(self) -> None:
        lost, anew = self._logs.look()
        for loss in lost:
            self._observe(events.MessagesLost(loss.place.topic, loss.place.partition, loss.first, loss.count))
        for place, first in anew:
            self._begin_anew(place, first)

    def _begin_anew(self, place: TopicPartition, first: int) -> None:
        """The partition's log is another by now. Nothing that is known of the old one holds for it.

        What still runs of the old one belongs to an epoch that has ended, so that it finishes nothing of the new one.
        """
        old = self._trackers[place]
        self._epoch += 1
        dropped = self._handing_over.waiting(place)
        self._handing_over.drop([place])
        self._until_due.drop([place])
        self._trackers[place] = PartitionTracker(place.topic, place.partition, self._epoch, start=first)
        self._logs.begin(place, first, ())
        self._commits.drop([place], self._trackers)
        self._commits.moved(place)
        self._commits.renew(self._trackers)
        unfinished = old.unfinished + dropped
        self._observe(
            events.LogBegunAnew(place.topic, place.partition, old.highest_finished, first, unfinished)
        )

    # --- takeover -------------------------------------------------------------------------------

    def _begin(self, taken_over: Sequence[TakenOver]) -> None:
        for begun in taken_over:
            self._trackers[begun.place] = begun.tracker
            self._logs.begin(begun.place, begun.committed, begun.runs)
        if taken_over:
            self._commits.renew(self._trackers)
        for begun in taken_over:
            self._accept(begun.held)


def _delivery(
    message: KafkaMessage, found: tuple[RetryNote, Headers] | None, epoch: int, now: float
) -> Delivery:
    place = message.topic, message.partition, message.offset
    own = Delivery(*place, epoch, message.key, message.value, message.headers, now)
    if found is None:
        return own
    note, headers = found
    counted = replace(own, attempt=note.attempt, round=note.round, spent=note.spent)
    return replace(counted, headers=headers, origin=note.run)
