"""The documents a demonstration works on: the given ones, or the samples."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from llm_service.cli.submission.source import SourceFile
from llm_service.samples import SAMPLES

_LETTER_WORDS = ("letter", "envelope", "письм", "конверт")
_LETTER, _SUMMARY = 3, 1
DOCUMENTS_EXTRA = "llm-service[documents]"


@dataclass(frozen=True, slots=True)
class DemoDocument:
    """A file and the prompt it is asked with."""

    source: SourceFile
    prompt_id: int

    @property
    def name(self) -> str:
        return self.source.name


def reads_documents() -> bool:
    """Whether the extra is installed that makes text of PDF, DOCX and the like."""
    return find_spec("markitdown") is not None


def choose(files: Sequence[Path], prompt_id: int | None, *, has_documents: bool) -> tuple[DemoDocument, ...]:
    """The given files, or the samples when none is given: without the extra, those that are text.

    Raises SourceUnusable for the first that can't be read.
    """
    if not files:
        samples = [sample for sample in SAMPLES if has_documents or sample.path.suffix == ".txt"]
        return tuple(_document(s.path, s.prompt_id if prompt_id is None else prompt_id) for s in samples)
    return tuple(_document(path, _suiting(path) if prompt_id is None else prompt_id) for path in files)


def _suiting(path: Path) -> int:
    """A letter or an envelope, by its name, has its own prompt; anything else is summed up."""
    return _LETTER if any(word in path.name.lower() for word in _LETTER_WORDS) else _SUMMARY


def _document(path: Path, prompt_id: int) -> DemoDocument:
    return DemoDocument(SourceFile.of(path), prompt_id)
