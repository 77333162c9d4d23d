"""One record of the log as one line, which no value in it can break or forge."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import TYPE_CHECKING, cast

from llm_service.events import current_task
from llm_service.observability.escaping import escape
from llm_service.observability.exception_text import exception_lines

if TYPE_CHECKING:
    from loguru import Record

LONGEST_VALUE_CHARS = 4000
"""Longer than any message of ours; what third parties log beyond that is a body that does not belong here."""

_EXCEPTION_INDENT = "    | "


def text_line(record: Record) -> str:
    """``time LEVEL message key=value …``; an exception follows on indented lines."""
    parts = [_time(record["time"]), f"{record['level'].name:<8}", _bounded(record["message"])]
    parts += [f"{_bounded(key)}={_value(value)}" for key, value in _fields(record).items()]
    line = " ".join(parts)
    if record["exception"] is None:
        return line
    return "\n".join((line, *(_EXCEPTION_INDENT + _bounded(part) for part in _exception_lines(record))))


def json_line(record: Record) -> str:
    """A JSON object on one line; our own keys win over a record's."""
    content: dict[str, object] = {
        **{key: _json_value(value) for key, value in _fields(record).items()},
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


def own_line(render: Callable[[Record], str], message: str, fields: Mapping[str, object]) -> str:
    """A warning of the log about itself, its end included, made past loguru: it may be loguru's sink that speaks."""
    record = {
        "time": datetime.now(UTC),
        "level": SimpleNamespace(name="WARNING"),
        "message": message,
        "extra": dict(fields),
        "exception": None,
    }
    return render(cast("Record", record)) + "\n"


def _fields(record: Record) -> Mapping[str, object]:
    """What was bound to the record, behind the ids of the task that the writer of the line works on."""
    extra = record["extra"]
    task = current_task()
    if task is None or "task_id" in extra:
        return extra
    return {"task_id": task.task_id, "trace_id": task.trace_id, **extra}


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
    if exception is None or exception.value is None:
        return []
    return exception_lines(exception.value, exception.traceback, words=current_task() is None)
