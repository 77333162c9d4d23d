"""Where a group is to begin in each partition so that it runs what is unanswered, and as little else as can be."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from llm_service.contract import retry
from llm_service.contract.status import Status
from llm_service.kafka import offset_map
from llm_service.kafka.adoption.answers import Answers, envelope_of, status_of
from llm_service.kafka.offset_map import Run
from llm_service.kafka.port import TopicPartition
from llm_service.kafka.scan import Scanned, Span
from llm_service.kafka.tracker import Position, map_bytes


@dataclass(frozen=True, slots=True)
class PartitionPlan:
    """One partition of the tasks topic: what lies on it, and what the group is to be told of it."""

    place: TopicPartition
    span: Span
    tasks: int
    answered: int
    sent_again: int
    """Of the unanswered: those that were sent after an answer for their id."""
    unknown: int
    """Of the unanswered: those that are older than the oldest status that is kept, so an answer may have been deleted."""
    unanswered: tuple[int, ...]
    """Offsets, ascending."""
    again: int
    """Answered ones that run again: no offset map is long enough to leave them out."""
    parked: int
    """Neither answered nor to run: they wait on the retry topic, and go on from there."""
    oldest: datetime | None
    """When the oldest unanswered task was sent."""
    position: Position
    """The lowest unanswered offset and the map of what is answered above it."""

    @property
    def to_run(self) -> int:
        return len(self.unanswered) + self.again


@dataclass(slots=True)
class _Walked:
    """A partition while it is read."""

    tasks: int = 0
    parked: int = 0
    sent_again: int = 0
    unknown: int = 0
    oldest: datetime | None = None
    unanswered: list[int] = field(default_factory=list)
    gaps: list[int] = field(default_factory=list)
    """Behind each unanswered one: how many answered ones follow before the next."""


class Walk:
    """Goes over the tasks of a topic, each partition in its order."""

    def __init__(
        self,
        spans: Mapping[TopicPartition, Span],
        answers: Answers,
        parked: Collection[retry.Run] = (),
        *,
        unknown_answered: bool = False,
    ) -> None:
        """``parked``: what goes on from the retry topic.

        ``unknown_answered``: believe that what is older than the oldest status was answered.
        """
        self._parked = parked
        self._spans = spans
        self._answers = answers
        self._unknown_answered = unknown_answered
        self._walked = {place: _Walked() for place in spans}

    def note(self, scanned: Scanned) -> None:
        """One message; what is no task needs no work, so it counts as done."""
        message = scanned.message
        envelope = envelope_of(message)
        if status_of(envelope) is not Status.PENDING:
            return
        walked = self._walked[message.place]
        walked.tasks += 1
        task_id = envelope.identity().task_id
        is_unknown = False
        is_parked = (message.topic, message.partition, message.offset) in self._parked
        walked.parked += is_parked
        is_answered = is_parked or self._answers.covers(task_id, scanned)
        if not is_answered:
            is_unknown = self._is_unknown(scanned)
            walked.unknown += is_unknown
            is_answered = is_unknown and self._unknown_answered
        if is_answered:
            if walked.gaps:
                walked.gaps[-1] += 1
            return
        walked.sent_again += self._answers.knows(task_id)
        if scanned.timestamp is not None:
            walked.oldest = min(walked.oldest or scanned.timestamp, scanned.timestamp)
        walked.unanswered.append(message.offset)
        walked.gaps.append(0)

    def plans(self) -> list[PartitionPlan]:
        """What to do in each partition, in the order of their numbers."""
        return [self._plan(place, self._walked[place]) for place in sorted(self._walked)]

    def _is_unknown(self, scanned: Scanned) -> bool:
        horizon = self._answers.horizon
        return horizon is not None and (scanned.timestamp is None or scanned.timestamp < horizon)

    def _plan(self, place: TopicPartition, walked: _Walked) -> PartitionPlan:
        span, unanswered = self._spans[place], walked.unanswered
        base = unanswered[0] if unanswered else span.end
        weighed = weighed_between(unanswered, walked.gaps, span.end)
        kept = worthiest(base, weighed)
        worth = dict(weighed)
        again = sum(walked.gaps) - sum(worth[run] for run in kept)
        position = Position(place.topic, place.partition, base, text(base, kept))
        return PartitionPlan(
            place=place,
            span=span,
            tasks=walked.tasks,
            answered=walked.tasks - len(unanswered) - walked.parked,
            sent_again=walked.sent_again,
            unknown=walked.unknown,
            unanswered=tuple(unanswered),
            again=again,
            parked=walked.parked,
            oldest=walked.oldest,
            position=position,
        )


def worthiest(base: int, weighed: Sequence[tuple[Run, int]]) -> list[Run]:
    """As many of the runs as a map holds, those with the most tasks first: what is left out runs again.

    A run left out joins the gaps on both sides of it to one, which takes no more bytes than they did: so the more are
    left out the shorter the map, and how many must be is found by halving.
    """
    by_worth = sorted((pair for pair in weighed if pair[1]), key=lambda pair: -pair[1])
    low, high = 0, len(by_worth)
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if _fits(base, _runs(by_worth[:middle])) else (low, middle - 1)
    return _runs(by_worth[:low])


def weighed_between(unanswered: Sequence[int], gaps: Sequence[int], end: int) -> list[tuple[Run, int]]:
    """The runs behind each unanswered offset with the tasks in them."""
    ends = [*unanswered[1:], end] if unanswered else []
    return [
        (Run(offset + 1, after), tasks)
        for offset, after, tasks in zip(unanswered, ends, gaps, strict=True)
        if after > offset + 1
    ]


def _runs(weighed: Sequence[tuple[Run, int]]) -> list[Run]:
    return sorted((run for run, _ in weighed), key=lambda run: run.start)


def _fits(base: int, runs: Sequence[Run]) -> bool:
    return sum(map_bytes(base, runs)) <= offset_map.RUNS_LIMIT


def text(base: int, runs: Sequence[Run]) -> str:
    """Whole in the sense of ``exactly_once``: nobody of this group has finished anything that it leaves out."""
    return offset_map.encode_owned(base, runs, "") if runs else ""
