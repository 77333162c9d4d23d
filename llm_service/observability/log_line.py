"""One record of the log as one line, which no value in it can break or forge."""

from __future__ import annotations

import json
import traceback
from datetime import UTC, datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from loguru import Record

LONGEST_VALUE_CHARS = 4000
"""Longer than any message of ours; what third parties log beyond that is a body that does not belong here."""

DEEPEST_FRAMES = 20
"""The innermost frames of an exception, where the cause is; the outer ones are the loop's own."""

SHORTEST_HIDDEN_CHARS = 12
"""A shorter secret (``postgres``) can't be told from ordinary words, and hiding it would blur half the log."""

_EXCEPTION_INDENT = "    | "


def text_line(record: Record) -> str:
    """``time LEVEL message key=value …``; an exception follows on indented lines."""
    parts = [_time(record["time"]), f"{record['level'].name:<8}", _bounded(record["message"])]
    parts += [f"{_bounded(key)}={_value(value)}" for key, value in record["extra"].items()]
    line = " ".join(parts)
    if record["exception"] is None:
        return line
    return "\n".join((line, *(_EXCEPTION_INDENT + escape(part) for part in _exception_lines(record))))


def json_line(record: Record) -> str:
    """A JSON object on one line; our own keys win over a record's."""
    content: dict[str, object] = {
        **{key: _json_value(value) for key, value in record["extra"].items()},
        "time": _time(record["time"]),
        "level": record["level"].name,
        "message": _cut(record["message"]),
    }
    if record["exception"] is not None:
        content["exception"] = "\n".join(_exception_lines(record))
    line = json.dumps(content, ensure_ascii=False)
    # Cyrillic stays readable; what steers a terminal does not stay.
    return (
        line if line.isprintable() else "".join(c if c.isprintable() else json.dumps(c)[1:-1] for c in line)
    )


def hide(line: str, secrets: tuple[str, ...]) -> str:
    """The line without these texts: the last net, for what a library puts into its own messages."""
    for secret in secrets:
        if secret in line:
            line = line.replace(secret, "***")
    return line


def escape(text: str) -> str:
    r"""The text with line ends, escape sequences and invisible characters written out, as ``\n``, ``\x1b``."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def _cut(text: str) -> str:
    return text if len(text) <= LONGEST_VALUE_CHARS else text[:LONGEST_VALUE_CHARS] + "…"


def _bounded(text: str) -> str:
    return escape(_cut(text))


def _json_value(value: object) -> object:
    return value if value is None or isinstance(value, (bool, int, float)) else _cut(str(value))


def _value(value: object) -> str:
    """Quoted where it could be taken for several: ``code="x y=z"``."""
    if isinstance(value, float):
        return f"{value:.3f}"
    text = _bounded(str(value))
    if text and not (" " in text or '"' in text or "=" in text):
        return text
    return '"' + text.replace('"', '\\"') + '"'


def _time(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="milliseconds")


def _exception_lines(record: Record) -> list[str]:
    exception = record["exception"]
    if exception is None or exception.type is None:
        return []
    parts = traceback.format_exception(
        exception.type, exception.value, exception.traceback, limit=-DEEPEST_FRAMES
    )
    return [line for part in parts for line in part[:LONGEST_VALUE_CHARS].rstrip("\n").split("\n")]
