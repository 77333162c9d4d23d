"""What is going on: one line that changes on a terminal, a line now and then elsewhere; on standard error."""

from __future__ import annotations

import sys
import time

_EVERY_S = 10.0
_CLEAR = "\r\x1b[K"


class Progress:
    """For people; programs read what the run leaves."""

    def __init__(self) -> None:
        self._terminal = sys.stderr.isatty()
        self._began = time.monotonic()
        self._said_at = -_EVERY_S

    def say(self, text: str) -> None:
        """Always shown, on a line of its own."""
        line = f"{time.monotonic() - self._began:5.0f} s  {text}"
        _write((_CLEAR if self._terminal else "") + line + "\n")

    def show(self, text: str) -> None:
        """Shown in place on a terminal, now and then elsewhere."""
        now = time.monotonic()
        line = f"{now - self._began:5.0f} s  {text}"
        if self._terminal:
            _write(_CLEAR + line[:200])
        elif now - self._said_at >= _EVERY_S:
            self._said_at = now
            _write(line + "\n")


def _write(text: str) -> None:
    sys.stderr.write(text)
    sys.stderr.flush()
