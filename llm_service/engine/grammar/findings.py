"""What a conversion says of a schema: what can't be met at all, and what the grammar does not hold an answer to."""

from __future__ import annotations


class SchemaUnusable(ValueError):  # named for what happened
    """No grammar can be made of the schema; the message says where and why."""


class SchemaTooLarge(SchemaUnusable):  # the same
    """A schema like any other, of which a grammar would be too large."""


class Impossible(Exception):  # the same
    """No value meets this part of the schema."""


class Findings:
    """What is left to a check afterwards, each once: ``keyword at place: why``."""

    def __init__(self) -> None:
        self._found: dict[str, None] = {}

    def add(self, keyword: str, place: str, why: str) -> None:
        self._found[f"{keyword} at {place}: {why}"] = None

    @property
    def all(self) -> tuple[str, ...]:
        return tuple(self._found)
