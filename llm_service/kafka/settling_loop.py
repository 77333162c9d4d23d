"""The settling loop of ``exactly_once``: group-committed transactions of outcomes, offsets and maps.

A thread of its own calls ``step`` for ever. It begins a transaction as soon as anything waits, with what waits by
then: while one is under way the next ones gather, so a busy worker's transactions grow instead of queueing.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from threading import Lock

from llm_service import events
from llm_service.errors import (
    ConsumerFatal,
    DeliveryError,
    DeliveryRevoked,
    DependencyUnavailable,
    MessageTooLarge,
    TopicNotWritable,
)
from llm_service.kafka.grouping import Grouping, Waiting
from llm_service.kafka.membership import Membership, place_of
from llm_service.kafka.offset_map import OffsetMapInvalid, Run, read
from llm_service.kafka.port import Committed, TopicPartition
from llm_service.kafka.tracker import PartitionTracker, Position
from llm_service.kafka.transaction import (
    Aborted,
    MembershipRefused,
    MessagesRefused,
    TransactionPort,
    Undecided,
)
from llm_service.resilience.threads import SYSTEM_THREADS, Threads


@dataclass(frozen=True, slots=True)
class SettlingPolicy:
    """The numbers of the loop; seconds."""

    owner: str
    """Our ``transactional.id``, for whoever takes a partition over from us."""
    moved_interval_s: float = 0.2
    """Offsets that move by skipped messages alone wait so long for an outcome to go along with."""
    refused_s: float = 0.5
    """So long a membership that was refused is not tried again: the owner's thread tells of the next one within that."""
    idle_s: float = 0.2
    slow_s: float = 5.0
    """An aborted transaction that took so long was too large: half of the broker's limit for one."""
    first_delay_s: float = 0.1
    last_delay_s: float = 5.0
    """Between attempts while Kafka takes no transaction: doubled from first to last."""
    rebuilds: int = 10
    rebuilds_within_s: float = 60.0
    """More producers than this in so long: somebody else uses our id, and we would fence each other for ever."""


@dataclass(frozen=True, slots=True)
class _Lost:
    """A transaction of unknown result."""

    group: list[Waiting]
    opened: bool = False
    """Whether the producer is open anew, and the brokers alone have not said yet what was decided."""


@dataclass(slots=True)
class Told:
    """What the event loop hears of a step, all with one wake-up."""

    answers: list[tuple[Waiting, DeliveryError | None]] = field(default_factory=list)
    events: list[events.Event] = field(default_factory=list)


class SettlingLoop:
    """Drives one transactional producer. ``add``, ``hand_over``, ``mark_moved`` and ``hurry`` are for other threads."""

    def __init__(
        self,
        port: TransactionPort,
        policy: SettlingPolicy,
        tell: Callable[[Told], None],
        settled: Callable[[], None],
        monotonic: Callable[[], float],
        threads: Threads = SYSTEM_THREADS,
    ) -> None:
        """``settled``: called after a commit, on the thread of the loop."""
        self._port = port
        self._policy = policy
        self._tell = tell
        self._settled = settled
        self._monotonic = monotonic
        self._grouping = Grouping()
        self._membership = Membership(None, {})
        self._refused: bytes | None = None
        self._refused_until = 0.0
        self._wake = threads.flag()
        self._moved: set[TopicPartition] = set()
        self._moved_lock = Lock()
        self._moved_at = 0.0
        self._hurried = False
        self._written: dict[TopicPartition, tuple[PartitionTracker, Position]] = {}
        """The last position of each partition that was committed under its present epoch."""
        self._under_way: frozenset[TopicPartition] = frozenset()
        """What is committed in the transaction that may still reach a broker."""
        self._lost: _Lost | None = None
        self._rebuilt: deque[float] = deque()
        self._delay = policy.first_delay_s
        self._not_before = 0.0
        self.busy = False
        """Whether a transaction is under way, or something waits for one."""
        self.stale = 0

    # --- from other threads ---------------------------------------------------------------------

    def add(self, waiting: Waiting) -> None:
        self._grouping.add(waiting)
        self._wake.set()

    def hand_over(self, membership: Membership) -> None:
        """The owner's thread: who we are by now, and what is ours."""
        before, self._membership = self._membership, membership
        is_awaited = before.metadata != membership.metadata or len(before.held) != len(membership.held)
        if is_awaited:
            self._wake.set()

    def mark_moved(self, place: TopicPartition) -> None:
        """Offsets of this partition were read; it may have moved without an outcome."""
        with self._moved_lock:
            self._moved.add(place)

    def hurry(self) -> None:
        """Write what has moved now."""
        self._hurried = True
        self._wake.set()

    def is_written(self, places: Collection[TopicPartition]) -> bool:
        """Whether nothing is left to be written of these."""
        with self._moved_lock:
            if self._moved.intersection(places):
                return False
        return not self.busy

    def is_under_way(self, places: Collection[TopicPartition]) -> bool:
        """Whether an offset of these may still reach a broker: in a transaction, or in one of unknown result."""
        return not self._under_way.isdisjoint(places)

    # --- the settling thread --------------------------------------------------------------------

    def wait(self) -> None:
        """Until there may be something to do."""
        until = self._not_before - self._monotonic()
        if until > 0:
            self._wake.wait(min(until, self._policy.idle_s))
        elif not self._wake.wait(self._policy.idle_s):
            return
        self._wake.clear()

    def step(self) -> None:
        """At most one transaction. Raises ConsumerFatal where it makes no sense to go on."""
        self.busy = True
        told = Told()
        try:
            if self._monotonic() >= self._not_before:
                self._recover(told) if self._lost is not None else self._settle(told)
        finally:
            self.busy = bool(len(self._grouping)) or self._lost is not None
            if self._lost is None:
                self._under_way = frozenset()
            if told.answers or told.events:
                self._tell(told)

    def _settle(self, told: Told) -> None:
        # First: who gives partitions away hands over what is left, and looks here then.
        self._under_way = frozenset(self._membership.held)
        membership = self._membership
        group = self._take(membership, told)
        if membership.metadata is None or self._is_refused(membership.metadata):
            self._grouping.put_back(group)
            return
        moved = self._take_moved(forced=bool(group))
        positions = self._changed(membership, group, moved)
        if group or positions:
            self._attempt(membership, group, positions, membership.metadata, told)
            self._wake.set()  # more may have come meanwhile

    def _take(self, membership: Membership, told: Told) -> list[Waiting]:
        while taken := self._grouping.take(self._monotonic()):
            if ours := self._sorted_out(membership, taken, told):
                return ours
            self._grouping.not_tried(taken)
        return []

    def _sorted_out(self, membership: Membership, group: Sequence[Waiting], told: Told) -> list[Waiting]:
        """Those that are still ours; the others are told so, and never published."""
        ours = []
        for waiting in group:
            if membership.tracker(waiting.delivery) is not None:
                ours.append(waiting)
            else:
                self.stale += 1
                told.answers.append((waiting, DeliveryRevoked()))
        return ours

    def _take_moved(self, *, forced: bool) -> set[TopicPartition]:
        now = self._monotonic()
        if not (forced or self._hurried or now >= self._moved_at):
            return set()
        self._hurried = False
        self._moved_at = now + self._policy.moved_interval_s
        with self._moved_lock:
            moved, self._moved = self._moved, set()
        return moved

    def _move_again(self, positions: Sequence[Position]) -> None:
        with self._moved_lock:
            self._moved.update(places_of(positions))

    def _changed(
        self, membership: Membership, group: Sequence[Waiting], moved: set[TopicPartition]
    ) -> list[Position]:
        """Those of the outcomes, and those that are not committed so already."""
        deliveries = [waiting.delivery for waiting in group]
        needed = {place_of(delivery) for delivery in deliveries}
        positions = membership.positions(deliveries, moved, self._policy.owner)
        return [
            position
            for place, position in zip(places_of(positions), positions, strict=True)
            if place in needed or self._written.get(place) != (membership.held[place], position)
        ]

    def _is_refused(self, metadata: bytes) -> bool:
        """Whether the broker has just refused this membership, and the owner's thread has told of no other since."""
        return metadata == self._refused and self._monotonic() < self._refused_until

    def _attempt(
        self,
        membership: Membership,
        group: list[Waiting],
        positions: Sequence[Position],
        metadata: bytes,
        told: Told,
    ) -> None:
        messages = [outgoing for waiting in group for outgoing in waiting.messages]
        began = self._monotonic()
        self._under_way = frozenset(places_of(positions))
        try:
            self._port.run(messages, positions, metadata)
        except Undecided as error:
            self._lost = _Lost(group)
            self._again(positions, error, began, told)
        except MessagesRefused as error:
            self._move_again(positions)
            self._take_out(group, error.named, told)
        except MembershipRefused as error:
            self._refused, self._refused_until = metadata, self._monotonic() + self._policy.refused_s
            self._move_again(positions)
            self._grouping.put_back(group)
            told.events.append(events.Trouble("kafka", error.message))
        except Aborted as error:
            self._grouping.put_back(group)
            self._again(positions, error, began, told)
        else:
            self._committed(membership, group, positions, told)

    def _committed(
        self, membership: Membership, group: Sequence[Waiting], positions: Sequence[Position], told: Told
    ) -> None:
        self._delay = self._policy.first_delay_s
        self._grouping.settled(group)
        for waiting in group:
            membership.held[place_of(waiting.delivery)].finish(waiting.delivery.offset)
            told.answers.append((waiting, None))
        for place, position in zip(places_of(positions), positions, strict=True):
            tracker = membership.held[place]
            self._written[place] = tracker, position
            tracker.written(position)
            highest = tracker.highest_finished
            told.events.append(
                events.OffsetsCommitted(place.topic, place.partition, position.offset, highest)
            )
        self._settled()

    # --- what goes wrong ------------------------------------------------------------------------

    def _again(self, positions: Sequence[Position], error: DeliveryError, began: float, told: Told) -> None:
        """After a pause; in smaller transactions where this one took too long."""
        now = self._monotonic()
        if now - began >= self._policy.slow_s:
            self._grouping.halve()
        self._move_again(positions)
        self._pause(now)
        told.events.append(events.Trouble("kafka", error.message))

    def _pause(self, now: float) -> None:
        self._not_before = now + self._delay
        self._delay = min(self._delay * 2, self._policy.last_delay_s)

    def _take_out(
        self, group: Sequence[Waiting], named: Mapping[int, MessageTooLarge | TopicNotWritable], told: Told
    ) -> None:
        """Settle the others first. One that is too large in company is tried alone before its sender hears of it."""
        now = self._monotonic()
        back: list[Waiting] = []
        parked: dict[str, list[Waiting]] = {}
        number = 0
        for waiting in group:
            numbers = range(number, number + len(waiting.messages))
            number = numbers.stop
            error = next((named[index] for index in numbers if index in named), None)
            if isinstance(error, TopicNotWritable):
                topic = next(waiting.messages[i - numbers.start].topic for i in numbers if i in named)
                parked.setdefault(topic, []).append(waiting)
                told.events.append(events.Trouble("kafka", error.message))
            elif isinstance(error, MessageTooLarge) and len(group) == 1:
                told.answers.append((waiting, error))
            else:
                waiting.alone = waiting.alone or error is not None
                back.append(waiting)
        for topic, together in parked.items():
            self._grouping.park(topic, together, now)
        self._grouping.put_back(back)

    def _recover(self, told: Told) -> None:
        """Open the producer anew, ask what was decided, and settle again only what is not covered."""
        lost = self._lost
        if lost is None:
            return
        now = self._monotonic()
        if not lost.opened:
            try:
                self._port.open()
            except DependencyUnavailable as error:
                told.events.append(events.Trouble("kafka", error.message))
                self._pause(self._monotonic())
                return
            self._under_way = frozenset()  # the producer before is fenced
            self._count_rebuild(now)
        if self._decide(lost.group, told):
            self._lost = None
            self._not_before = 0.0
        else:
            self._not_before = self._monotonic() + self._policy.first_delay_s

    def _decide(self, group: Sequence[Waiting], told: Told) -> bool:
        """Whether the brokers have said what became of these; then each is settled, or waits again."""
        membership = self._membership
        ours = self._sorted_out(membership, group, told)
        asked = sorted({place_of(waiting.delivery) for waiting in ours})
        answers = (
            {TopicPartition(a.topic, a.partition): a for a in self._port.committed(asked)} if asked else {}
        )
        if not all(place in answers for place in asked):
            self._lost = _Lost(ours, opened=True)
            return False
        again = []
        for waiting in ours:
            tracker = membership.tracker(waiting.delivery)
            if tracker is not None and _covers(answers[place_of(waiting.delivery)], waiting.delivery.offset):
                tracker.finish(waiting.delivery.offset)
                told.answers.append((waiting, None))
            else:
                again.append(waiting)
        self._grouping.put_back(again)
        self._settled()
        self._wake.set()
        return True

    def _count_rebuild(self, now: float) -> None:
        self._rebuilt.append(now)
        while self._rebuilt[0] < now - self._policy.rebuilds_within_s:
            self._rebuilt.popleft()
        if len(self._rebuilt) > self._policy.rebuilds:
            raise ConsumerFatal(
                f"the transactional producer was opened {len(self._rebuilt)} times within "
                f"{self._policy.rebuilds_within_s:.0f} s: does another process use the transactional id "
                f"{self._policy.owner} (KAFKA_GROUP_INSTANCE_ID must be one process's alone)?"
            )


def places_of(positions: Sequence[Position]) -> list[TopicPartition]:
    return [TopicPartition(position.topic, position.partition) for position in positions]


def _covers(committed: Committed, offset: int) -> bool:
    if committed.offset is None:
        return False
    if offset < committed.offset:
        return True
    try:
        runs: Sequence[Run] = read(committed.metadata, committed.offset).runs
    except OffsetMapInvalid as error:
        raise ConsumerFatal(
            f"the offset map that was committed for {committed.topic}/{committed.partition} can't be read "
            f"({error}): does another service commit offsets for this group?"
        ) from error
    return any(run.start <= offset < run.end for run in runs)
