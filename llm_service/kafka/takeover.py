"""Taking a partition over: no task of it starts before what is committed for it is read."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field, replace

from llm_service import events
from llm_service.kafka import offset_map
from llm_service.kafka.commits import Commits
from llm_service.kafka.port import Committed, ConsumerPort, KafkaMessage, TopicPartition, by_topic
from llm_service.kafka.suspects import AHEAD
from llm_service.kafka.tracker import PartitionTracker

# Asked one by one, so that a partition whose offsets are undecided does not hold up the others; a broker answers in
# some milliseconds, and so many at once hold the consumer's thread no longer than a commit does.
_ASKED_AT_ONCE = 4
_PERHAPS_A_PART = "it was written in at_least_once, and is cut or its writer did not stop in order"
# How often it is said that a partition stands still.
_REMIND_S = 30.0


@dataclass(slots=True)
class _Taking:
    """A partition that is being taken over, and the messages that wait for it."""

    epoch: int
    since: float
    held: list[KafkaMessage] = field(default_factory=list)
    refused: str | None = None
    """Why it must not start: its map can't be read."""
    reminded: float = 0.0


@dataclass(frozen=True, slots=True)
class TakenOver:
    """A partition that may start."""

    tracker: PartitionTracker
    held: Sequence[KafkaMessage]
    committed: int | None
    runs: Sequence[offset_map.Run]
    """What the map marks as finished."""

    @property
    def place(self) -> TopicPartition:
        return TopicPartition(self.tracker.topic, self.tracker.partition)

    @property
    def finished(self) -> int:
        """How many offsets that is."""
        return sum(run.end - run.start for run in self.runs)


class Takeovers:
    """The partitions that are assigned and not started. The consumer's thread alone."""

    def __init__(
        self,
        port: ConsumerPort,
        commits: Commits,
        patience_s: float,
        observe: events.Observer,
        monotonic: Callable[[], float],
    ) -> None:
        self._port = port
        self._commits = commits
        self._patience_s = patience_s
        self._observe = observe
        self._monotonic = monotonic
        self._taking: dict[TopicPartition, _Taking] = {}

    def __len__(self) -> int:
        return len(self._taking)

    @property
    def places(self) -> Collection[TopicPartition]:
        return self._taking.keys()

    @property
    def held(self) -> int:
        """Messages that wait."""
        return sum(len(taking.held) for taking in self._taking.values())

    @property
    def refusal(self) -> str | None:
        """Why a partition stands still; None where none does. Read anywhere."""
        return next((taking.refused for taking in list(self._taking.values()) if taking.refused), None)

    def add(self, places: Sequence[TopicPartition], epoch: int) -> None:
        now = self._monotonic()
        for place in places:
            self._taking[place] = _Taking(epoch, now)

    def hold(self, place: TopicPartition, message: KafkaMessage) -> bool:
        """Keep a message until its partition starts; False when it is not being taken over."""
        taking = self._taking.get(place)
        if taking is not None and taking.refused is None:
            taking.held.append(message)
        return taking is not None

    def drop(self, places: Sequence[TopicPartition]) -> None:
        for place in places:
            self._taking.pop(place, None)

    def begin(self, timeout: float) -> list[TakenOver]:
        """Ask for all of them in one request; those that may start now."""
        return self._start(list(self._port.committed(self._waiting(), timeout)))

    def go_on(self, timeout: float) -> list[TakenOver]:
        """Ask again for those that were not answered."""
        self._remind()
        waiting = self._waiting()
        if not waiting:
            return []
        answers: list[Committed] = []
        for place in waiting[:_ASKED_AT_ONCE]:
            answers += self._port.committed([place], timeout)
            # Those that are asked in vain go to the end.
            self._taking[place] = self._taking.pop(place)
        if self._commits.whole:
            answered = {TopicPartition(answer.topic, answer.partition) for answer in answers}
            self._commits.overdue([place for place in waiting if place not in answered])
        else:
            answers += self._given_up(answers)
        return [self._placed(late) for late in self._start(answers)]

    def _waiting(self) -> list[TopicPartition]:
        return [place for place, taking in self._taking.items() if taking.refused is None]

    def _placed(self, late: TakenOver) -> TakenOver:
        """The client had to find out for itself where to read, and may have found something else."""
        if late.committed is None:
            return late
        self._port.seek(late.place, late.committed)
        return replace(late, held=())

    def _given_up(self, answers: Sequence[Committed]) -> list[Committed]:
        """After its patience a partition starts as if nothing were committed for it: repeated work, no lost one."""
        answered = {TopicPartition(answer.topic, answer.partition) for answer in answers}
        too_old = self._monotonic() - self._patience_s
        return [
            Committed(place.topic, place.partition, None, "")
            for place, taking in self._taking.items()
            if place not in answered and taking.since < too_old
        ]

    def _start(self, answers: Sequence[Committed]) -> list[TakenOver]:
        started = [begun for answer in answers if (begun := self._begin(answer)) is not None]
        finished = {begun.place: begun.finished for begun in started}
        for topic, numbers in by_topic(finished).items():
            above = sum(count for place, count in finished.items() if place.topic == topic)
            self._observe(events.PartitionsAssigned(topic, numbers, above))
        return started

    def _begin(self, answer: Committed) -> TakenOver | None:
        place = TopicPartition(answer.topic, answer.partition)
        known = offset_map.OffsetMap()
        if answer.offset is not None:
            try:
                known = offset_map.read(answer.metadata, answer.offset)
                if self._commits.whole and not known.whole:
                    raise offset_map.OffsetMapInvalid(_PERHAPS_A_PART)
            except offset_map.OffsetMapInvalid as error:
                if self._commits.whole:
                    self._refuse(place, answer.offset, error)
                    return None
                known = offset_map.OffsetMap()
        taking = self._taking.pop(place)
        suspects = known.work.taken_over(answer.offset or 0)
        tracker = PartitionTracker(
            place.topic, place.partition, taking.epoch, known.runs, answer.offset, suspects
        )
        if answer.offset is not None and suspects.end <= answer.offset:
            tracker.reach(answer.offset + AHEAD)
        return TakenOver(tracker, taking.held, answer.offset, known.runs)

    def _refuse(self, place: TopicPartition, offset: int, error: offset_map.OffsetMapInvalid) -> None:
        taking = self._taking[place]
        taking.held.clear()
        taking.refused = (
            f"{place.topic}/{place.partition} stands still: the offset map committed with offset {offset} can't be "
            f"used ({error}), so what was finished above it is not known and would be answered twice: run "
            f"KAFKA_DELIVERY=at_least_once until the group has no lag and stop it, or, where second answers do no "
            f"harm, stop all workers and set the group's offset to {offset} by kafka-consumer-groups --reset-offsets"
        )

    def _remind(self) -> None:
        now = self._monotonic()
        for taking in self._taking.values():
            if taking.refused is not None and now >= taking.reminded:
                taking.reminded = now + _REMIND_S
                self._observe(events.Trouble("kafka", taking.refused))
