"""Status events as readers see them: bytes of key, value and headers."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llm_service.contract.message import is_skipped, parse_task
from llm_service.contract.record import Record
from llm_service.contract.status import (
    MAX_ERROR_CHARS,
    Failure,
    Processing,
    ResultEncoding,
    Stamp,
    Status,
    StatusEvent,
    Success,
    encode,
    event_id,
    result_text,
)
from tests.unit.contract_room.test_identity import KEY, TRACE, TRACEPARENT
from tests.unit.contract_room.test_strict_json import JSON

STAMP = Stamp(
    task_id=KEY,
    trace_id=TRACE,
    worker_id="LLM_worker_1",
    timestamp=datetime(2026, 11, 20, 12, 10, 0, 123_456, tzinfo=timezone(timedelta(hours=3))),
    attempt=1,
    run="r-1",
)
FAILURE = Failure("file_not_found", "Нет файла documents/a.pdf", retryable=False)
ENCODINGS: tuple[ResultEncoding, ...] = ("string", "object")


def headers(record: Record) -> dict[str, bytes | None]:
    assert len(dict(record.headers)) == len(record.headers)
    return dict(record.headers)


def body(event: StatusEvent, encoding: ResultEncoding = "string") -> dict[str, object]:
    value = encode(event, STAMP, encoding).value
    assert value is not None
    loaded = json.loads(value)
    assert isinstance(loaded, dict)
    return loaded


def test_processing() -> None:
    record = encode(Processing("ollama", "tiny"), STAMP, "string")
    assert record.key == KEY.encode()
    expected = f'{{"provider":"ollama","model":"tiny","task_id":"{KEY}","status":2,"attempt":1}}'
    assert record.value == expected.encode()
    assert record.headers == (
        ("status", b"2"),
        ("trace_id", TRACE.encode()),
        ("worker_id", b"LLM_worker_1"),
        ("timestamp", b"2026-11-20T09:10:00.123+00:00"),
        ("attempt", b"1"),
        ("run", b"r-1"),
        ("event_id", event_id(KEY, "r-1", Status.PROCESSING, expected.encode()).encode()),
    )


def test_success_as_existing_consumers_read_it() -> None:
    answer = '{"Статус": "Успешно", "Сумма": 1.50}'
    record = encode(Success(answer, "gigachat", "GigaChat-Max"), STAMP, "string")
    assert headers(record)["status"] == b"3"
    assert record.value is not None
    read = json.loads(record.value)
    assert read["result"] == answer
    assert json.loads(read["result"]) == {"Статус": "Успешно", "Сумма": 1.5}
    assert "Успешно".encode() in record.value


def test_every_field_of_a_success() -> None:
    event = Success(
        "готово",
        "ollama",
        "tiny",
        "stop",
        prompt_tokens=10,
        completion_tokens=5,
        cost=0.25,
        processing_time_ms=1234,
    )
    assert body(event) == {
        "result": '{"raw_response":"готово"}',
        "tokens_used": 15,
        "processing_time_ms": 1234,
        "usage": {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15},
        "cost": 0.25,
        "provider": "ollama",
        "model": "tiny",
        "finish_reason": "stop",
        "task_id": KEY,
        "status": 3,
        "attempt": 1,
    }


def test_what_is_not_known_is_left_out() -> None:
    assert set(body(Success("x", cost=float("nan")))) == {"result", "task_id", "status", "attempt"}


@pytest.mark.parametrize(
    ("text", "result"),
    [
        ('{"a":1}', {"a": 1}),
        ('  {"a": 1}\n', {"a": 1}),
        ("[1,2]", [1, 2]),
        ("{}", {}),
        ("простой текст", {"raw_response": "простой текст"}),
        ("", {"raw_response": ""}),
        ("  spaces kept \n", {"raw_response": "  spaces kept \n"}),
        ("42", {"raw_response": "42"}),
        ("null", {"raw_response": "null"}),
        ('"quoted"', {"raw_response": '"quoted"'}),
        ('{"a": 1', {"raw_response": '{"a": 1'}),
        ('{"a": NaN}', {"raw_response": '{"a": NaN}'}),
        ('{"a": "\\ud800"}', {"raw_response": '{"a": "\\ud800"}'}),
        ("[" * 10_000, {"raw_response": "[" * 10_000}),
        ("half \ud800", {"raw_response": "half ?"}),
    ],
    ids=range(15),
)
def test_the_result_in_both_encodings(text: str, result: object) -> None:
    string = body(Success(text))["result"]
    assert isinstance(string, str)
    assert json.loads(string) == result
    assert body(Success(text), "object")["result"] == result
    assert json.loads(result_text(text).encode("utf-8", "replace")) == result


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_a_claim_check_looks_like_a_short_result_to_an_old_reader(encoding: ResultEncoding) -> None:
    read = body(Success('{"a":1}' * 10_000, result_ref="results/7b0e/abc.json"), encoding)
    assert read["result_ref"] == "results/7b0e/abc.json"
    inner = json.loads(str(read["result"])) if encoding == "string" else read["result"]
    assert isinstance(inner, dict)
    assert inner["result_ref"] == "results/7b0e/abc.json"
    assert len(str(read["result"])) < 200


def test_failure() -> None:
    event = Failure(
        "provider_timeout", "молчит", retryable=True, provider="ollama", tokens_used=7, processing_time_ms=9
    )
    record = encode(event, STAMP, "object")
    assert headers(record)["status"] == b"4"
    assert record.value is not None
    assert json.loads(record.value) == {
        "error_message": "молчит",
        "error": {"code": "provider_timeout", "message": "молчит", "retryable": True, "provider": "ollama"},
        "tokens_used": 7,
        "processing_time_ms": 9,
        "task_id": KEY,
        "status": 4,
        "attempt": 1,
    }
    assert "молчит".encode() in record.value


def test_an_endless_error_message_is_cut() -> None:
    read = body(Failure("x", "я" * 100_000, retryable=False))
    assert read["error_message"] == "я" * (MAX_ERROR_CHARS - 1) + "…"


def test_trace_context_is_carried() -> None:
    stamp = replace(STAMP, traceparent=TRACEPARENT, tracestate="v=1")
    assert headers(encode(FAILURE, stamp, "string"))["traceparent"] == TRACEPARENT.encode()
    assert headers(encode(FAILURE, stamp, "string"))["tracestate"] == b"v=1"


def test_header_values_are_plain_ascii_where_they_can_be() -> None:
    record = encode(FAILURE, replace(STAMP, worker_id="Обработчик 1"), "string")
    assert headers(record)["worker_id"] == "Обработчик 1".encode()
    assert all((value or b"").isascii() for name, value in record.headers if name != "worker_id")


def test_a_python_of_2018_reads_the_timestamp() -> None:
    stamp = replace(STAMP, timestamp=datetime(2026, 1, 1, tzinfo=UTC))
    assert headers(encode(FAILURE, stamp, "string"))["timestamp"] == b"2026-01-01T00:00:00.000+00:00"


def test_the_same_event_id_means_the_same_bytes() -> None:
    first = encode(FAILURE, STAMP, "string")
    assert encode(FAILURE, STAMP, "string") == first
    later = encode(FAILURE, replace(STAMP, timestamp=datetime(2027, 1, 1, tzinfo=UTC)), "string")
    assert headers(later)["event_id"] == headers(first)["event_id"]
    others = [
        encode(replace(FAILURE, message="another"), STAMP, "string"),
        encode(FAILURE, replace(STAMP, run="r-2"), "string"),
        encode(FAILURE, replace(STAMP, task_id=TRACE), "string"),
        encode(Success("x"), STAMP, "string"),
    ]
    assert len({headers(record)["event_id"] for record in (first, *others)}) == 5


@pytest.mark.parametrize("event", [Processing(), Success("x"), FAILURE])
def test_our_own_events_on_a_shared_topic_are_no_tasks(event: StatusEvent) -> None:
    record = encode(event, STAMP, "string")
    assert is_skipped(record.headers)
    assert parse_task(record.key, record.value, record.headers, "tasks_llm", 0, 0) is None
    assert parse_task(record.key, record.value, (), "tasks_llm", 0, 0) is None


@pytest.mark.parametrize(
    ("value", "status"),
    [
        (1, 1),
        (2.0, 2),
        ("3", 3),
        (" failed ", 4),
        ("Processing", 2),
        (5, None),
        ("", None),
        (1.5, None),
        (10**400, None),
    ],
)
def test_status_of_number_text_and_name(value: float | str, status: int | None) -> None:
    assert Status.of(value) == status


@settings(deadline=None)
@given(st.text(), st.sampled_from(ENCODINGS))
def test_any_answer_comes_through(text: str, encoding: ResultEncoding) -> None:
    result = body(Success(text), encoding)["result"]
    inner = json.loads(str(result)) if encoding == "string" else result
    if isinstance(inner, dict) and "raw_response" in inner:
        assert inner["raw_response"] == text
    else:
        assert json.loads(text) == inner


@settings(deadline=None)
@given(JSON.filter(lambda value: isinstance(value, dict | list)))
def test_an_answer_of_json_is_the_same_in_both_encodings(value: object) -> None:
    text = json.dumps(value)
    assert json.loads(str(body(Success(text))["result"])) == body(Success(text), "object")["result"] == value


def test_an_event_id_stays_what_it_is_over_versions() -> None:
    value = b'{"a":1}'
    parts = b"6:task-1" + b"5:run-1" + b"1:3" + b"7:" + value
    assert event_id("task-1", "run-1", Status.SUCCESS, value) == hashlib.sha256(parts).hexdigest()[:32]
    assert event_id("ab", "c", Status.SUCCESS, value) != event_id("a", "bc", Status.SUCCESS, value)
