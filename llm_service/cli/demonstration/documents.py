"""The documents a demonstration works on: the given ones, or the samples."""

from __future__ import annotations

import mimetypes
import os
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from llm_service.cli.printable import printable_line
from llm_service.samples import SAMPLES

_LETTER_WORDS = ("letter", "envelope", "письм", "конверт")
_LETTER, _SUMMARY = 3, 1
DOCUMENTS_EXTRA = "llm-service[documents]"


class DocumentUnusable(Exception):  # named for what happened
    """A file that was given can't be used; the text says which and why."""


@dataclass(frozen=True, slots=True)
class DemoDocument:
    """A file and the prompt it is asked with."""

    path: Path
    name: str
    size: int
    prompt_id: int

    @property
    def content_type(self) -> str:
        return mimetypes.guess_type(self.name)[0] or "application/octet-stream"


def reads_documents() -> bool:
    """Whether the extra is installed that makes text of PDF, DOCX and the like."""
    return find_spec("markitdown") is not None


def choose(files: Sequence[Path], prompt_id: int | None, *, has_documents: bool) -> tuple[DemoDocument, ...]:
    """The given files, or the samples when none is given: without the extra, those that are text.

    Raises DocumentUnusable for the first that can't be read.
    """
    if not files:
        samples = [sample for sample in SAMPLES if has_documents or sample.path.suffix == ".txt"]
        return tuple(_document(s.path, s.prompt_id if prompt_id is None else prompt_id) for s in samples)
    return tuple(_document(path, _suiting(path) if prompt_id is None else prompt_id) for path in files)


def _suiting(path: Path) -> int:
    """A letter or an envelope, by its name, has its own prompt; anything else is summed up."""
    return _LETTER if any(word in path.name.lower() for word in _LETTER_WORDS) else _SUMMARY


def _document(path: Path, prompt_id: int) -> DemoDocument:
    shown = printable_line(os.fsencode(path).decode("utf-8", "replace"))
    if path.is_dir():
        raise DocumentUnusable(f"{shown} is a folder: name the files in it")
    if path.exists() and not path.is_file():
        raise DocumentUnusable(f"{shown} is no regular file")
    try:
        with path.open("rb") as file:
            size = os.fstat(file.fileno()).st_size
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise DocumentUnusable(f"{shown} can't be read: {reason}") from error
    # A name that is no UTF-8 can't be said in JSON; a producer would send it like this.
    return DemoDocument(path, os.fsencode(path.name).decode("utf-8", "replace"), size, prompt_id)
