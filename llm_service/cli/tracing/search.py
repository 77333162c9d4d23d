"""Looking for a task's messages: the partition of its key first, all the others only where they are needed."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from aiokafka.partitioner import murmur2

from llm_service.cli.tracing.moment import TERMINAL, Fate, Kind, Moment
from llm_service.cli.tracing.reading import Reading
from llm_service.kafka.config import ConnectionConfig
from llm_service.kafka.port import TopicPartition
from llm_service.kafka.scan import Span, TopicScan

# A broker answers in milliseconds; one that is not there is waited for as long as this.
SILENCE_S = 10.0
_TELL_EVERY = 500


@dataclass(frozen=True, slots=True)
class Sought:
    """Where was looked, and what was found."""

    moments: tuple[Moment, ...]
    looked: Mapping[str, str]
    """By topic: in which of its partitions."""


def search(
    connection: ConnectionConfig,
    topics: Sequence[str],
    letters: str,
    wanted: str,
    since: datetime | None,
    progress: Callable[[str, int, int], None],
) -> Sought:
    """Read ``topics``, of which the first is the tasks', and the topic of dead letters. Blocks.

    Raises DependencyUnavailable, and what ``progress`` raises.
    """
    with TopicScan(connection, SILENCE_S, committed=False) as scan:
        all_spans = {topic: scan.spans(topic) for topic in dict.fromkeys([*topics, letters])}
        begins = scan.offsets_at([p for spans in all_spans.values() for p in spans], since) if since else {}
        keyed = {topic: _of_key(spans, wanted) for topic, spans in all_spans.items()}
        looking = _Looking(scan, wanted, letters, begins, progress)
        found = [moment for spans in keyed.values() for moment in looking.read(spans)]
        looked = {t: f"partition {n.partition}" for t, spans in keyed.items() for n in spans}
        if not _is_whole(found, wanted):
            rest = {
                t: {p: s for p, s in spans.items() if p not in keyed[t]} for t, spans in all_spans.items()
            }
            found += [moment for spans in rest.values() for moment in looking.read(spans)]
            looked = {topic: f"all {len(spans)} partitions" for topic, spans in all_spans.items()}
    return Sought(tuple(_decided(connection, found)), looked)


@dataclass(slots=True)
class _Looking:
    scan: TopicScan
    wanted: str
    letters: str
    begins: Mapping[TopicPartition, int]
    progress: Callable[[str, int, int], None]

    def read(self, spans: Mapping[TopicPartition, Span]) -> list[Moment]:
        if not spans:
            return []
        topic = next(iter(spans)).topic
        reading = Reading(self.wanted, letters=topic == self.letters)
        total = sum(max(0, span.end - max(span.first, self.begins.get(p, 0))) for p, span in spans.items())
        found = []
        self.progress(topic, 0, total)
        for number, scanned in enumerate(self.scan.read(spans, self.begins), 1):
            if number % _TELL_EVERY == 0:
                self.progress(topic, number, total)
            if (moment := reading.moment(scanned)) is not None:
                found.append(moment)
        self.progress(topic, total, total)
        return found


def _is_whole(found: Sequence[Moment], wanted: str) -> bool:
    """Whether the task and its end are there: who lacks one of them may have it under another partitioner or key."""
    kinds = {
        (moment.kind, moment.what in TERMINAL) for moment in found if moment.details.get("task_id") == wanted
    }
    return {(Kind.TASK, False), (Kind.STATUS, True)} <= kinds


def _of_key(spans: Mapping[TopicPartition, Span], wanted: str) -> dict[TopicPartition, Span]:
    """Where producers with Java's partitioner, ours among them, put a message with this key."""
    if not spans:
        return {}
    number = (murmur2(wanted.encode()) & 0x7FFFFFFF) % len(spans)
    return {place: span for place, span in spans.items() if place.partition == number}


def _decided(connection: ConnectionConfig, found: Sequence[Moment]) -> list[Moment]:
    """What a reader with read_committed sees of them, told from what it does not."""
    if not found:
        return []
    with TopicScan(connection, SILENCE_S) as scan:
        stable = {topic: scan.spans(topic) for topic in {moment.topic for moment in found}}
        wanted: dict[TopicPartition, Span] = {}
        for moment in found:
            place = TopicPartition(moment.topic, moment.partition)
            end = stable[moment.topic][place].end if place in stable[moment.topic] else 0
            known = wanted.get(place, Span(moment.offset, moment.offset))
            wanted[place] = Span(min(known.first, moment.offset), min(max(known.end, moment.offset + 1), end))
        seen = {(one.message.place, one.message.offset) for one in scan.read(wanted)}
    return [_with_fate(moment, stable, seen) for moment in found]


def _with_fate(
    moment: Moment,
    stable: Mapping[str, Mapping[TopicPartition, Span]],
    seen: set[tuple[TopicPartition, int]],
) -> Moment:
    place = TopicPartition(moment.topic, moment.partition)
    if (place, moment.offset) in seen:
        return moment
    is_open = moment.offset >= stable[moment.topic][place].end
    return replace(moment, fate=Fate.OPEN if is_open else Fate.ABORTED)
