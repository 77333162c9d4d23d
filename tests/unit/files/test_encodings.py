"""Which encoding Russian text is taken for, sentence by sentence of this project's own pages: a table of confusions."""

from __future__ import annotations

import re
from collections import Counter
from functools import cache
from pathlib import Path

import pytest

from llm_service.files.conversion.plain_text import decode

ROOT = Path(__file__).resolve().parents[3]
ENCODINGS = ("utf-8", "utf-16", "cp1251", "koi8-r", "cp866")
ONE_BYTE = ("cp1251", "koi8-r", "cp866", "cp1252")
SHORT, LONG = range(10, 20), range(20, 10_000)


@cache
def sentences() -> tuple[str, ...]:
    """Each once, without Markdown's marks."""
    pages = (path.read_text("utf-8") for path in [*ROOT.glob("*.ru.md"), *(ROOT / "docs").glob("*.ru.md")])
    pieces = (
        piece for page in pages for line in page.splitlines() for piece in re.split(r"(?<=[.!?;:])\s", line)
    )
    return tuple(sorted({re.sub(r"[`*|\[\]()#]", "", piece).strip() for piece in pieces}))


def letters(text: str) -> int:
    return sum("а" <= char.lower() <= "я" for char in text)


def taken_for(text: str, encoding: str) -> str:
    """The encoding itself where the text comes out right."""
    raw = text.encode(encoding, "ignore")
    found = decode(raw)
    if found == raw.decode(encoding):
        return encoding
    return next((other for other in ONE_BYTE if raw.decode(other, "replace") == found), "?")


def confusions(encoding: str, lengths: range, *, capitals: bool = False) -> Counter[str]:
    """How often sentences of so many letters are taken for what."""
    chosen = [text for text in sentences() if letters(text) in lengths]
    return Counter(taken_for(text.upper() if capitals else text, encoding) for text in chosen)


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_a_sentence_is_taken_for_what_it_is(encoding: str) -> None:
    found = confusions(encoding, LONG)
    assert found.total() > 300
    assert found.keys() == {encoding}


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_a_sentence_in_capitals_too(encoding: str) -> None:
    found = confusions(encoding, LONG, capitals=True)
    assert found[encoding] >= 0.995 * found.total(), found


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_two_words_are_nearly_always(encoding: str) -> None:
    found = confusions(encoding, SHORT)
    assert found.total() > 100
    assert found[encoding] >= 0.99 * found.total(), found
