"""Lines on their way to where they are written, so that nobody who logs waits for a disk or a terminal.

A bounded queue and one thread for each destination: a stalled one holds up neither the event loop nor the other.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

CAPACITY_CHARS = 8 * 1024 * 1024
"""Of the lines that wait: some 40,000 of them, 20 s of the busiest worker; more memory a stalled disk is not worth."""

LINGER_S = 0.02
"""Lines gather so long, then go out in one write: as soon as anybody reads them, and a fraction of a wake-up each."""


@dataclass(frozen=True, slots=True)
class Line:
    """One line, its end included; ``severe`` for those of level ERROR and above."""

    text: str
    severe: bool = False
    counted: bool = True
    """Whether it takes of the queue's room; what the log says of itself does not."""


class Destination(Protocol):
    """Where lines are written. Called by one thread alone."""

    def open(self) -> None:
        """Make ready. Raises OSError; ``write`` tries it again."""
        ...

    def write(self, lines: Sequence[Line]) -> None:
        """Raises OSError when some of them were not written."""
        ...

    def close(self) -> None: ...


class LogSink:
    """Takes lines for one destination. What is too much for it is dropped and counted."""

    def __init__(
        self,
        name: str,
        destination: Destination,
        trouble: Callable[[str, OSError], None],
        notice: Callable[[str, int], str],
        *,
        capacity_chars: int = CAPACITY_CHARS,
    ) -> None:
        """``trouble`` is told once when writing begins to fail, on the writing thread.

        ``notice`` makes the line that says how many were dropped; it is written as soon as anything can be.
        """
        self.name = name
        self._destination = destination
        self._trouble = trouble
        self._notice = notice
        self._capacity = capacity_chars
        self._queue: deque[Line | threading.Event] = deque()
        # Each has one writer, so that neither needs a lock: who puts (loguru lets in one at a time), and the thread.
        self._taken_chars = 0
        self._done_chars = 0
        self._overflowed = 0
        self._unwritten = 0
        self._told = 0
        self._failing = False
        self._wake = threading.Event()
        self._hurry = threading.Event()
        self._opened = threading.Event()
        self._closing = False
        self._thread = threading.Thread(target=self._run, name=f"log-{name}", daemon=True)

    @property
    def dropped(self) -> int:
        """Lines that were never written: too many waited, or the destination refused them."""
        return self._overflowed + self._unwritten

    def start(self, limit_s: float) -> None:
        """Return when the destination is open or has said why not; after ``limit_s`` seconds in any case."""
        self._thread.start()
        self._opened.wait(limit_s)

    def put(self, line: Line) -> None:
        """Take a line, in a few microseconds and without waiting for anything."""
        size = len(line.text)
        waiting = self._taken_chars - self._done_chars + size
        if waiting > self._capacity:
            self._overflowed += 1
            return
        if 2 * waiting > self._capacity:
            # A burst: no time to gather.
            self._hurry.set()
        self._taken_chars += size
        self._queue.append(line)
        if not self._wake.is_set():
            self._wake.set()

    def tell(self, text: str) -> None:
        """Add a line of the log's own, from any thread; it needs no room."""
        self._queue.append(Line(text, counted=False))
        self._wake.set()

    def flush(self, limit_s: float) -> bool:
        """Wait until what was put before is written; False when that took longer than ``limit_s`` seconds."""
        if not self._thread.is_alive():
            return not self._queue
        written = threading.Event()
        self._queue.append(written)
        self._hurry.set()
        self._wake.set()
        return written.wait(limit_s)

    def close(self, limit_s: float) -> None:
        """Write what waits, for at most ``limit_s`` seconds, and end the thread. One that hangs is left behind."""
        self._closing = True
        if self.flush(limit_s):
            self._thread.join(limit_s)

    # --- the thread's side ----------------------------------------------------------------------

    def _run(self) -> None:
        try:
            self._destination.open()
        except OSError as error:
            self._failed(error)
        self._opened.set()
        while True:
            self._wake.wait()
            self._wake.clear()
            self._write_all()
            if self._closing and not self._queue:
                break
            self._hurry.wait(LINGER_S)
            self._hurry.clear()
        self._destination.close()

    def _write_all(self) -> None:
        lines: list[Line] = []
        waiting: list[threading.Event] = []
        while self._queue:
            item = self._queue.popleft()
            if isinstance(item, Line):
                lines.append(item)
            else:
                waiting.append(item)
        if lines or self.dropped > self._told:
            self._write(lines)
        for written in waiting:
            written.set()

    def _write(self, lines: Sequence[Line]) -> None:
        dropped = self.dropped
        if dropped > self._told:
            lines = [*lines, Line(self._notice(self.name, dropped - self._told), counted=False)]
        try:
            self._destination.write(lines)
        except OSError as error:
            self._unwritten += _counted(lines)
            self._failed(error)
        except Exception as bug:  # the thread must live: without it not a line is written any more
            self._unwritten += _counted(lines)
            self._failed(OSError(0, f"a bug: {type(bug).__name__}"))
        else:
            self._failing = False
            self._told = dropped
        finally:
            self._done_chars += sum(len(line.text) for line in lines if line.counted)

    def _failed(self, error: OSError) -> None:
        if not self._failing:
            self._failing = True
            self._trouble(self.name, error)


def _counted(lines: Sequence[Line]) -> int:
    return sum(line.counted for line in lines)
