"""The rows of the settings as text and as objects; a secret is only ever said to be set."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator

from llm_service.cli.printable import printable_line
from llm_service.settings.in_force import InForce
from llm_service.settings.secret_files import SUFFIX

_WIDTH = 100
_MARGIN = 2
_LABEL = 10


def plain_line(row: InForce) -> str:
    """``NAME<tab>value<tab>origin``, for a pipe."""
    return "\t".join((row.setting.name, value_shown(row), printable_line(row.origin)))


def value_shown(row: InForce) -> str:
    """The value on one line; ``<hidden>`` for a secret that is set, with the names in it where it has some."""
    if row.setting.secret:
        names = f" {printable_line(row.value)}" if row.value else ""
        return f"<hidden>{names}" if row.is_set else ""
    return printable_line(row.value)


def as_object(row: InForce) -> dict[str, object]:
    """All about one setting; ``value`` is null when it is unset, and when it is secret."""
    setting = row.setting
    return {
        "name": setting.name,
        "value": row.value if row.is_set and not setting.secret else None,
        "set": row.is_set,
        "secret": setting.secret,
        "origin": row.origin,
        "changed": row.is_changed,
        "default": setting.default or None,
        "expected": setting.expected,
        "description": setting.description,
        "names": list(setting.names),
        "group": setting.title,
    }


def in_full(row: InForce) -> Iterator[str]:
    """One setting with all about it, line by line."""
    setting = row.setting
    yield f"{setting.name}={value_shown(row)}" if row.is_set else f"{setting.name} is not set"
    said = {
        "from": printable_line(row.origin),
        "what": setting.description,
        "expected": setting.expected,
        "default": setting.default or "unset",
        "also as": ", ".join((*setting.names[1:], f"{setting.name}{SUFFIX} (a file with the value in it)")),
        "group": setting.title,
    }
    for label, text in said.items():
        first = " " * _MARGIN + label.ljust(_LABEL)
        yield from textwrap.wrap(
            text, _WIDTH, initial_indent=first, subsequent_indent=" " * len(first), break_on_hyphens=False
        )
