"""Fenced blocks of a page, each with the comment before it that says how it is tested."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias

from markdown_it import MarkdownIt
from markdown_it.token import Token

ROOT = Path(__file__).resolve().parents[3]

How: TypeAlias = Literal["test", "checked by"]
# On its own before a fence, invisible to readers:
#   <!-- test: NAME -->                          the runner of that name in runners.RUNNERS or clients
#   <!-- checked by: tests/…/test_x.py::test_y -->  a test of its own, which must exist
_MARKER = re.compile(r"<!--\s*(test|checked by):\s*(.+?)\s*-->\s*\Z")


@dataclass(frozen=True, slots=True)
class Block:
    """One fenced block. Without a marker its language alone says how it is tested."""

    page: str
    """Relative to the repository."""
    line: int
    """Of the fence, from 1."""
    language: str
    text: str
    how: How | None = None
    name: str = ""
    """What the marker names."""

    def __str__(self) -> str:
        return f"{self.page}:{self.line} ({self.name or self.language or 'no language'})"


def pages() -> list[Path]:
    """Both READMEs and the pages under docs/."""
    return [*sorted(ROOT.glob("README*.md")), *sorted(ROOT.glob("docs/**/*.md"))]


def parse(text: str) -> list[Token]:
    """The page's tokens, as GitHub's dialect has them."""
    return MarkdownIt("commonmark").enable(["table", "strikethrough"]).parse(text)


def blocks_of(page: Path) -> list[Block]:
    """All fenced blocks in their order."""
    return blocks_in(page.read_text("utf-8"), page.relative_to(ROOT).as_posix())


def blocks_in(text: str, page: str) -> list[Block]:
    """The same for the text of a page. Raises ValueError for a marker with no block behind it."""
    found: list[Block] = []
    before = ""
    for token in parse(text):
        marked = _MARKER.search(before)
        if token.type == "fence":
            found.append(_block(page, token, marked))
        elif marked:
            raise ValueError(f"{page}: nothing that could be tested follows {marked.group(0)!r}")
        before = token.content if token.type == "html_block" else ""
    return found


def all_blocks() -> list[Block]:
    return [block for page in pages() for block in blocks_of(page)]


def headings(text: str) -> Sequence[tuple[int, str]]:
    """Level and text of each heading."""
    tokens = parse(text)
    return [
        (int(token.tag[1:]), tokens[place + 1].content)
        for place, token in enumerate(tokens)
        if token.type == "heading_open"
    ]


def _block(page: str, token: Token, marked: re.Match[str] | None) -> Block:
    line = (token.map or [0])[0] + 1
    language = token.info.split()[0] if token.info.strip() else ""
    if marked is None:
        return Block(page, line, language, token.content)
    how: How = "test" if marked.group(1) == "test" else "checked by"
    return Block(page, line, language, token.content, how, marked.group(2))
