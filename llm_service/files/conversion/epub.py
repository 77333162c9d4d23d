"""Books in EPUB to Markdown: its chapters in reading order, each once.

markitdown's own class for them converts a chapter as often as the book names it, a million times if it does.
"""

from __future__ import annotations

import posixpath
import zipfile
from collections.abc import Iterator
from typing import TYPE_CHECKING, BinaryIO
from urllib.parse import unquote

from llm_service.errors import DocumentUnreadable
from llm_service.files.conversion import html, plain_text
from llm_service.files.conversion.bounds import Bounds

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

_CONTAINER = "META-INF/container.xml"
_ENCRYPTION = "META-INF/encryption.xml"
_ABOUT = ("title", "creator", "publisher", "date")
# A package file lists every chapter and picture in some 100 bytes each.
_MAX_XML_BYTES = 16 * 1024 * 1024


def to_text(stream: BinaryIO, bounds: Bounds) -> str:
    """Raises DocumentUnreadable, DocumentTooCostly, and what XML parsers raise."""
    with zipfile.ZipFile(stream) as archive:
        names = frozenset(archive.namelist())
        place = _package_place(archive)
        package = _xml(archive, place)
        pieces = ["\n".join(_about(package))]
        chapters = [name for name in _chapters(package, posixpath.dirname(place)) if name in names]
        bounds.judge_pages(len(chapters), "chapters")
        if not chapters:
            raise DocumentUnreadable(f"{bounds.name!r} is broken: the book names no chapter that it holds")
        if _ENCRYPTION in names and all(_is_locked(archive, name) for name in chapters):
            raise DocumentUnreadable(
                f"{bounds.name!r} is encrypted; a book without copy protection is needed"
            )
        chars = tags = 0
        for name in chapters:
            tags = html.judge(plain_text.decode(archive.read(name)), bounds, tags)
        for name in chapters:
            pieces.append(html.to_markdown(plain_text.decode(archive.read(name))))
            chars += len(pieces[-1])
            bounds.judge_chars(chars)
    return "\n\n".join(piece for piece in pieces if piece)


def _package_place(archive: zipfile.ZipFile) -> str:
    container = _xml(archive, _CONTAINER)
    found = next(_named(container, "rootfile"), None)
    return "" if found is None else found.get("full-path", "")


def _xml(archive: zipfile.ZipFile, name: str) -> Element:
    from defusedxml import ElementTree

    with archive.open(name) as part:
        content = part.read(_MAX_XML_BYTES)
    root: Element = ElementTree.fromstring(content)
    return root


def _about(package: Element) -> Iterator[str]:
    for field in _ABOUT:
        for found in _named(package, field):
            if found.text and found.text.strip():
                yield f"**{field.capitalize()}:** {found.text.strip()}"


def _chapters(package: Element, folder: str) -> list[str]:
    """The names of the chapters inside the archive, in reading order, none twice."""
    places = {item.get("id", ""): item.get("href", "") for item in _named(package, "item")}
    named = (places[key] for item in _named(package, "itemref") if (key := item.get("idref", "")) in places)
    return list(dict.fromkeys(posixpath.normpath(posixpath.join(folder, unquote(href))) for href in named))


def _named(root: Element, tag: str) -> Iterator[Element]:
    """The elements of that name in any namespace: books of ten years differ in theirs."""
    return (element for element in root.iter() if str(element.tag).rpartition("}")[2] == tag)


def _is_locked(archive: zipfile.ZipFile, name: str) -> bool:
    """Whether it is no markup: fonts may be encrypted in a book that anybody reads."""
    with archive.open(name) as part:
        return b"<" not in part.read(1024)
