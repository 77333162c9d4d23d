"""The terminal, or the pipe in its place, as where lines go."""

from __future__ import annotations

import os
import select
from collections.abc import Sequence
from typing import TextIO

from llm_service.observability.log_sink import Line

_ROOM_S = 1.0


class Terminal:
    """Writes to a stream's descriptor where it has one.

    Past the stream's own buffer, whose lock a write that hangs would keep from the process that wants to end.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._descriptor = _descriptor(stream)
        self._encoding = getattr(stream, "encoding", None) or "utf-8"

    def open(self) -> None:
        """It is open."""

    def close(self) -> None:
        """It is its owner's to close."""

    def write(self, lines: Sequence[Line]) -> None:
        text = "".join(line.text for line in lines)
        if self._descriptor is None:
            self._stream.write(text)
            self._stream.flush()
            return
        data = memoryview(text.encode(self._encoding, "backslashreplace"))
        while data:
            try:
                data = data[os.write(self._descriptor, data) :]
            except BlockingIOError:
                # Another program on this terminal has set it so, for all who share it.
                select.select([], [self._descriptor], [], _ROOM_S)


def _descriptor(stream: TextIO) -> int | None:
    try:
        return stream.fileno()
    except (OSError, AttributeError, ValueError):
        return None
