"""OpenDocument texts, spreadsheets and presentations (LibreOffice, ГОСТ Р ИСО/МЭК 26300) to Markdown."""

from __future__ import annotations

import zipfile
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, BinaryIO

from llm_service.errors import DocumentTooCostly, DocumentUnreadable
from llm_service.files.conversion.bounds import Bounds

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

_URN = "urn:oasis:names:tc:opendocument:xmlns:"
_TEXT, _TABLE, _DRAW, _OFFICE = (f"{{{_URN}{part}:1.0}}" for part in ("text", "table", "drawing", "office"))
_MANIFEST = "META-INF/manifest.xml"
# What was deleted, what is said about the text, and definitions: no text of the document.
_SILENT = frozenset(
    {f"{_TEXT}tracked-changes", f"{_OFFICE}annotation", f"{_TEXT}sequence-decls", f"{_OFFICE}forms"}
)
_LINE_FEEDS = {f"{_TEXT}line-break": "\n", f"{_TEXT}tab": "\t"}
# A sheet says "this row a million times" in one line; a table that people filled in has fewer cells than this.
_MAX_CELLS = 1_000_000
_MAX_SPACES = 100
_MAX_LEVEL = 6


def to_text(stream: BinaryIO, bounds: Bounds) -> str:
    """Raises DocumentUnreadable, DocumentTooCostly, and what XML parsers raise."""
    from defusedxml import ElementTree

    with zipfile.ZipFile(stream) as archive:
        if _MANIFEST in archive.namelist() and b"encryption-data" in archive.read(_MANIFEST):
            raise DocumentUnreadable(f"{bounds.name!r} is encrypted; save it without a password")
        root: Element = ElementTree.fromstring(archive.read("content.xml"), forbid_dtd=True)
    return "\n\n".join(_Reader(bounds).blocks(root))


class _Reader:
    """Reads one document, counting what it makes of it."""

    def __init__(self, bounds: Bounds) -> None:
        self._bounds = bounds
        self._cells = 0
        self._chars = 0
        self._pages = 0

    def blocks(self, root: Element) -> Iterator[str]:
        """Paragraphs, lists and tables in order, none of them empty."""
        for block in self._blocks(root):
            if block.strip():
                self._chars += len(block)
                self._bounds.judge_chars(self._chars)
                yield block

    def _blocks(self, element: Element) -> Iterator[str]:
        for child in element:
            reader = _READERS.get(str(child.tag))
            if reader is not None:
                yield from reader(self, child)
            elif child.tag not in _SILENT:
                yield from self._blocks(child)

    def heading(self, element: Element) -> Iterator[str]:
        level = min(_number(element, f"{_TEXT}outline-level"), _MAX_LEVEL)
        yield f"{'#' * level} {_inline(element).strip()}"

    def paragraph(self, element: Element) -> Iterator[str]:
        yield _inline(element).strip()

    def list_(self, element: Element) -> Iterator[str]:
        yield "\n".join(self._items(element))

    def _items(self, element: Element) -> Iterator[str]:
        for item in element:
            lines = "\n".join(self._blocks(item)).splitlines()
            yield from (f"{'  ' if number else '- '}{line}" for number, line in enumerate(lines))

    def page(self, element: Element) -> Iterator[str]:
        self._pages += 1
        self._bounds.judge_pages(self._pages, "slides")
        yield f"## {self._pages}"
        yield from self._blocks(element)

    def table(self, element: Element) -> Iterator[str]:
        rows = [row for row in self._rows(element) if row]
        if not rows:
            return
        width = max(len(row) for row in rows)
        self._count(width * len(rows))
        lines = [f"| {' | '.join([*row, *[''] * (width - len(row))])} |" for row in rows]
        lines.insert(1, f"|{' --- |' * width}")
        title = element.get(f"{_TABLE}name", "")
        yield f"**{title}**\n\n" + "\n".join(lines) if title else "\n".join(lines)

    def _rows(self, element: Element) -> Iterator[list[str]]:
        """The rows with anything in them, of groups and headers too, as often as they are said to be there."""
        for child in element:
            if child.tag == f"{_TABLE}table-row":
                row = self._cells_of(child)
                times = _number(child, f"{_TABLE}number-rows-repeated") if row else 0
                self._count(times * len(row))
                yield from [row] * times
            elif child.tag != f"{_TABLE}table":
                yield from self._rows(child)

    def _cells_of(self, row: Element) -> list[str]:
        """Up to the last cell that holds something."""
        cells: list[str] = []
        empty = 0
        for cell in row:
            text = " ".join(self._blocks(cell)).replace("|", "\\|").replace("\n", " ").strip()
            times = _number(cell, f"{_TABLE}number-columns-repeated")
            if not text:
                empty += times
                continue
            self._count(empty + times)
            cells += [""] * empty + [text] * times
            empty = 0
        return cells

    def _count(self, cells: int) -> None:
        self._cells += cells
        if self._cells > _MAX_CELLS:
            raise DocumentTooCostly(
                f"{self._bounds.name!r} has tables of more than {_MAX_CELLS} cells; split it, or send the part that counts"
            )


_READERS: dict[str, Callable[[_Reader, Element], Iterator[str]]] = {
    f"{_TEXT}h": _Reader.heading,
    f"{_TEXT}p": _Reader.paragraph,
    f"{_TEXT}list": _Reader.list_,
    f"{_TABLE}table": _Reader.table,
    f"{_DRAW}page": _Reader.page,
}


def _inline(element: Element) -> str:
    """The text of a paragraph; its runs of spaces are elements."""
    pieces = [element.text or ""]
    for child in element:
        if child.tag == f"{_TEXT}s":
            pieces.append(" " * min(_number(child, f"{_TEXT}c"), _MAX_SPACES))
        elif child.tag in _LINE_FEEDS:
            pieces.append(_LINE_FEEDS[str(child.tag)])
        elif child.tag not in _SILENT:
            pieces.append(_inline(child))
        pieces.append(child.tail or "")
    return "".join(pieces)


def _number(element: Element, name: str) -> int:
    """A count that an attribute gives, 1 where it gives none."""
    value = element.get(name, "")
    return max(1, int(value)) if value.isascii() and value.isdecimal() and len(value) <= 9 else 1
