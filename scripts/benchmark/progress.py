"""What is going on: one line that changes on a terminal, a line now and then elsewhere."""

from __future__ import annotations

import sys
import time

_EVERY_S = 10.0
_CLEAR = "\r\x1b[K"


class ProgressLine:
    """On standard error, so that a pipe has the table alone."""

    def __init__(self) -> None:
        self._terminal = sys.stderr.isatty()
        self._began = time.monotonic()
        self._said_at = 0.0
        self._step = ""

    def step(self, text: str) -> None:
        """A new step: always said."""
        self._step = text
        self._said_at = 0.0
        self.tell("")

    def tell(self, detail: str) -> None:
        now = time.monotonic()
        text = f"{now - self._began:4.0f} s  {self._step}{': ' if detail else ''}{detail}"
        if self._terminal:
            print(_CLEAR + text, end="", file=sys.stderr, flush=True)
        elif now - self._said_at >= _EVERY_S:
            print(text, file=sys.stderr, flush=True)
            self._said_at = now

    def close(self) -> None:
        if self._terminal:
            print(_CLEAR, end="", file=sys.stderr, flush=True)
