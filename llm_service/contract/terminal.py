"""Terminal events read back: what a run of a task came to, from the bytes of the status topic."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from llm_service.contract.record import Record
from llm_service.contract.status import Failure, Status, Success, event_id
from llm_service.contract.strict_json import dumps_text, loads
from llm_service.errors import InvalidMessage, ServiceError


@dataclass(frozen=True, slots=True)
class Terminal:
    """A terminal event with what names it."""

    task_id: str
    run: str
    """``topic/partition/offset`` of the task's message; of another service's event, which names none, made of its bytes."""
    status: Status
    event_id: str
    record: Record


def read_terminal(record: Record) -> Terminal | None:
    """What a message of the status topic says as a terminal event; None for any other message."""
    status = _status(record)
    task_id = _text(record.key)
    if status not in (Status.SUCCESS, Status.FAILED) or not task_id:
        return None
    value = record.value or b""
    run = _header(record, "run")
    # Without a run the same event said twice is one, and two events that differ are two.
    named = event_id(task_id, run or "", status, value)
    return Terminal(task_id, run or f"event/{named}", status, _header(record, "event_id") or named, record)


def read_event(terminal: Terminal) -> Success | Failure:
    """What the event tells, as far as it can be read: an event of another service may hold anything."""
    try:
        body = loads(terminal.record.value or b"")
    except InvalidMessage:
        body = None
    fields = body if isinstance(body, dict) else {}
    return _success(fields) if terminal.status is Status.SUCCESS else _failure(fields)


def _success(fields: Mapping[str, object]) -> Success:
    result, usage = fields.get("result"), fields.get("usage")
    counted = usage if isinstance(usage, dict) else {}
    return Success(
        text=result if isinstance(result, str) else dumps_text(result),
        provider=_word(fields.get("provider")),
        model=_word(fields.get("model")),
        finish_reason=_word(fields.get("finish_reason")),
        prompt_tokens=_number(counted.get("prompt_tokens")),
        completion_tokens=_number(counted.get("completion_tokens")),
        processing_time_ms=_number(fields.get("processing_time_ms")),
        result_ref=_word(fields.get("result_ref")),
    )


def _failure(fields: Mapping[str, object]) -> Failure:
    error = fields.get("error")
    told = error if isinstance(error, dict) else {}
    return Failure(
        code=_word(told.get("code")) or ServiceError.code,
        message=_word(told.get("message")) or _word(fields.get("error_message")) or "no reason was given",
        retryable=told.get("retryable") is True,
        provider=_word(told.get("provider")),
        tokens_used=_number(fields.get("tokens_used")),
        processing_time_ms=_number(fields.get("processing_time_ms")),
    )


def _status(record: Record) -> Status | None:
    word = _header(record, "status")
    if word is not None:
        return Status.of(word)
    try:
        body = loads(record.value or b"")
    except InvalidMessage:
        return None
    told = body.get("status") if isinstance(body, dict) else None
    return Status.of(told) if isinstance(told, str | int | float) else None


def _header(record: Record, name: str) -> str | None:
    """Of a repeated header the last counts."""
    found = [value for known, value in record.headers if known == name]
    return _text(found[-1]) if found else None


def _text(raw: bytes | None) -> str | None:
    try:
        return raw.decode() if raw else None
    except UnicodeDecodeError:
        return None


def _word(value: object) -> str | None:
    return value if isinstance(value, str) else None


def _number(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None
