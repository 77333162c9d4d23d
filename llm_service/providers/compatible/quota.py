"""What is left to the account, as headers tell it; each vendor has a form of its own for a time."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime

from llm_service.providers.compatible.vendor import QuotaHeaders
from llm_service.providers.protocol import Quota
from llm_service.resilience.retry_after import bounded, parse_retry_after

_UNITS_S = {"d": 86_400.0, "h": 3_600.0, "m": 60.0, "s": 1.0, "ms": 0.001}
_SPAN = re.compile(r"(?:\d{1,9}(?:\.\d{1,9})?(?:d|h|ms|m|s))+", re.ASCII)
_PART = re.compile(r"(\d{1,9}(?:\.\d{1,9})?)(d|h|ms|m|s)", re.ASCII)

_EPOCH_S = 1e9
"""A number above it is a moment and no span: 2001 in seconds, and a span of 31 years."""
_EPOCH_MS = 1e12


def quota_of(headers: Mapping[str, str], names: QuotaHeaders, now: datetime) -> Quota | None:
    """None where the headers say nothing that can be read."""
    found = Quota(
        _count(headers.get(names.requests_left)),
        seconds_of(headers.get(names.requests_reset), now),
        _count(headers.get(names.tokens_left)),
        seconds_of(headers.get(names.tokens_reset), now),
        _count(headers.get(names.requests_limit)),
        _count(headers.get(names.tokens_limit)),
    )
    return None if found == Quota() else found


def wait_of(headers: Mapping[str, str], now: datetime) -> float | None:
    """Seconds to wait: ``retry-after-ms``, which OpenAI's SDK reads first, else ``Retry-After``."""
    milliseconds = headers.get("retry-after-ms", "").strip()
    if re.fullmatch(r"\d{1,12}(\.\d{1,9})?", milliseconds, re.ASCII):
        return bounded(float(milliseconds) / 1000)
    return parse_retry_after(headers.get("retry-after"), now)


def seconds_of(value: str | None, now: datetime) -> float | None:
    """``6m0s``, ``20ms``, ``1.5``, a moment in ISO 8601, or one in seconds or milliseconds since 1970; None for all else."""
    text = (value or "").strip()
    if not text:
        return None
    if _SPAN.fullmatch(text):
        return bounded(sum(float(number) * _UNITS_S[unit] for number, unit in _PART.findall(text)))
    if re.fullmatch(r"\d{1,15}(\.\d{1,9})?", text, re.ASCII):
        number = float(text)
        if number < _EPOCH_S:
            return bounded(number)
        return bounded((number / 1000 if number >= _EPOCH_MS else number) - now.timestamp())
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    return bounded(((moment if moment.tzinfo else moment.replace(tzinfo=UTC)) - now).total_seconds())


def _count(value: str | None) -> int | None:
    text = (value or "").strip()
    return int(text) if re.fullmatch(r"\d{1,18}", text, re.ASCII) else None
