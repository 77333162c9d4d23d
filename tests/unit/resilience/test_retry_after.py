"""What a Retry-After header says, however it is written."""

from __future__ import annotations

import math
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_service.resilience.retry_after import MAX_SECONDS, bounded, parse_retry_after

NOW = datetime(2026, 3, 1, 12, 0, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        (None, None),
        ("", None),
        ("   ", None),
        ("7", 7.0),
        (" 7 ", 7.0),
        ("0", 0.0),
        ("1.5", 1.5),
        ("9223372036854775808", MAX_SECONDS),
        ("9" * 400, None),
        ("-3", None),
        ("1e9", None),
        ("inf", None),
        ("nan", None),
        ("soon", None),
        ("٣", None),
        ("Sun, 01 Mar 2026 12:01:30 GMT", 90.0),
        ("Sunday, 01-Mar-26 12:01:30 GMT", 90.0),
        ("Sun Mar  1 12:01:30 2026", 90.0),
        ("Sun, 01 Mar 2026 15:01:30 +0300", 90.0),
        ("Sun, 01 Mar 2026 11:00:00 GMT", 0.0),
        ("Fri, 01 Mar 2126 12:00:00 GMT", MAX_SECONDS),
        ("Sun, 99 Mar 2026 12:00:00 GMT", None),
        ("Sun, 01 Mar 99999999999 12:00:00 GMT", None),
    ],
)
def test_each_form(value: str | None, seconds: float | None) -> None:
    assert parse_retry_after(value, NOW) == seconds


@given(st.text())
def test_no_text_raises_or_leaves_the_bounds(value: str) -> None:
    seconds = parse_retry_after(value, NOW)
    assert seconds is None or 0 <= seconds <= MAX_SECONDS


@pytest.mark.parametrize(
    ("wish", "honoured"),
    [(None, None), (math.nan, None), (-1.0, 0.0), (5.0, 5.0), (math.inf, MAX_SECONDS), (1e12, MAX_SECONDS)],
)
def test_a_wish_is_bounded_whoever_made_it(wish: float | None, honoured: float | None) -> None:
    assert bounded(wish) == honoured
