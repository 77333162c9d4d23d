"""How fast letters are sent on."""

from __future__ import annotations

import re

from llm_service.resilience.clock import Clock

_RATE = re.compile(r"(\d{1,9}(?:\.\d{1,9})?)(?:\s*/\s*(s|m|h))?", re.ASCII)
_SECONDS = {None: 1, "s": 1, "m": 60, "h": 3600}
# A fifth of a second's worth goes at once: what is sent looks even to whoever works on it, and is not one by one.
_BURST_S = 0.2


def parse_rate(text: str) -> float:
    """``20``, ``20/s``, ``30/m``: letters a second. Raises ValueError, which says what is expected."""
    found = _RATE.fullmatch(text.strip().lower())
    rate = float(found[1]) / _SECONDS[found[2]] if found is not None else 0.0
    if rate <= 0:
        raise ValueError(f"{text!r} is no rate: expected a number above 0, such as 20, 20/s, 30/m or 100/h")
    return rate


class Pace:
    """Keeps a rate from its first letter on; one that fell behind does not hurry."""

    def __init__(self, rate: float | None, clock: Clock) -> None:
        """``rate``: letters a second; None: as fast as they go."""
        self._rate = rate
        self._clock = clock
        self._due = clock.monotonic()

    def at_once(self, most: int) -> int:
        """How many may go together."""
        return most if self._rate is None else max(1, min(most, int(self._rate * _BURST_S)))

    async def wait(self, count: int) -> None:
        """Return when ``count`` more may go."""
        if self._rate is None:
            return
        await self._clock.sleep(max(0.0, self._due - self._clock.monotonic()))
        self._due = max(self._due, self._clock.monotonic()) + count / self._rate
