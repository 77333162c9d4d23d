"""HTML pages to Markdown, by time that grows as the page does.

Python's own parser, which markitdown would take, needs time by the square of a page of unfinished tags and by the cube of
``<a <a <a`` (of which 12 kB took minutes), and its tree nests what a paragraph without its end tag is followed by. That of
libxml2 does neither.
"""

from __future__ import annotations

import re
import textwrap
from functools import cache
from itertools import islice
from typing import TYPE_CHECKING

from llm_service.errors import DocumentTooCostly
from llm_service.files.conversion.bounds import Bounds

if TYPE_CHECKING:
    from bs4 import Tag
    from markitdown.converters._markdownify import _CustomMarkdownify

# Begins, ends and comments. One takes up to 30 µs and 700 bytes, as measured: 12 s of the 30 and 280 MB of the 512 that a
# document may have. The longest contracts hold some ten thousand.
MAX_TAGS = 400_000
_TAG = re.compile(r"<[A-Za-z/!?]")


def judge(source: str, bounds: Bounds, before: int = 0) -> int:
    """How many tags there are with those ``before`` it, of other parts. Raises DocumentTooCostly."""
    # Those beyond are not counted: a page can be nothing else.
    tags = before + sum(1 for _ in islice(_TAG.finditer(source), MAX_TAGS + 1))
    if tags > MAX_TAGS:
        raise DocumentTooCostly(
            f"{bounds.name!r} has more than {MAX_TAGS} tags; at most {MAX_TAGS} are taken"
        )
    return tags


def to_markdown(source: str) -> str:
    """Markdown: headings, lists, tables and links stay; scripts and styles go."""
    from bs4 import BeautifulSoup  # an extra, and half a second

    page = BeautifulSoup(source, "lxml")
    for found in page(["script", "style"]):
        found.extract()
    content = page.find("body") or page
    try:
        return str(_converter()().convert_soup(content)).strip()
    except RecursionError:
        return content.get_text("\n", strip=True)


@cache
def _converter() -> type[_CustomMarkdownify]:
    """markitdown's, which keeps no data of pictures and no JavaScript, with lists that are numbered in one pass."""
    from markitdown.converters._markdownify import _CustomMarkdownify

    class Converter(_CustomMarkdownify):
        """Of one page."""

        def __init__(self) -> None:
            super().__init__()
            self._numbers: dict[int, int] = {}

        def convert_li(self, el: Tag, text: str, parent_tags: set[str]) -> str:
            """markdownify counts the items before each anew."""
            parent = el.parent
            if parent is None or parent.name != "ol":
                return str(super().convert_li(el, text, parent_tags))  # type: ignore[misc] # markdownify has no types
            if id(el) not in self._numbers:
                first = str(parent.get("start", ""))
                items = parent.find_all("li", recursive=False)
                self._numbers |= {
                    id(item): number
                    for number, item in enumerate(items, int(first) if first.isdecimal() else 1)
                }
            bullet = f"{self._numbers[id(el)]}. "
            text = text.strip()
            return f"{bullet}{textwrap.indent(text, ' ' * len(bullet))[len(bullet) :]}\n" if text else "\n"

    return Converter
