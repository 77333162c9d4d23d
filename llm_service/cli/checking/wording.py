"""Numbers as people read them."""

from __future__ import annotations

from datetime import timedelta

_UNITS = ((86400, "d"), (3600, "h"), (60, "min"))


def span(time: timedelta) -> str:
    """``7 d``, ``36 h``, ``5 min``, ``20 s``: in the largest unit of which there are two, or exactly one."""
    seconds = time.total_seconds()
    for size, unit in _UNITS:
        if seconds >= 2 * size or seconds == size:
            return f"{seconds / size:.0f} {unit}"
    return f"{max(seconds, 0):.0f} s"


def counted(number: int, one: str, many: str = "") -> str:
    """``1 partition``, ``1,200 messages``."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"
