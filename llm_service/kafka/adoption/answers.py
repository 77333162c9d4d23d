"""Which tasks are answered already: the terminal statuses that are there, folded by task id.

An answer counts for every message of its id that was written before it, and for none that was written after: a producer
that sends a task again after its answer wants another run, and one that sent it twice before got one answer for both.
"Before" is by offset where task and answer lie in one partition, which is exact, and else by the messages' timestamps. Where
the clocks of producers and workers disagree so far that an answer seems older than its task, the task runs again: an
answer that is believed wrongly would lose one.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from datetime import UTC, datetime

from llm_service.contract.message import Envelope
from llm_service.contract.status import Status
from llm_service.errors import InvalidMessage
from llm_service.kafka.port import KafkaMessage, TopicPartition
from llm_service.kafka.scan import Scanned, Span

# Two of 10^6 ids share a digest of 128 bits with a probability of 10^-27.
_DIGEST_BYTES = 16


class Answers:
    """The newest answer of each id. A million ids take about 130 MB, and 300 MB where tasks and statuses share a topic."""

    def __init__(self, spans: Mapping[TopicPartition, Span], *, rerun_failed: bool = False) -> None:
        """``spans``: what there is of the status topic. ``rerun_failed``: only SUCCESS is an answer."""
        self._terminal = frozenset({Status.SUCCESS} if rerun_failed else {Status.SUCCESS, Status.FAILED})
        self._written: dict[bytes, float] = {}
        """When each id was answered last, in seconds since the epoch."""
        self._places: dict[bytes, tuple[TopicPartition, int]] = {}
        self._cut = {place for place, span in spans.items() if span.first > 0}
        """Partitions whose beginning has been deleted, and of which nothing was read yet."""
        self._horizon: datetime | None = None

    def __len__(self) -> int:
        return len(self._written)

    @property
    def horizon(self) -> datetime | None:
        """Statuses from before this may have been deleted by retention, so who has none may have had one.

        None where all are there. A partition that has been emptied says nothing even of the last minute.
        """
        return datetime.max.replace(tzinfo=UTC) if self._cut else self._horizon

    def note(self, scanned: Scanned, *, shared: bool) -> None:
        """One message of the status topic; ``shared``: tasks lie on it too."""
        message, written = scanned.message, scanned.timestamp
        if message.place in self._cut and written is not None:
            self._cut.discard(message.place)
            self._horizon = max(self._horizon or written, written)
        envelope = envelope_of(message)
        if status_of(envelope) not in self._terminal:
            return
        name = _digest(envelope.identity().task_id)
        seconds = written.timestamp() if written is not None else 0.0
        if seconds >= self._written.get(name, 0.0):
            self._written[name] = seconds
        if shared:
            self._places[name] = message.place, message.offset

    def covers(self, task_id: str, scanned: Scanned) -> bool:
        """Whether this task was answered after it was sent."""
        name, message = _digest(task_id), scanned.message
        place, offset = self._places.get(name, (None, 0))
        if place == message.place:
            return offset > message.offset
        answered = self._written.get(name)
        return (
            answered is not None
            and scanned.timestamp is not None
            and answered >= scanned.timestamp.timestamp()
        )

    def knows(self, task_id: str) -> bool:
        """Whether there is any answer for this id, before or after the task."""
        return _digest(task_id) in self._written


def envelope_of(message: KafkaMessage) -> Envelope:
    return Envelope(
        message.key, message.value, message.headers, message.topic, message.partition, message.offset
    )


def status_of(envelope: Envelope) -> Status | None:
    """As the worker reads it: what it can't read is a task for it, and FAILED in the end."""
    try:
        return envelope.status()
    except InvalidMessage:
        return Status.PENDING


def _digest(task_id: str) -> bytes:
    return hashlib.blake2b(task_id.encode("utf-8", "surrogatepass"), digest_size=_DIGEST_BYTES).digest()
