"""Where the links of a page lead, and which anchors a page has."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Set
from pathlib import Path
from urllib.parse import unquote

from markdown_it.token import Token

from tests.acceptance.readme.blocks import headings, parse

_IN_HTML = re.compile(r"""<(?:a|img|source)\b[^>]*?\b(?:href|src|srcset)=["']([^"'\s]+)""")
_ID_IN_HTML = re.compile(r"""<[a-z][^>]*?\b(?:id|name)=["']([^"']+)""")
_ELSEWHERE = re.compile(r"[a-z][a-z+.-]*:|//", re.IGNORECASE)


def broken_links(page: Path) -> list[str]:
    """The relative links of a page that lead to no file, or to no anchor of one."""
    return [link for link in links_in(page.read_text("utf-8")) if not _leads_somewhere(page, link)]


def links_in(text: str) -> list[str]:
    """All that do not name a host."""
    return [link for link in _links(parse(text)) if not _ELSEWHERE.match(link)]


def anchors_in(text: str) -> Set[str]:
    """The ids that GitHub gives to headings, and those that the page's own HTML has.

    GitHub's rule: lower case, only letters of any script, digits, hyphens and underscores stay, a space becomes a
    hyphen, and a second heading of the same name gets -1.
    """
    seen: Counter[str] = Counter()
    found = set(_ID_IN_HTML.findall(text))
    for _, title in headings(text):
        shown = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", title)
        slug = re.sub(r"[^\w\- ]", "", shown.lower()).replace(" ", "-")
        found.add(f"{slug}-{seen[slug]}" if seen[slug] else slug)
        seen[slug] += 1
    return found


def _links(tokens: list[Token]) -> Iterator[str]:
    for token in tokens:
        for name in ("href", "src"):
            if token.type in {"link_open", "image"} and token.attrGet(name):
                yield str(token.attrGet(name))
        if token.type in {"html_block", "html_inline"}:
            yield from _IN_HTML.findall(token.content)
        yield from _links(token.children or [])


def _leads_somewhere(page: Path, link: str) -> bool:
    path, _, anchor = unquote(link).partition("#")
    target = (page.parent / path).resolve() if path else page
    if not target.exists():
        return False
    return not anchor or target.suffix != ".md" or anchor in anchors_in(target.read_text("utf-8"))
