"""A dead letter read back is what was written; what is none is seen as none."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llm_service.contract.dead_letter import DeadLetter, decode, encode, encode_reference, encode_remainder
from llm_service.contract.record import Headers
from llm_service.contract.resolution import (
    PURGED,
    REPLAYED,
    Resolution,
    Resume,
    decode_note,
    encode_resolution,
    encode_resume,
)

NOW = datetime(2026, 11, 20, 9, 10, tzinfo=UTC)
LETTER = DeadLetter("invalid_message", "Значение не JSON", 2, "tasks_llm", 4, 1017, NOW)
OWN: Headers = (("status", b"1"), ("x", b"\xff\x00"), ("x", None), ("dlq_reason", b"an older one"))

ANY_HEADERS = st.lists(st.tuples(st.text(), st.none() | st.binary()))


@settings(deadline=None)
@given(st.none() | st.binary(), st.none() | st.binary(), ANY_HEADERS)
def test_any_original_comes_back(
    key: bytes | None, value: bytes | None, given_headers: list[tuple[str, bytes | None]]
) -> None:
    headers = tuple(given_headers)
    record = encode(LETTER, key, value, headers)
    found = decode(record.key, record.value, record.headers)
    assert found is not None
    assert (found.letter, found.key, found.value, found.headers) == (LETTER, key, value, headers)
    assert (found.reference, found.lacks_headers) == (None, False)


def test_an_original_that_is_a_letter_itself_keeps_its_headers() -> None:
    inner = encode(replace(LETTER, code="file_not_found"), b"k", b"v", OWN)
    record = encode(LETTER, inner.key, inner.value, inner.headers)
    found = decode(record.key, record.value, record.headers)
    assert found is not None
    assert (found.letter.code, found.headers) == ("invalid_message", inner.headers)


def test_what_is_not_in_the_letter_is_told() -> None:
    record = encode_reference(LETTER, b"k", OWN, "bucket/dead-letters/x")
    found = decode(record.key, record.value, record.headers)
    assert found is not None
    assert (found.reference, found.headers, found.lacks_headers) == ("bucket/dead-letters/x", OWN, False)
    large: Headers = (("large", b"x" * 9000), *OWN)
    record = encode_remainder(LETTER, b"k" * 5000, large, "kafka://t/0/1", 6000)
    found = decode(record.key, record.value, record.headers)
    assert found is not None
    assert (found.left_out, found.key_bytes, found.headers) == ("large", 5000, OWN)
    assert found.lacks_headers


@settings(deadline=None)
@given(ANY_HEADERS)
def test_what_is_no_letter_is_none(given_headers: list[tuple[str, bytes | None]]) -> None:
    assert decode(b"k", b"v", tuple(given_headers)) is None
    assert decode_note(tuple(given_headers)) is None


@pytest.mark.parametrize(
    ("name", "value"),
    [("dlq_offset", b"many"), ("dlq_timestamp", b"yesterday"), ("dlq_timestamp", b"2026-11-20T09:10:00")],
)
def test_a_damaged_letter_is_none(name: str, value: bytes) -> None:
    record = encode(LETTER, b"k", b"v", ())
    headers = tuple((each, value if each == name else old) for each, old in record.headers)
    assert decode(record.key, record.value, headers) is None


@pytest.mark.parametrize("how", [REPLAYED, PURGED])
def test_a_resolution_comes_back_and_is_no_letter(how: str) -> None:
    resolution = Resolution(how, 3, 1017, NOW)
    record = encode_resolution(resolution)
    assert decode_note(record.headers) == resolution
    assert decode(record.key, record.value, record.headers) is None
    assert record.value is not None, "a null value deletes on a compacted topic"


def test_the_word_to_go_on_comes_back_and_letters_are_no_notes() -> None:
    assert decode_note(encode_resume(Resume("группа", NOW)).headers) == Resume("группа", NOW)
    assert decode_note(encode(LETTER, b"k", b"v", OWN).headers) is None
