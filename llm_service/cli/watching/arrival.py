"""One message of the status topic, read as any consumer of it would."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from llm_service.contract.envelope import header_text
from llm_service.contract.message import identify
from llm_service.contract.record import Headers
from llm_service.contract.status import Status
from llm_service.contract.strict_json import loads
from llm_service.errors import InvalidMessage

TERMINAL = frozenset({Status.SUCCESS, Status.FAILED})


@dataclass(frozen=True, slots=True)
class Arrival:
    """One status of one task. Whatever its producer wrote is here as it came: nothing of it is fit for a terminal."""

    task_id: str
    status: Status
    body: object
    """The decoded JSON; the text where it is none, None where it is empty."""
    at: float
    """When it was read, in seconds of the monotonic clock."""
    written_at: float = 0.0
    """When it was written, in seconds since the epoch, as its producer or the broker stamped it."""
    trace_id: str | None = None
    worker_id: str | None = None
    timestamp: str | None = None
    """The header, ISO 8601 where its producer kept to the contract."""
    partition: int = 0
    offset: int = 0

    @property
    def is_terminal(self) -> bool:
        return self.status in TERMINAL

    @property
    def fields(self) -> Mapping[str, object]:
        """The body where it is an object, else nothing."""
        return self.body if isinstance(self.body, Mapping) else {}


@dataclass(frozen=True, slots=True)
class Message:
    """What Kafka hands over."""

    topic: str
    partition: int
    offset: int
    key: bytes | None
    value: bytes | None
    headers: Headers
    written_at: float
    """Seconds since the epoch."""


def read_arrival(
    message: Message, at: float, *, ids: frozenset[str] = frozenset(), shared: bool = False
) -> Arrival | None:
    """The status in a message; None for what is none, and for other tasks than ``ids`` where there are any.

    On a ``shared`` topic a task itself is the status PENDING. A body is decoded only when the task is asked for.
    """
    status = _status(message, shared=shared)
    if status is None:
        return None
    task_id = _task_id(message, status)
    if ids and task_id not in ids:
        return None
    headers = dict(message.headers)
    return Arrival(
        task_id,
        status,
        _body(message.value),
        at,
        message.written_at,
        _text(headers.get("trace_id")),
        _text(headers.get("worker_id")),
        _text(headers.get("timestamp")),
        message.partition,
        message.offset,
    )


def _status(message: Message, *, shared: bool) -> Status | None:
    """The header says it; without one the body may; a message of a shared topic where neither does is a task."""
    word = _text(dict(message.headers).get("status"))
    if word is not None:
        return Status.of(word)
    body = _body(message.value)
    said = body.get("status") if isinstance(body, dict) else None
    if isinstance(said, str | int | float) and not isinstance(said, bool) and said != "":
        return Status.of(said)
    return Status.PENDING if shared and isinstance(body, dict) else None


def _task_id(message: Message, status: Status) -> str:
    """A status has its task's id as key; whose a task is, the contract says."""
    if status is not Status.PENDING and message.key:
        return message.key.decode("utf-8", "replace")
    place = (message.topic, message.partition, message.offset)
    return identify(message.key, message.value, message.headers, *place).task_id


def _text(raw: bytes | None) -> str | None:
    return header_text(raw) if raw else None


def _body(value: bytes | None) -> object:
    if not value:
        return None
    try:
        return loads(value)
    except InvalidMessage:
        return value.decode("utf-8", "replace")
