"""Tokens' bytes become text: characters are given out whole, and nothing of a stop sequence ever is.

A token may hold a part of a character, and a stop sequence may lie across tokens: what could still become one of the
two is held back until it is known.
"""

from __future__ import annotations

import codecs
from collections.abc import Sequence


class TextFlow:
    """The text of one answer on its way out."""

    def __init__(self, stops: Sequence[str] = ()) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._stops = tuple(stop for stop in stops if stop)
        self._held = ""
        self._is_stopped = False

    @property
    def is_stopped(self) -> bool:
        """A stop sequence was met; nothing more comes out."""
        return self._is_stopped

    def push(self, piece: bytes) -> str:
        """What can be given out now that these bytes have come."""
        return "" if self._is_stopped else self._release(self._decoder.decode(piece))

    def finish(self) -> str:
        """What was held back, when no more bytes come; half a character becomes U+FFFD."""
        if self._is_stopped:
            return ""
        rest = self._release(self._decoder.decode(b"", final=True))
        # A stop sequence that the last bytes completed has left nothing behind.
        rest, self._held = rest + self._held, ""
        return rest

    def _release(self, text: str) -> str:
        self._held += text
        met = [place for place in (self._held.find(stop) for stop in self._stops) if place >= 0]
        if met:
            released, self._held, self._is_stopped = self._held[: min(met)], "", True
            return released
        keep = max((_overlap(self._held, stop) for stop in self._stops), default=0)
        split = len(self._held) - keep
        released, self._held = self._held[:split], self._held[split:]
        return released


def _overlap(text: str, stop: str) -> int:
    """Characters at the end of the text that could be the beginning of the stop sequence."""
    longest = min(len(text), len(stop) - 1)
    return next((size for size in range(longest, 0, -1) if text.endswith(stop[:size])), 0)
