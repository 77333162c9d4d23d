"""``system.log`` and ``errors.log`` in a folder, rotated by size."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path

from llm_service.observability.log_sink import Line

SYSTEM_BYTES = 50_000_000
ERRORS_BYTES = 10_000_000
KEPT_FILES = 5
"""With the sizes above at most 6 × 50 + 6 × 10 MB, a third of the 1 GB of disk the deployment asks for."""

_NEXT_TRY = 1.1
"""A file that can't be moved away grows by a tenth before it is tried again."""


class LogFiles:
    """All lines into ``system.log``, the severe ones into ``errors.log`` too."""

    def __init__(self, folder: Path, trouble: Callable[[Path, OSError], None]) -> None:
        """``trouble`` is told of a file that can't be rotated; it is written on."""
        self._folder = folder
        self._system = RotatedFile(folder / "system.log", SYSTEM_BYTES, trouble)
        self._errors = RotatedFile(folder / "errors.log", ERRORS_BYTES, trouble)

    def open(self) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        self._system.open()
        self._errors.open()

    def close(self) -> None:
        self._system.close()
        self._errors.close()

    def write(self, lines: Sequence[Line]) -> None:
        severe = [line for line in lines if line.severe]
        try:
            self._system.write("".join(line.text for line in lines))
        finally:
            # The two may be of different owners: one that fails takes nothing from the other.
            if severe:
                self._errors.write("".join(line.text for line in severe))


class RotatedFile:
    """One file that is appended to; when it is full it becomes ``.1``, and the oldest of ``.1`` to ``.5`` goes."""

    def __init__(
        self,
        path: Path,
        most_bytes: int,
        trouble: Callable[[Path, OSError], None],
        kept: int = KEPT_FILES,
    ) -> None:
        self._path = path
        self._most = most_bytes
        self._limit = float(most_bytes)
        self._trouble = trouble
        self._kept = kept
        self._descriptor = -1
        self._torn = False

    def open(self) -> None:
        """Raises OSError."""
        if self._descriptor < 0:
            flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._descriptor = os.open(self._path, flags, 0o666)

    def close(self) -> None:
        if self._descriptor >= 0:
            descriptor, self._descriptor = self._descriptor, -1
            os.close(descriptor)

    def write(self, text: str) -> None:
        """Raises OSError; a line that was cut by it is ended before the next one begins."""
        self._reopen_if_taken_away()
        data = memoryview((("\n" if self._torn else "") + text).encode("utf-8", "backslashreplace"))
        size = os.fstat(self._descriptor).st_size
        if size and size + len(data) > self._limit:
            self._rotate(size)
        while data:
            written = os.write(self._descriptor, data)
            self._torn = bytes(data[written - 1 : written]) != b"\n" if written else self._torn
            data = data[written:]

    def _reopen_if_taken_away(self) -> None:
        """Who removes the file wants its room back, and who moves it a new one."""
        try:
            here = os.stat(self._path)  # noqa: PTH116 # compared with a descriptor's
        except FileNotFoundError:
            self.close()
        else:
            if self._descriptor >= 0 and not os.path.samestat(here, os.fstat(self._descriptor)):
                self.close()
        self.open()

    def _rotate(self, size: int) -> None:
        try:
            for number in range(self._kept - 1, 0, -1):
                if self._numbered(number).exists():
                    self._numbered(number).replace(self._numbered(number + 1))
            self._path.replace(self._numbered(1))
        except OSError as error:
            self._limit = size * _NEXT_TRY
            self._trouble(self._path, error)
            return
        self._limit = self._most
        self._torn = False
        self.close()
        self.open()

    def _numbered(self, number: int) -> Path:
        return self._path.with_name(f"{self._path.name}.{number}")
