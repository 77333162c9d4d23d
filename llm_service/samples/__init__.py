"""Documents written for this project, to show the service on: two languages, four formats.

All names, addresses and numbers in them are invented. ``scripts/make-samples`` writes the binary ones.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

_FOLDER = Path(__file__).parent


@dataclass(frozen=True, slots=True)
class Sample:
    """One document and the shipped prompt that suits it."""

    path: Path
    prompt_id: int


SAMPLES = (
    Sample(_FOLDER / "letter_ru.docx", prompt_id=3),
    Sample(_FOLDER / "envelope_ru.txt", prompt_id=3),
    Sample(_FOLDER / "report_ru.pdf", prompt_id=1),
    Sample(_FOLDER / "contract_en.pdf", prompt_id=4),
    Sample(_FOLDER / "minutes_en.txt", prompt_id=1),
)
"""In the order a demonstration shows them."""
