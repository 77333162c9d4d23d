"""Files on this machine that are to be sent, looked at before anything is."""

from __future__ import annotations

import mimetypes
import os
import stat
from dataclasses import dataclass
from pathlib import Path

from llm_service.cli.printable import printable_line


class SourceUnusable(Exception):
    """A file that was given can't be used; the text says which and why."""


@dataclass(frozen=True, slots=True)
class SourceFile:
    """A file that can be read."""

    path: Path
    name: str
    size: int
    """Bytes, when it was looked at."""

    @property
    def content_type(self) -> str:
        """By its name, as producers say it; the worker looks at the content."""
        return mimetypes.guess_type(self.name)[0] or "application/octet-stream"

    @staticmethod
    def of(path: Path) -> SourceFile:
        """Raises SourceUnusable."""
        shown = shown_path(path)
        try:
            # Before it is opened: a named pipe would hold whoever opens it until somebody writes.
            kind = path.stat().st_mode
            if stat.S_ISDIR(kind):
                raise SourceUnusable(f"{shown} is a folder: name the files in it")
            if not stat.S_ISREG(kind):
                raise SourceUnusable(f"{shown} is no regular file")
            with path.open("rb") as file:
                size = os.fstat(file.fileno()).st_size
        except (OSError, ValueError) as error:
            reason = error.strerror if isinstance(error, OSError) else str(error)
            raise SourceUnusable(f"{shown} can't be read: {reason}") from error
        # A name that is no UTF-8 can't be said in JSON; a producer would send it like this.
        return SourceFile(path, os.fsencode(path.name).decode("utf-8", "replace"), size)


def shown_path(path: Path) -> str:
    """Fit for a terminal, also where the name is no text."""
    return printable_line(os.fsencode(path).decode("utf-8", "replace"))
