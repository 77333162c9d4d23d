"""``Label: value`` lines, the way forms, envelopes and letterheads state their facts."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from llm_service.providers.extraction.concepts import Concept, concept_of
from llm_service.providers.extraction.source import Source
from llm_service.providers.extraction.words import stems

MOST_LABELS = 300
_LABEL_CHARS = 60
_LABEL_WORDS = 7
_VALUE_LINES = 4
"""Lines below a label that may belong to its value: an address in full takes four."""


@dataclass(frozen=True, slots=True)
class Labelled:
    """A value and what it is called; ``line`` is where."""

    label: str
    stems: frozenset[str]
    concept: Concept | None
    value: str
    line: int


def find_labels(source: Source) -> list[Labelled]:
    """All labelled values in the order of the text, at most 300."""
    found: list[Labelled] = []
    for number, line in enumerate(source.lines):
        label, value = divided(line)
        if label and len(found) < MOST_LABELS:
            whole = _with_following(source.lines, number, value)
            if whole:
                said = frozenset(stems(label))
                found.append(Labelled(label, said, concept_of(said)[0], whole, number))
    return found


def divided(line: str) -> tuple[str, str]:
    """Label and value of a line, or two empty texts where it is none."""
    label, value = _cells(line) if line.startswith("|") else _at_colon(line)
    return (label, value) if _is_label(label) else ("", "")


def _cells(line: str) -> tuple[str, str]:
    """A row of a table with two cells."""
    cells = [cell.strip() for cell in line.strip("| ").split("|")]
    return (cells[0].rstrip(":"), cells[1]) if len(cells) == 2 else ("", "")


def _at_colon(line: str) -> tuple[str, str]:
    """What stands before and after the colon, unless it is part of an address of the web or of a time."""
    label, colon, _ = line[: _LABEL_CHARS + 1].partition(":")
    value = line[len(label) + 1 :]
    if not colon or value.startswith("//") or (label[-1:].isdigit() and value[:1].isdigit()):
        return "", ""
    return label.lstrip("0123456789.) ").strip(), value.strip()


def _is_label(label: str) -> bool:
    """A few words that begin with a letter and end no sentence (``Тел.`` is an abbreviation)."""
    if not label[:1].isalpha() or len(label.split()) > _LABEL_WORDS:
        return False
    plain = label[:-1] if len(label) <= 8 else label
    return not any(mark in plain for mark in '.!?;,«"')


def _with_following(lines: tuple[str, ...], number: int, value: str) -> str:
    """The value with the lines that go on with it: all up to a blank when it begins below its label."""
    below = _below(lines, number)
    if not value:
        return " ".join(below)
    parts = [value]
    for line in below:
        if not (parts[-1].endswith((",", "-")) or line[:1].islower()):
            break
        parts.append(line)
    return " ".join(parts)


def _below(lines: tuple[str, ...], number: int) -> list[str]:
    return list(_until_blank_or_label(lines[number + 1 : number + 1 + _VALUE_LINES]))


def _until_blank_or_label(lines: tuple[str, ...]) -> Iterator[str]:
    for line in lines:
        if not line or divided(line)[0]:
            return
        yield line
