"""Typed reading of JSON fields: the value, or an InvalidField that names the field and what was expected.

``null`` and a missing field are the same. An integer is what JSON Schema calls one: 3.0 is 3, true is none.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime

from llm_service.errors import InvalidField

Fields = Mapping[str, object]


def wrong(field: str, expected: str, value: object) -> InvalidField:
    """The error for ``field``; it tells the kind of what came and no text of it, which may be a prompt."""
    return InvalidField(f"Field '{field}' must be {expected}; it came as {_kind(value)}.")


def text(fields: Fields, name: str, path: str = "") -> str | None:
    """A string; an empty one says nothing and is None."""
    value = fields.get(name)
    if value is None:
        return None
    if not isinstance(value, str):
        raise wrong(path + name, "a string", value)
    return value or None


def integer(fields: Fields, name: str, path: str = "", least: int | None = None) -> int | None:
    """A whole number, at least ``least``."""
    value = fields.get(name)
    if value is None:
        return None
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if not isinstance(value, int) or isinstance(value, bool) or (least is not None and value < least):
        raise wrong(path + name, "an integer" + ("" if least is None else f" of {least} or more"), value)
    return value


def number(fields: Fields, name: str, path: str = "", expected: str = "a number") -> float | None:
    """A number that a float can hold."""
    value = fields.get(name)
    if value is None:
        return None
    if not isinstance(value, int | float) or isinstance(value, bool):
        raise wrong(path + name, expected, value)
    try:
        return float(value)
    except OverflowError:
        raise wrong(path + name, expected + " below 1.8e308", value) from None


def boolean(fields: Fields, name: str, path: str = "") -> bool | None:
    """True or false, nothing that merely looks like it."""
    value = fields.get(name)
    if value is not None and not isinstance(value, bool):
        raise wrong(path + name, "true or false", value)
    return value


def mapping(fields: Fields, name: str) -> dict[str, object] | None:
    """An object."""
    value = fields.get(name)
    if value is not None and not isinstance(value, dict):
        raise wrong(name, "an object", value)
    return value


def sequence(fields: Fields, name: str) -> list[object]:
    """A list; none is an empty one."""
    value = fields.get(name)
    if value is None:
        return []
    if not isinstance(value, list):
        raise wrong(name, "a list", value)
    return value


def instant(fields: Fields, name: str) -> datetime | None:
    """A date and time in ISO 8601, in UTC; one without a zone is taken as UTC.

    A date alone is refused: as a deadline its author would mean the day's end, and we would take its start.
    """
    value = text(fields, name)
    if value is None:
        return None
    if not _HAS_TIME.match(value):
        raise wrong(name, _INSTANT, value)
    try:
        moment = datetime.fromisoformat(value)
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError):
        raise wrong(name, _INSTANT, value) from None


def _kind(value: object) -> str:
    match value:
        case bool():
            return "true or false"
        case int() | float():
            return f"the number {value!r:.24}"
        case str():
            return "a string"
        case dict():
            return "an object"
        case list():
            return "a list"
    return "null"


_INSTANT = "a date and time in ISO 8601, as in 2026-11-20T09:10:00Z"
_HAS_TIME = re.compile(r"[0-9W-]{8,10}[T ][0-9]", re.ASCII)
