"""Messages of the retry topic: a task as it came, with our headers behind its own that say when it goes on.

One constant delay stands between writing such a message and going on with it, so the order of the topic is the order in
which its messages are due.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TypeAlias

from llm_service.contract.record import RECORD_OVERHEAD, Headers, Record
from llm_service.contract.status import iso

Run: TypeAlias = tuple[str, int, int]
"""Topic, partition and offset where a task was read first."""

_SPENT = "retry_spent"
_TAKEOVERS = "retry_takeovers"
# Earlier versions know the names below alone, and find them at the end: what is new stands before them.
_NAMES = (
    "retry_group",
    "retry_topic",
    "retry_partition",
    "retry_offset",
    "retry_attempt",
    "retry_round",
    "retry_due",
    "retry_reason",
)
# A group's and a topic's name of 255 characters at most, an error code, seven numbers and a time, with ten names.
RETRY_ALLOWANCE = 1_024


@dataclass(frozen=True, slots=True)
class Spent:
    """What the answered calls of a task have taken."""

    tokens: int = 0
    cost: float = 0.0
    """US dollars, as far as they are known."""


NOTHING = Spent()


@dataclass(frozen=True, slots=True)
class RetryNote:
    """What our headers say of a message that goes round."""

    group: str
    """Whose task it is: deployments may share a broker and, by its default, this topic."""
    topic: str
    """Where the task was read first; with partition and offset it is the identity of its run."""
    partition: int
    offset: int
    attempt: int
    """Which attempt begins when it comes back: 1 where it only waited, and no call was spent on it."""
    round: int
    """How often it has gone round, this time included: of two copies the one with the higher number holds."""
    due: datetime
    """Aware: not before this."""
    reason: str
    """The code of the error that sent it round."""
    takeovers: int = 0
    """How many processes ended while they may have run it: going round makes nobody less suspect."""
    spent: Spent = NOTHING
    """In all attempts so far: going round gives nobody more."""

    @property
    def run(self) -> Run:
        return self.topic, self.partition, self.offset


def encode(note: RetryNote, key: bytes | None, value: bytes | None, headers: Headers) -> Record:
    """The message for the retry topic: the original byte for byte, our headers after its own."""
    texts = (
        note.group,
        note.topic,
        str(note.partition),
        str(note.offset),
        str(note.attempt),
        str(note.round),
        iso(note.due),
        note.reason,
    )
    ours = tuple((name, text.encode()) for name, text in zip(_NAMES, texts, strict=True))
    spent = f"{note.spent.tokens} {note.spent.cost:.9g}"
    newer = ((_SPENT, spent.encode()), (_TAKEOVERS, str(note.takeovers).encode()))
    return Record(key, value, (*headers, *newer, *ours))


def decode(headers: Headers) -> tuple[RetryNote, Headers] | None:
    """The note and the headers before it; None where the message was not written by ``encode``.

    Only the last headers are looked at: a task may have come with some of the same names.
    """
    own = headers[-len(_NAMES) :]
    if tuple(name for name, _ in own) != _NAMES:
        return None
    group, topic, partition, offset, attempt, rounds, due, reason = ((value or b"") for _, value in own)
    takeovers, rest = _taken_off(_TAKEOVERS, headers[: -len(_NAMES)], b"0")
    spent, rest = _taken_off(_SPENT, rest, b"0 0")
    try:
        note = RetryNote(
            group.decode(),
            topic.decode(),
            int(partition),
            int(offset),
            max(1, int(attempt)),
            max(1, int(rounds)),
            _aware(due.decode()),
            reason.decode(),
            max(0, int(takeovers)),
            _spent(spent.decode()),
        )
    except ValueError:  # UnicodeDecodeError is one
        return None
    return note, rest


def size_at_most(key: bytes | None, value: bytes | None, headers: Headers) -> int:
    """Bytes that the message of the retry topic will not exceed, as the broker counts them."""
    return Record(key, value, headers).size + RECORD_OVERHEAD + RETRY_ALLOWANCE


def _taken_off(name: str, headers: Headers, missing: bytes) -> tuple[bytes, Headers]:
    """The value of the last header, where it has this name, and those before it."""
    if not headers or headers[-1][0] != name:
        return missing, headers
    return headers[-1][1] or b"", headers[:-1]


def _spent(text: str) -> Spent:
    tokens, _, cost = text.partition(" ")
    spent = Spent(max(0, int(tokens)), max(0.0, float(cost)))
    if not math.isfinite(spent.cost):
        raise ValueError(text)
    return spent


def _aware(text: str) -> datetime:
    moment = datetime.fromisoformat(text)
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)
