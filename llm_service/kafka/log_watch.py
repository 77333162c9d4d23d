"""Whether the log of a partition is still the one that was read, and what of it was deleted before it was read.

Offsets of one log only go up. One that goes down is of another log under the same name: the topic was deleted and made
anew, or its leader has lost its newest messages. A log that ends before what was read of it is another one too. What was
finished of the old one says nothing of the new, whose messages would be passed over by it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

from llm_service.kafka.offset_map import Run
from llm_service.kafka.port import KafkaMessage, TopicPartition

_EVERY_S = 1.0
# A broker that has just become leader may say for some milliseconds that the log ends earlier than it does.
_SHORT_FOR_S = 3.0
# Of each question to a broker: it holds the consumer's thread.
_ASK_S = 0.2
_ASKED_AT_ONCE = 4
# A transaction's marker is an offset without a message, and compaction is refused on topics that are read.
_LEAST_GAP = 2


@dataclass(frozen=True, slots=True)
class Extent:
    """A log as its leader has it."""

    first: int
    """The oldest offset that is there; negative where that is not known."""
    end: int
    """Behind the newest one."""


AskExtent: TypeAlias = Callable[[TopicPartition, float], Extent | None]
"""Asks for so many seconds; with 0 it says what the client was told last. None: no answer."""


@dataclass(frozen=True, slots=True)
class Lost:
    """Messages that were deleted before they were done."""

    place: TopicPartition
    first: int
    """The offset of the first of them."""
    count: int


@dataclass(slots=True)
class _Reading:
    start: int | None
    """What was committed when it was taken over."""
    finished: Sequence[Run]
    """Above that, by the map that was committed with it."""
    next: int | None = None
    """Behind the last message read; None before the first."""
    doubted: list[Run] = field(default_factory=list)
    """Offsets of which no message came: deleted, or markers."""
    short_since: float | None = None

    @property
    def behind(self) -> int | None:
        return self.start if self.next is None else self.next


class LogWatch:
    """The partitions that are ours. The consumer's thread alone."""

    def __init__(self, ask: AskExtent, monotonic: Callable[[], float]) -> None:
        self._ask = ask
        self._monotonic = monotonic
        self._readings: dict[TopicPartition, _Reading] = {}
        self._looked_at = monotonic()

    def begin(self, place: TopicPartition, start: int | None, finished: Sequence[Run]) -> None:
        """It was taken over, with what was committed for it; or its log has begun anew at ``start``."""
        reading = self._readings[place] = _Reading(start, finished)
        if start is not None:
            # Whether the log still reaches back so far is asked once.
            reading.doubted.append(Run(start, start))

    def forget(self, places: Sequence[TopicPartition]) -> None:
        for place in places:
            self._readings.pop(place, None)

    def begins_behind(self, message: KafkaMessage) -> int | None:
        """Where to read on, when the first message since the takeover lies below what is committed of this very log."""
        reading = self._readings.get(message.place)
        if reading is None or reading.next is not None or reading.start is None:
            return None
        return reading.start if message.offset < reading.start and self.reaches(message.place) else None

    def is_another(self, message: KafkaMessage) -> bool:
        """Whether this message, which was just read, lies below one that was read before."""
        reading = self._readings.get(message.place)
        if reading is None:
            return False
        if reading.next is not None and message.offset < reading.next:
            return True
        if reading.next is None:
            # The message says more than the question that the takeover left.
            reading.doubted.clear()
        behind = reading.behind
        if behind is not None and message.offset - behind >= _LEAST_GAP:
            reading.doubted.append(Run(behind, message.offset))
        reading.next = message.offset + 1
        return False

    def reaches(self, place: TopicPartition) -> bool:
        """Whether the log goes as far as what was read of it; true in doubt.

        The client may remember the end from when it had the partition before, so that its leader is asked too.
        """
        reading = self._readings.get(place)
        behind = None if reading is None else reading.behind
        if behind is None or (known := self._ask(place, 0)) is None or known.end >= behind:
            return True
        asked = self._ask(place, _ASK_S)
        return asked is None or asked.end >= behind

    def look(self) -> tuple[list[Lost], list[tuple[TopicPartition, int]]]:
        """Once a second: what was lost, and which logs have begun anew without a message yet, and where they begin."""
        now = self._monotonic()
        if now < self._looked_at + _EVERY_S:
            return [], []
        self._looked_at = now
        anew = [
            (place, extent.first)
            for place, reading in self._readings.items()
            if (extent := self._short(place, reading, now)) is not None
        ]
        doubted = [place for place, reading in self._readings.items() if reading.doubted]
        lost = [loss for place in doubted[:_ASKED_AT_ONCE] for loss in self._losses(place)]
        return lost, anew

    def _short(self, place: TopicPartition, reading: _Reading, now: float) -> Extent | None:
        """The log, where it has ended before what was read of it for a while, and its leader says so itself."""
        known, behind = self._ask(place, 0), reading.behind
        if known is None or behind is None or known.end >= behind:
            reading.short_since = None
            return None
        if reading.short_since is None:
            reading.short_since = now
        if now < reading.short_since + _SHORT_FOR_S:
            return None
        extent = self._ask(place, _ASK_S)
        return extent if extent is not None and extent.first >= 0 and extent.end < behind else None

    def _losses(self, place: TopicPartition) -> list[Lost]:
        extent = self._ask(place, _ASK_S)
        reading = self._readings[place]
        if extent is None or extent.first < 0:
            return []
        losses = []
        for doubted in reading.doubted:
            # Without a message behind it, it goes as far as the log has been cut.
            end = extent.first if doubted.end == doubted.start else min(doubted.end, extent.first)
            gone = end - doubted.start - _within(reading.finished, doubted.start, end)
            if end > doubted.start and gone > 0:
                losses.append(Lost(place, doubted.start, gone))
            if end > doubted.start and reading.next is None:
                reading.start = end
        reading.doubted.clear()
        return losses


def _within(runs: Sequence[Run], start: int, end: int) -> int:
    return sum(max(0, min(run.end, end) - max(run.start, start)) for run in runs)
