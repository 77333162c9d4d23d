"""Status events: what a task is told to the world as, in bytes that existing consumers read."""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import IntEnum
from typing import Literal, TypeAlias

from llm_service.contract.record import Headers, Record
from llm_service.contract.strict_json import dumps, dumps_text, loads_text
from llm_service.errors import InvalidMessage

ResultEncoding: TypeAlias = Literal["string", "object"]

# A sentence with an excerpt, stored and shown by every reader. The errors' own messages are shorter already.
MAX_ERROR_CHARS = 2_000
# Of the documents that were altered so many are named, each in so many characters: 6 bytes a letter make 6 kB of it.
_ALTERED_NAMED = 10
_ALTERED_NAME_CHARS = 100
TOO_LARGE_NOTE = "The result is too large for a message; the object at result_ref holds it."


class Status(IntEnum):
    """The state of a task, as the platform numbers it."""

    PENDING = 1
    PROCESSING = 2
    SUCCESS = 3
    FAILED = 4

    @classmethod
    def of(cls, value: float | str) -> Status | None:
        """The status that a number, its text or its name in any case means; None for any other."""
        return _STATUSES.get(value.strip().upper() if isinstance(value, str) else value)


_STATUSES: dict[float | str, Status] = {
    word: status for status in Status for word in (status.value, str(status.value), status.name)
}


@dataclass(frozen=True, slots=True)
class Stamp:
    """Who says it, about which task, when and in which of its runs."""

    task_id: str
    trace_id: str
    worker_id: str
    timestamp: datetime
    """Aware."""
    attempt: int
    run: str
    traceparent: str | None = None
    tracestate: str | None = None


@dataclass(frozen=True, slots=True)
class Processing:
    """The work begins."""

    provider: str | None = None
    model: str | None = None


@dataclass(frozen=True, slots=True)
class Tried:
    """A provider that was asked for a task with a list of them, and what came of it: ``success`` or an error's code."""

    provider: str
    model: str
    code: str


@dataclass(frozen=True, slots=True)
class Altered:
    """A document of which the model did not get all as it came."""

    name: str
    chars: int
    """Of its whole text."""
    cut_chars: int = 0
    """Too long for the model, and left out as the task allows."""
    hidden_chars: int = 0
    """Those nobody sees, in its text and its name: the model was shown their numbers."""


@dataclass(frozen=True, slots=True)
class Success:
    """There is an answer: ``text``, or the object at ``result_ref``, ``result_text(text)`` in UTF-8."""

    text: str
    provider: str | None = None
    model: str | None = None
    finish_reason: str | None = None
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    cost: float | None = None
    """US dollars; None where nobody knows."""
    processing_time_ms: int | None = None
    result_ref: str | None = None
    tried: tuple[Tried, ...] = ()
    """All that were asked, in their order; empty where the task had one provider only."""
    altered: tuple[Altered, ...] = ()


@dataclass(frozen=True, slots=True)
class Failure:
    """There is no answer, and why; ``message`` must be safe to show."""

    code: str
    message: str
    retryable: bool
    provider: str | None = None
    tokens_used: int | None = None
    processing_time_ms: int | None = None
    tried: tuple[Tried, ...] = ()
    altered: tuple[Altered, ...] = ()


StatusEvent: TypeAlias = Processing | Success | Failure


def encode(event: StatusEvent, stamp: Stamp, encoding: ResultEncoding) -> Record:
    """The message for the status topic. The same event and stamp always give the same bytes."""
    status, body = _body(event, encoding)
    body |= {"task_id": stamp.task_id, "status": status.value, "attempt": stamp.attempt}
    value = dumps({name: value for name, value in body.items() if value is not None})
    return Record(stamp.task_id.encode(), value, _headers(stamp, status, value))


def result_text(text: str) -> str:
    """The JSON text that stands for a model's answer: the answer itself if it is a JSON object or array.

    Anything else is wrapped, also a lone number or word that happens to be JSON: a reader wants an object.
    """
    stripped = text.strip()
    if _structure(stripped) is not None:
        return stripped
    # The encoder takes a lone text far quicker than an object that holds it.
    return f'{{"raw_response":{dumps_text(text)}}}'


def event_id(task_id: str, run: str, status: Status, body: bytes) -> str:
    """32 hex digits of SHA-256: the same id means the same bytes of the body."""
    digest = hashlib.sha256()
    for part in (task_id.encode(), run.encode(), b"%d" % status, body):
        digest.update(b"%d:" % len(part))
        digest.update(part)
    return digest.hexdigest()[:32]


def _body(event: StatusEvent, encoding: ResultEncoding) -> tuple[Status, dict[str, object]]:
    match event:
        case Processing():
            return Status.PROCESSING, {"provider": event.provider, "model": event.model}
        case Success():
            return Status.SUCCESS, _success(event, encoding)
        case Failure():
            return Status.FAILED, _failure(event)


def _success(event: Success, encoding: ResultEncoding) -> dict[str, object]:
    usage = _usage(event.prompt_tokens, event.completion_tokens)
    return {
        "result": _result(event, encoding),
        "result_ref": event.result_ref,
        "tokens_used": usage and usage["total_tokens"],
        "processing_time_ms": event.processing_time_ms,
        "usage": usage,
        "cost": event.cost if event.cost is not None and math.isfinite(event.cost) else None,
        "provider": event.provider,
        "model": event.model,
        "finish_reason": event.finish_reason,
        "tried": _tried(event.tried),
        "altered": _altered(event.altered),
    }


def _tried(tried: tuple[Tried, ...]) -> list[dict[str, str]] | None:
    return [{"provider": one.provider, "model": one.model, "code": one.code} for one in tried] or None


def _altered(altered: tuple[Altered, ...]) -> dict[str, object] | None:
    if not altered:
        return None
    return {
        "cut_chars": sum(one.cut_chars for one in altered),
        "hidden_chars": sum(one.hidden_chars for one in altered),
        "documents": [
            {
                "name": shorten(one.name, _ALTERED_NAME_CHARS),
                "chars": one.chars,
                "cut_chars": one.cut_chars,
                "hidden_chars": one.hidden_chars,
            }
            for one in altered[:_ALTERED_NAMED]
        ],
    }


def _result(event: Success, encoding: ResultEncoding) -> object:
    if event.result_ref is not None:
        pointer = {"result_ref": event.result_ref, "note": TOO_LARGE_NOTE}
        return pointer if encoding == "object" else dumps_text(pointer)
    if encoding == "string":
        return result_text(event.text)
    found = _structure(event.text.strip())
    return {"raw_response": event.text} if found is None else found


def _structure(text: str) -> dict[str, object] | list[object] | None:
    if not text.startswith(("{", "[")):
        return None
    try:
        value = loads_text(text)
    except InvalidMessage:
        return None
    return value if isinstance(value, dict | list) else None


def _usage(prompt: int | None, completion: int | None) -> dict[str, int | None] | None:
    if prompt is None and completion is None:
        return None
    return {
        "prompt_tokens": prompt,
        "completion_tokens": completion,
        "total_tokens": (prompt or 0) + (completion or 0),
    }


def _failure(event: Failure) -> dict[str, object]:
    message = shorten(event.message, MAX_ERROR_CHARS)
    return {
        "error_message": message,
        "error": {
            "code": event.code,
            "message": message,
            "retryable": event.retryable,
            "provider": event.provider,
        },
        "tokens_used": event.tokens_used,
        "processing_time_ms": event.processing_time_ms,
        "tried": _tried(event.tried),
        "altered": _altered(event.altered),
    }


def shorten(text: str, most: int) -> str:
    """At most ``most`` characters, ending in an ellipsis where something was cut."""
    return text if len(text) <= most else text[: most - 1] + "…"


def iso(moment: datetime) -> str:
    """ISO 8601 in UTC, in the form that ``datetime.fromisoformat`` of every supported Python reads (no Z)."""
    in_utc = moment if moment.tzinfo is UTC else moment.astimezone(UTC)
    return in_utc.isoformat(timespec="milliseconds")


def _headers(stamp: Stamp, status: Status, value: bytes) -> Headers:
    headers: list[tuple[str, bytes | None]] = [
        ("status", b"%d" % status),
        ("trace_id", stamp.trace_id.encode()),
        ("worker_id", stamp.worker_id.encode()),
        ("timestamp", iso(stamp.timestamp).encode()),
        ("attempt", b"%d" % stamp.attempt),
        ("run", stamp.run.encode()),
        ("event_id", event_id(stamp.task_id, stamp.run, status, value).encode()),
    ]
    if stamp.traceparent is not None:
        headers.append(("traceparent", stamp.traceparent.encode()))
    if stamp.tracestate is not None:
        headers.append(("tracestate", stamp.tracestate.encode()))
    return tuple(headers)
