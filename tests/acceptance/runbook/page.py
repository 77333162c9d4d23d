"""The runbook as a reader meets it: rows with an anchor, and in each the command to run and what it shows."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

DOCS = Path(__file__).resolve().parents[3] / "docs"
ENGLISH, RUSSIAN = DOCS / "runbook.md", DOCS / "runbook.ru.md"

_ROW = re.compile(r'^<a id="(?P<id>[a-z0-9-]+)"></a>$', re.MULTILINE)
_BLOCK = re.compile(r"^```(?P<kind>\w+)\n(?P<text>.*?)\n```$", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True, slots=True)
class Row:
    """One symptom."""

    id: str
    log: Sequence[str]
    """Lines that the worker says, ``…`` for what differs."""
    command: str
    seen: Sequence[str]
    """Lines that the command shows, in the same way."""
    cure: str
    """A command that mends it, where there is one; else empty."""


def rows(page: Path) -> Mapping[str, Row]:
    """By their anchors, in the order of the page."""
    text = page.read_text(encoding="utf-8")
    found = list(_ROW.finditer(text))
    ends = [match.start() for match in found[1:]] + [len(text)]
    return {
        match["id"]: _row(match["id"], _until_heading(text[match.end() : end]))
        for match, end in zip(found, ends, strict=True)
    }


def _until_heading(text: str) -> str:
    """Up to the next heading; one that stands in a block of code is a comment there."""
    without = _BLOCK.sub(lambda block: "x" * len(block[0]), text)
    heading = re.search(r"^#", without, re.MULTILINE)
    return text[: heading.start()] if heading else text


def _row(name: str, text: str) -> Row:
    blocks = [(match["kind"], match["text"]) for match in _BLOCK.finditer(text)]
    log = [line for kind, block in blocks if kind == "log" for line in block.splitlines()]
    seen = [line for kind, block in blocks if kind == "text" for line in block.splitlines()]
    commands = [block for kind, block in blocks if kind == "sh"]
    assert 1 <= len(commands) <= 2, f"{name} has {len(commands)} commands"
    return Row(name, log, commands[0], seen, commands[1] if len(commands) == 2 else "")


def not_shown(lines: Sequence[str], output: str) -> list[str]:
    """Those of the page's lines that the output does not have."""
    return [line for line in lines if not re.search(_pattern(line), output)]


def _pattern(line: str) -> str:
    """``…`` is anything on the line; how many spaces there are is a matter of columns."""
    return "".join(_expression(part) for part in re.split(r"( +|…)", line) if part)


def _expression(part: str) -> str:
    if part == "…":
        return "[^\n]*"
    return " +" if part.isspace() else re.escape(part)
