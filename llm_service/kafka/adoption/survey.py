"""The old statuses folded and the tasks walked: what a group is to be told before its first worker starts."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TypeAlias

from llm_service.errors import DependencyUnavailable
from llm_service.kafka.adoption.answers import Answers
from llm_service.kafka.adoption.parked import Parked
from llm_service.kafka.adoption.plan import PartitionPlan, Walk
from llm_service.kafka.port import Committed, TopicPartition
from llm_service.kafka.scan import Scanned, Span, TopicScan
from llm_service.kafka.tracker import Position

Progress: TypeAlias = Callable[[str, int, int], None]
"""Told of a topic, how many of its offsets are read, and how many there are. It ends the reading by raising."""

# Some milliseconds of reading: often enough for a bar on a terminal, and to hear of a stop.
_TELL_EVERY = 500


@dataclass(frozen=True, slots=True)
class Choice:
    """What counts as answered."""

    rerun_failed: bool = False
    """FAILED is no answer: such tasks run again."""
    unknown_answered: bool = False
    """Tasks older than the oldest status that is kept are taken for answered."""


@dataclass(frozen=True, slots=True)
class Retries:
    """The retry topic of a group."""

    topic: str
    group: str
    committed: Callable[[Iterable[TopicPartition]], Mapping[TopicPartition, Committed]]
    """Asks what the group has there; only partitions with an offset."""


@dataclass(frozen=True, slots=True)
class Found:
    """What is answered, and what goes on by itself."""

    tasks: str
    status: str
    answers: Answers
    parked: Parked | None
    """None without a retry topic."""


@dataclass(frozen=True, slots=True)
class Survey:
    """What was found, and what would be written."""

    tasks_topic: str
    status_topic: str
    answers: int
    """Ids that have a terminal status."""
    horizon: datetime | None
    """Statuses from before this may have been deleted; None where all are there."""
    parts: tuple[PartitionPlan, ...]
    retries: tuple[Position, ...] = ()
    """Where the group is to begin on the retry topic; none where it has offsets there, or nothing to go on with."""

    @property
    def positions(self) -> list[Position]:
        """All that is to be written."""
        return [*(part.position for part in self.parts), *self.retries]

    def total(self, count: Callable[[PartitionPlan], int]) -> int:
        """A number of all partitions together."""
        return sum(count(part) for part in self.parts)


def survey(
    scan: TopicScan, tasks: str, status: str, retries: Retries | None, choice: Choice, progress: Progress
) -> Survey:
    """Read the topics as far as they go now: the statuses first. Blocks.

    What is answered after that looks unanswered, so nothing is lost where somebody is at work meanwhile. Raises
    DependencyUnavailable, and what ``progress`` raises.
    """
    answers = fold(scan, tasks, status, choice, progress)
    parked = None if retries is None else fold_retries(scan, retries, answers, progress)
    return walk(scan, Found(tasks, status, answers, parked), choice, progress)


def fold(scan: TopicScan, tasks: str, status: str, choice: Choice, progress: Progress) -> Answers:
    """The first half: what is answered."""
    spans = scan.spans(status)
    answers = Answers(spans, rerun_failed=choice.rerun_failed)
    for scanned in _told(scan.read(spans), status, _extent(spans.values()), progress):
        answers.note(scanned, shared=tasks == status)
    return answers


def fold_retries(scan: TopicScan, retries: Retries, answers: Answers, progress: Progress) -> Parked:
    """Then what waits on the retry topic."""
    spans = scan.spans(retries.topic)
    parked = Parked(retries.group, spans, retries.committed(spans))
    for scanned in _told(scan.read(spans), retries.topic, _extent(spans.values()), progress):
        parked.note(scanned, answers)
    return parked


def walk(scan: TopicScan, found: Found, choice: Choice, progress: Progress) -> Survey:
    """The last part: what is there to answer."""
    tasks, answers = found.tasks, found.answers
    spans = scan.spans(tasks)
    if not spans:
        raise DependencyUnavailable(f"there is no topic {tasks}, or this service may not see it")
    runs = () if found.parked is None else found.parked.runs
    walking = Walk(spans, answers, runs, unknown_answered=choice.unknown_answered)
    for scanned in _told(scan.read(spans), tasks, _extent(spans.values()), progress):
        walking.note(scanned)
    retries = () if found.parked is None else tuple(found.parked.positions())
    return Survey(tasks, found.status, len(answers), answers.horizon, tuple(walking.plans()), retries)


def _extent(spans: Iterable[Span]) -> int:
    return sum(span.end - span.first for span in spans)


def _told(messages: Iterable[Scanned], topic: str, total: int, progress: Progress) -> Iterator[Scanned]:
    progress(topic, 0, total)
    for number, scanned in enumerate(messages, 1):
        if number % _TELL_EVERY == 0:
            progress(topic, number, total)
        yield scanned
    progress(topic, total, total)
