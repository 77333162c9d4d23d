"""The ``Retry-After`` header: seconds within bounds, or nothing."""

from __future__ import annotations

from datetime import UTC, datetime

from llm_service.resilience.retry_after import MAX_SECONDS, parse_retry_after
from scripts.fuzzing.target import Target

_SEEDS = (
    b"120",
    b"1.5",
    b"9223372036854775808",
    b"Wed, 21 Oct 2026 07:28:00 GMT",
    b"Sunday, 06-Nov-94 08:49:37 GMT",
    b"Sun Nov  6 08:49:37 1994",
    b"Wed, 21 Oct 2026 07:28:00 -0000",
)
_TOKENS = (
    "GMT",
    "Mon",
    "Feb",
    "+9999",
    "-0000",
    "00:00:60",
    "31",
    "NaN",
    "inf",
    "1e9",
    "\u0661",
)
_NOW = datetime(2026, 11, 21, tzinfo=UTC)


def check(data: bytes) -> None:
    """Raises AssertionError where a promise does not hold, and whatever else the parser lets out."""
    # As HTTP libraries give it: any byte is a character.
    for text in (data.decode("latin-1"), data.decode("utf-8", "replace")):
        wait = parse_retry_after(text, _NOW)
        assert wait is None or 0 <= wait <= MAX_SECONDS, f"a wait of {wait} s"


TARGET = Target(check, _SEEDS, _TOKENS)
