"""The ``Retry-After`` header, as RFC 9110 (10.2.3) has it and as servers send it."""

from __future__ import annotations

import math
import re
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

MAX_SECONDS = 3_600.0
"""Longer wishes are cut to an hour.

A provider that means a day (a used-up quota) is then asked once an hour by a single call, which costs
nothing; a provider that sends nonsense (2**63 is seen) does not stop its tasks until a restart.
"""

# Decimal fractions are no part of the RFC but sent by some gateways. Up to 20 digits: enough to be "huge".
_SECONDS = re.compile(r"\d{1,20}(\.\d{1,9})?", re.ASCII)


def parse_retry_after(value: str | None, now: datetime) -> float | None:
    """Seconds to wait, between 0 and ``MAX_SECONDS``; None when the header is absent or unreadable.

    ``now`` is the wall clock (aware): a date is measured from it, and a date that has passed is 0.
    """
    if value is None:
        return None
    text = value.strip()
    return bounded(float(text) if _SECONDS.fullmatch(text) else _until(text, now))


def bounded(seconds: float | None) -> float | None:
    """The wish as far as it is honoured: between 0 and ``MAX_SECONDS``; None for none, and for NaN."""
    if seconds is None or math.isnan(seconds):
        return None
    return min(max(seconds, 0.0), MAX_SECONDS)


def _until(text: str, now: datetime) -> float | None:
    try:
        moment = parsedate_to_datetime(text)
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
    if moment.tzinfo is None:  # "-0000", or the asctime form, which RFC 9110 reads as UTC
        moment = moment.replace(tzinfo=UTC)
    return (moment - now).total_seconds()
