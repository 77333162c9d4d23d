"""A message of one of the topics, as a piece of what is known of a task; or none of it."""

from __future__ import annotations

from collections.abc import Mapping

from llm_service.cli.tracing.moment import Kind, Moment
from llm_service.contract.envelope import header_text
from llm_service.contract.message import Envelope
from llm_service.contract.record import Headers
from llm_service.contract.retry import RetryNote, decode
from llm_service.contract.status import Status, iso
from llm_service.errors import InvalidMessage
from llm_service.kafka.port import KafkaMessage
from llm_service.kafka.scan import Scanned

_OF_STATUS = ("worker_id", "attempt", "run", "event_id")
_OF_LETTER = ("dlq_message", "dlq_attempts", "dlq_topic", "dlq_partition", "dlq_offset")


class Reading:
    """Knows the task by its id or its trace id. One per topic, since resolved letters are told by their place."""

    def __init__(self, wanted: str, *, letters: bool) -> None:
        self._wanted = wanted
        self._letters = letters
        self._places: set[str] = set()

    def moment(self, scanned: Scanned) -> Moment | None:
        message = scanned.message
        if (found := decode(message.headers)) is not None and not self._letters:
            return self._retry(scanned, *found)
        headers = {name: header_text(value) if value else None for name, value in message.headers}
        if self._letters and (of := headers.get("dlq_letter")) is not None:
            how = headers.get("dlq_resolved") or "resolved"
            return _moment(scanned, Kind.RESOLVED, how, {"letter": of}) if of in self._places else None
        envelope = _envelope(message, headers if self._letters else {})
        identity = envelope.identity()
        if self._wanted not in {identity.task_id, identity.trace_id}:
            return None
        ids = {"task_id": identity.task_id, "trace_id": identity.trace_id}
        if self._letters:
            self._places.add(f"{message.partition}/{message.offset}")
            told = {name.removeprefix("dlq_"): headers[name] for name in _OF_LETTER if headers.get(name)}
            return _moment(scanned, Kind.LETTER, headers.get("dlq_reason") or "no reason", {**ids, **told})
        status = _status(envelope)
        if status is Status.PENDING:
            return _moment(scanned, Kind.TASK, "sent", ids)
        told = {name: headers[name] for name in _OF_STATUS if headers.get(name)}
        return _moment(scanned, Kind.STATUS, status.name if status else "no status", {**ids, **told})

    def _retry(self, scanned: Scanned, note: RetryNote, headers: Headers) -> Moment | None:
        """A task that goes round; an id that had to be made up is of the place where it was read first."""
        message = scanned.message
        identity = Envelope(message.key, message.value, headers, *note.run).identity()
        if self._wanted not in {identity.task_id, identity.trace_id}:
            return None
        details = {
            "task_id": identity.task_id,
            "trace_id": identity.trace_id,
            "due": iso(note.due),
            "attempt": str(note.attempt),
            "round": str(note.round),
            "run": "/".join(map(str, note.run)),
            "group": note.group,
        }
        return _moment(scanned, Kind.RETRY, note.reason, details)


def _moment(scanned: Scanned, kind: Kind, what: str, details: Mapping[str, str | None]) -> Moment:
    message = scanned.message
    return Moment(kind, what, scanned.timestamp, message.topic, message.partition, message.offset, details)


def _envelope(message: KafkaMessage, letter: Mapping[str, str | None]) -> Envelope:
    """An id that had to be made up is of the place that the letter's message came from."""
    topic, partition, offset = (letter.get(f"dlq_{name}") for name in ("topic", "partition", "offset"))
    if topic and partition and offset and partition.isdecimal() and offset.isdecimal():
        origin = topic, int(partition), int(offset)
    else:
        origin = message.topic, message.partition, message.offset
    return Envelope(message.key, message.value, message.headers, *origin)


def _status(envelope: Envelope) -> Status | None:
    try:
        return envelope.status()
    except InvalidMessage:
        return Status.PENDING
