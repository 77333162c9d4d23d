"""Which letters are meant."""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime

from llm_service.kafka.letters import Letter, Stranger

Place = tuple[int, int]

_PLACE = re.compile(r"(\d{1,9})/(\d{1,18})", re.ASCII)


@dataclass(frozen=True, slots=True)
class Selection:
    """All that is asked for must be so; what is not asked for is left open."""

    codes: Collection[str] = ()
    tasks: Collection[str] = ()
    topics: Collection[str] = ()
    """That the original lay on."""
    places: Collection[Place] = ()
    """Partition and offset on the dead-letter topic."""
    since: datetime | None = None
    until: datetime | None = None
    resolved_too: bool = False
    limit: int | None = None

    def takes(self, letter: Letter) -> bool:
        """Whether it is meant; the limit is the caller's to keep."""
        why = letter.decoded.letter
        return (
            (self.resolved_too or letter.resolution is None)
            and (not self.codes or why.code in self.codes)
            and (not self.topics or why.topic in self.topics)
            and (self.since is None or why.timestamp >= self.since)
            and (self.until is None or why.timestamp < self.until)
            and (not self.places or letter.place in self.places)
            and (not self.tasks or letter.task_id in self.tasks)
        )

    def takes_stranger(self, stranger: Stranger) -> bool:
        """Only one that is named by its place: nothing else is known of it."""
        place = stranger.message.partition, stranger.message.offset
        return stranger.resolution is None and place in self.places


def parse_place(text: str) -> Place | None:
    """``3/1017``; None for any other text."""
    found = _PLACE.fullmatch(text.strip())
    return None if found is None else (int(found[1]), int(found[2]))
