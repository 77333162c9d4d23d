"""A message of the tasks topic: it has an identity whatever it is, and is a task or is refused in words."""

from __future__ import annotations

import json
from datetime import UTC, datetime

from llm_service.contract import dead_letter, status
from llm_service.contract.dead_letter import DeadLetter
from llm_service.contract.envelope import MAX_ID_CHARS, Envelope, Identity
from llm_service.contract.message import is_skipped
from llm_service.contract.record import Headers
from llm_service.contract.status import Failure, Stamp
from llm_service.errors import InvalidMessage
from scripts.fuzzing.target import Target

_WHEN = datetime(2026, 1, 1, tzinfo=UTC)
_TRACE_ID_CHARS = (32, 36)
# What is said to a reader stays readable, however long the value that it is about.
_MESSAGE_CHARS = 1_000
_NAMES = ("status", "trace_id", "prompt_id", "ce_id", "ce_source", "traceparent", "tracestate", "x")

_SEEDS = (
    b"\x00\x00" + b'{"storage_path": "documents/a.pdf", "metadata": {"filename": "a.pdf", "filesize": 3}}',
    b"\x24\x01" + b"7b0e4d3a-0000-4000-8000-000000000001" + b"\x00\x011" + b'{"text": "x", "prompt_id": 3}',
    b'\x00\x00{"task_id":"a","status":1,"files":["a","b"],"priority":5,"deadline_at":"2026-11-20T09:10:00Z"}',
    b'\x00\x00{"messages":[{"role":"user","content":"x"}],"parameters":{"temperature":0.5,"stop":["a"]}}',
    b'\x00\x00{"metadata":"{\\"a\\":1}","data":{"a":[1,2,{"b":null}]},"response_format":{"type":"object"}}',
)
_TOKENS = (
    *("task_id", "status", "storage_path", "prompt_id", "trace_id", "metadata", "messages", "parameters"),
    *(
        "deadline_at",
        "max_attempts",
        "constraints",
        "priority",
        "response_format",
        "NaN",
        "Infinity",
        "1e999",
    ),
    *('\\"ud800', "PENDING", "2026-11-20T09:10:00+99:99", "null", "true", "99999999999999999999", "{}", "[["),
)


def check(data: bytes) -> None:
    """Raises AssertionError where a promise does not hold, and whatever else the parser lets out."""
    key, headers, value = _split(data)
    envelope, again = (Envelope(key, value, headers, "tasks", 3, 7) for _ in range(2))
    who = envelope.identity()
    _check_identity(who)
    assert who == again.identity(), "the same message has two identities"
    assert envelope.digest() == again.digest(), "the same message has two digests"
    try:
        task = envelope.task()
    except InvalidMessage as error:
        _check_refusal(error, who, key, headers, value)
    else:
        assert task is None or (task.task_id, task.trace_id) == (who.task_id, who.trace_id)
        assert task is None or not is_skipped(headers), "a message that is skipped is a task"


def _check_identity(who: Identity) -> None:
    assert 0 < len(who.task_id) <= MAX_ID_CHARS, "an id of no length, or too long"
    assert who.task_id.isprintable(), "an id that can't be printed"
    assert len(who.trace_id) in _TRACE_ID_CHARS, "a trace id that is no UUID"


def _check_refusal(
    error: InvalidMessage, who: Identity, key: bytes | None, headers: Headers, value: bytes | None
) -> None:
    """What is refused can be said to its producer, and kept byte for byte."""
    assert 0 < len(error.message) <= _MESSAGE_CHARS, "a refusal nobody reads"
    stamp = Stamp(who.task_id, who.trace_id, "w", _WHEN, 1, "tasks/3/7", who.traceparent, who.tracestate)
    event = status.encode(Failure(error.code, error.message, retryable=False), stamp, "string")
    assert json.loads(event.value or b"")["error_message"], "a FAILED without a reason"
    letter = dead_letter.encode(
        DeadLetter(error.code, error.message, 1, "tasks", 3, 7, _WHEN), key, value, headers
    )
    assert (letter.key, letter.value) == (key, value), "a dead letter is not what came"
    assert letter.headers[: len(headers)] == headers, "a dead letter's headers are not what came"


def _split(data: bytes) -> tuple[bytes | None, Headers, bytes | None]:
    """Key length, number of headers, key; each header: name, length, value; the rest is the value."""
    if len(data) < 2:
        return None, (), data or None
    key_length, count, rest = data[0], data[1] % 8, data[2:]
    key, rest = (rest[:key_length] if key_length else None), rest[key_length:]
    headers: list[tuple[str, bytes]] = []
    for _ in range(count):
        if len(rest) < 2:
            break
        name, length = _NAMES[rest[0] % len(_NAMES)], rest[1]
        headers.append((name, rest[2 : 2 + length]))
        rest = rest[2 + length :]
    return key, tuple(headers), rest or None


TARGET = Target(check, _SEEDS, _TOKENS)
