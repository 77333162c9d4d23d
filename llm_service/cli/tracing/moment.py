"""What is known of a task, piece by piece."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

TERMINAL = frozenset({"SUCCESS", "FAILED"})
"""What a status that ends a task says."""


class Kind(StrEnum):
    """What a piece is."""

    TASK = "task"
    STATUS = "status"
    RETRY = "retry"
    LETTER = "dead letter"
    RESOLVED = "resolved"
    ROW = "row"


class Fate(StrEnum):
    """What a reader with read_committed knows of a message."""

    COMMITTED = "committed"
    ABORTED = "aborted"
    OPEN = "open"
    """Its transaction is not decided."""


@dataclass(frozen=True, slots=True)
class Moment:
    """One message or one row about the task."""

    kind: Kind
    what: str
    """``sent``, ``SUCCESS``, a reason, an operation."""
    at: datetime | None
    topic: str
    """Or the table."""
    partition: int = 0
    offset: int = 0
    details: Mapping[str, object] = field(default_factory=dict)
    fate: Fate = Fate.COMMITTED

    @property
    def place(self) -> str:
        return self.topic if self.kind is Kind.ROW else f"{self.topic}/{self.partition}/{self.offset}"
