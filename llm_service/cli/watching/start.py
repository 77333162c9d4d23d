"""Where to begin reading, and other moments that a command line names."""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from enum import Enum
from typing import TypeAlias

_DURATION = re.compile(r"(\d{1,9}(?:\.\d{1,9})?)\s*(s|m|h|d)", re.ASCII)
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}


class Edge(Enum):
    """The two ends of a topic."""

    BEGINNING = "beginning"
    END = "end"


Start: TypeAlias = Edge | datetime
"""An end of the topic, or the moment from which on, with its zone."""


def parse_start(text: str, now: datetime) -> Start:
    """``beginning``, ``end``, a duration back from ``now`` or a time. Raises ValueError, which says what is expected."""
    word = text.strip().lower()
    if word in {edge.value for edge in Edge}:
        return Edge(word)
    duration = parse_duration(word)
    try:
        return now - duration if duration is not None else parse_time(text)
    except (ValueError, OverflowError):
        raise ValueError(
            f"{text!r} is none of: beginning, end, a duration such as 10m, a time such as 2026-11-20T09:10"
        ) from None


def parse_moment(text: str, now: datetime) -> datetime:
    """A duration on from ``now``, or a time. Raises ValueError, which says what is expected."""
    duration = parse_duration(text.strip().lower())
    try:
        return now + duration if duration is not None else parse_time(text)
    except (ValueError, OverflowError):
        raise ValueError(
            f"{text!r} is neither a duration such as 10m nor a time such as 2026-11-20T09:10"
        ) from None


def parse_duration(text: str) -> timedelta | None:
    """``30s``, ``10m``, ``1.5h``, ``2d``; None for any other text. Raises OverflowError."""
    found = _DURATION.fullmatch(text)
    return None if found is None else timedelta(**{_UNITS[found[2]]: float(found[1])})


def parse_time(text: str) -> datetime:
    """ISO 8601; without a zone it is this machine's local time. Raises ValueError."""
    return datetime.fromisoformat(text.strip()).astimezone()
