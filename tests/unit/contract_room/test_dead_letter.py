"""Dead letters: the original untouched, the reason beside it."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llm_service.contract.dead_letter import DeadLetter, encode, encode_reference
from llm_service.contract.record import Headers

LETTER = DeadLetter(
    code="invalid_message",
    message="Значение не JSON",
    attempts=2,
    topic="tasks_llm",
    partition=4,
    offset=1017,
    timestamp=datetime(2026, 11, 20, 9, 10, tzinfo=UTC),
)
REASONS: Headers = (
    ("dlq_reason", b"invalid_message"),
    ("dlq_message", "Значение не JSON".encode()),
    ("dlq_attempts", b"2"),
    ("dlq_topic", b"tasks_llm"),
    ("dlq_partition", b"4"),
    ("dlq_offset", b"1017"),
    ("dlq_timestamp", b"2026-11-20T09:10:00.000+00:00"),
)
HEADERS: Headers = (
    ("status", b"1"),
    ("x", b"\xff\x00"),
    ("x", None),
    ("x", b""),
    ("dlq_reason", b"an older one"),
)


@pytest.mark.parametrize("key", [None, b"", b"\xff\x00"])
@pytest.mark.parametrize("value", [None, b"", b"{broken \xff\x00"])
def test_the_original_comes_through_byte_for_byte(key: bytes | None, value: bytes | None) -> None:
    record = encode(LETTER, key, value, HEADERS)
    assert (record.key, record.value) == (key, value)
    assert record.headers == HEADERS + REASONS
    assert dict(record.headers)["dlq_reason"] == b"invalid_message"


@settings(deadline=None)
@given(
    st.none() | st.binary(), st.none() | st.binary(), st.lists(st.tuples(st.text(), st.none() | st.binary()))
)
def test_any_original(
    key: bytes | None, value: bytes | None, given_headers: list[tuple[str, bytes | None]]
) -> None:
    record = encode(LETTER, key, value, tuple(given_headers))
    assert (record.key, record.value, record.headers[: -len(REASONS)]) == (key, value, tuple(given_headers))


def test_a_value_too_large_is_told_by_reference() -> None:
    record = encode_reference(LETTER, b"k", HEADERS, "documents/dlq/файл")
    assert record.key == b"k"
    assert record.value is not None
    assert json.loads(record.value) == {"value_ref": "documents/dlq/файл"}
    assert record.headers == (*HEADERS, *REASONS, ("dlq_value_ref", "documents/dlq/файл".encode()))


def test_a_reason_is_bounded_and_always_writable() -> None:
    letter = DeadLetter("x", "\ud800" + "я" * 10_000, 1, "t", 0, 0, LETTER.timestamp)
    message = dict(encode(letter, None, None, ()).headers)["dlq_message"]
    assert message is not None
    assert message.decode().startswith("?я")
    assert len(message) <= 1_003
