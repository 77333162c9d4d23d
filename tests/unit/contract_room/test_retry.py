"""The note of a message that goes round: read back as it was written, by this version and by earlier ones."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from llm_service.contract.record import Headers
from llm_service.contract.retry import RetryNote, Spent, decode, encode, size_at_most

NOTE = RetryNote(
    "workers", "tasks", 3, 17, 2, 4, datetime(2026, 11, 21, tzinfo=UTC), "rate_limited", 5, Spent(7, 0.000125)
)
OWN: Headers = (("status", b"1"), ("retry_takeovers", b"9"), ("retry_spent", b"9 9"))


@pytest.mark.parametrize("takeovers", [0, 5])
@pytest.mark.parametrize("spent", [Spent(), Spent(10**8, 0.00000125), Spent(1, 12_345.678)])
def test_it_is_read_back_with_the_headers_that_were_before_it(takeovers: int, spent: Spent) -> None:
    note = replace(NOTE, takeovers=takeovers, spent=spent)
    record = encode(note, b"key", b"value", OWN)
    assert (record.key, record.value) == (b"key", b"value")
    assert decode(record.headers) == (note, OWN)


def test_an_earlier_version_finds_its_eight_at_the_end_and_we_read_what_it_wrote() -> None:
    headers = encode(NOTE, b"key", b"value", OWN).headers
    assert [name for name, _ in headers[-8:]] == [
        f"retry_{name}"
        for name in ("group", "topic", "partition", "offset", "attempt", "round", "due", "reason")
    ]
    without = (("status", b"1"), *headers[-8:])
    assert decode(without) == (replace(NOTE, takeovers=0, spent=Spent()), (("status", b"1"),))
    with_takeovers = (("status", b"1"), *headers[-9:])
    assert decode(with_takeovers) == (replace(NOTE, spent=Spent()), (("status", b"1"),))


@pytest.mark.parametrize("value", [b"", b"many", b"-3", None])
def test_what_is_no_number_is_no_note_of_ours(value: bytes | None) -> None:
    headers = encode(NOTE, b"key", b"value", ()).headers
    found = decode((headers[0], ("retry_takeovers", value), *headers[2:]))
    assert found is None or found[0].takeovers == 0


@pytest.mark.parametrize("value", [b"", b"many", b"-3 0", b"5", b"5 nan", b"5 inf", b"5 -1", None])
def test_what_is_no_sum_is_no_note_of_ours(value: bytes | None) -> None:
    headers = encode(NOTE, b"key", b"value", ()).headers
    found = decode((("retry_spent", value), *headers[1:]))
    assert found is None or 0 in {found[0].spent.tokens, found[0].spent.cost}


def test_no_message_is_larger_than_it_is_said_to_be() -> None:
    long = RetryNote(
        "g" * 255,
        "t" * 249,
        10**9,
        10**18,
        10**6,
        10**6,
        NOTE.due,
        "e" * 64,
        10**6,
        Spent(10**9, 1.23456789e-100),
    )
    assert encode(long, b"key", b"value", OWN).size <= size_at_most(b"key", b"value", OWN)
