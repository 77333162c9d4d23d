"""Lines become paragraphs again: a PDF's text comes broken at the page's width."""

from __future__ import annotations

from llm_service.providers.extraction.labels import divided
from llm_service.providers.extraction.source import Source

_BULLETS = "-–—•*·▪"
_FULL = 0.7
"""A line this near the longest one was broken by the page's width, not by its writer."""
_NARROWEST = 40
_WIDEST = 120
"""Longer lines are paragraphs of a format that does not break lines, and say nothing about a page's width."""


def paragraphs(source: Source) -> list[str]:
    """The text's paragraphs, list items and lone lines, each as one line."""
    width = max((len(line) for line in source.lines if len(line) <= _WIDEST), default=0)
    found: list[str] = []
    previous = ""
    for line in source.lines:
        if line and previous and _continues(previous, line, width):
            found[-1] = _joined(found[-1], line)
        elif line:
            found.append(line.lstrip(_BULLETS).strip() or line)
        previous = line
    return found


def _continues(line: str, following: str, width: int) -> bool:
    """Whether the next line goes on where this one breaks off."""
    if following[0] in _BULLETS + "|" or line[-1] in ":;|":
        return False
    if divided(following)[0] and following[0].isupper():
        return False
    first = following.split(maxsplit=1)[0]
    if len(first) > 2 and first.isalpha() and first.islower():
        return True
    return len(line) >= max(_NARROWEST, _FULL * width) and len(line) <= _WIDEST


def _joined(line: str, following: str) -> str:
    """Two lines as one; a word divided at the end of the first is put together."""
    if line.endswith("-") and len(line) > 1 and line[-2].isalpha() and following[:1].islower():
        return line[:-1] + following
    return f"{line} {following}"
