"""The old statuses folded and the tasks walked: what a group is to be told before its first worker starts."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import TypeAlias

from llm_service.errors import DependencyUnavailable
from llm_service.kafka.adoption.answers import Answers
from llm_service.kafka.adoption.plan import PartitionPlan, Walk
from llm_service.kafka.scan import Scanned, Span, TopicScan

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
class Survey:
    """What was found, and what would be written."""

    tasks_topic: str
    status_topic: str
    answers: int
    """Ids that have a terminal status."""
    horizon: datetime | None
    """Statuses from before this may have been deleted; None where all are there."""
    parts: tuple[PartitionPlan, ...]

    def total(self, count: Callable[[PartitionPlan], int]) -> int:
        """A number of all partitions together."""
        return sum(count(part) for part in self.parts)


def survey(scan: TopicScan, tasks: str, status: str, choice: Choice, progress: Progress) -> Survey:
    """Read both topics as far as they go now: the statuses first. Blocks.

    What is answered after that looks unanswered, so nothing is lost where somebody is at work meanwhile. Raises
    DependencyUnavailable, and what ``progress`` raises.
    """
    answers = fold(scan, tasks, status, choice, progress)
    return walk(scan, tasks, status, answers, choice, progress)


def fold(scan: TopicScan, tasks: str, status: str, choice: Choice, progress: Progress) -> Answers:
    """The first half: what is answered."""
    spans = scan.spans(status)
    answers = Answers(spans, rerun_failed=choice.rerun_failed)
    for scanned in _told(scan.read(spans), status, _extent(spans.values()), progress):
        answers.note(scanned, shared=tasks == status)
    return answers


def walk(
    scan: TopicScan, tasks: str, status: str, answers: Answers, choice: Choice, progress: Progress
) -> Survey:
    """The second half: what is there to answer."""
    spans = scan.spans(tasks)
    if not spans:
        raise DependencyUnavailable(f"there is no topic {tasks}, or this service may not see it")
    walking = Walk(spans, answers, unknown_answered=choice.unknown_answered)
    for scanned in _told(scan.read(spans), tasks, _extent(spans.values()), progress):
        walking.note(scanned)
    return Survey(tasks, status, len(answers), answers.horizon, tuple(walking.plans()))


def _extent(spans: Iterable[Span]) -> int:
    return sum(span.end - span.first for span in spans)


def _told(messages: Iterable[Scanned], topic: str, total: int, progress: Progress) -> Iterator[Scanned]:
    progress(topic, 0, total)
    for number, scanned in enumerate(messages, 1):
        if number % _TELL_EVERY == 0:
            progress(topic, number, total)
        yield scanned
    progress(topic, total, total)
