"""What turning a document into text may cost."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class ConversionPolicy:
    """Limits of one child process and of each document in it."""

    processes: int = 1
    timeout_s: float = 60.0
    """Wall clock for one document, from the moment a child takes it."""
    memory_bytes: int = 512 * 1024 * 1024
    """What a child may use above what it has once its libraries are loaded (about 150 MB resident)."""
    cpu_s: int = 30
    """Processor time for one document; the kernel counts whole seconds."""
    max_output_chars: int = 2_000_000
    """Longer text is refused. The largest contexts on offer hold about a million tokens."""
    max_pages: int = 2_000
    """Pages, slides, chapters or frames of one document: at 15 ms a page and more the time is spent by then."""
    max_pictures: int = 10
    """Pages of one file that go to a model as pictures: GigaChat takes ten in a request."""
    ocr_languages: str = "rus+eng"
    """By Tesseract's names, joined by a plus."""
    ocr_folder: Path | None = None
    """Where Tesseract's trained data lies; None: where systems usually keep it."""
    recycle_after: int = 100
    """Documents after which a child is replaced, since parsers leak."""
