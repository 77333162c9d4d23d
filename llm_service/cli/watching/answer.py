"""What a terminal status says, made readable."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeAlias

from llm_service.contract.strict_json import loads_text
from llm_service.errors import InvalidMessage

_NOTHING = "—"
# Keywords, names and numbers stand on one line; sentences one a line.
_SHORT_CHARS = 40


@dataclass(frozen=True, slots=True)
class Fields:
    """A JSON object: names and values, in its order, as they came."""

    rows: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Words:
    """Text, or JSON that is no object."""

    text: str


Answer: TypeAlias = Fields | Words


def read_answer(body: Mapping[str, object]) -> Answer:
    """The ``result`` of a SUCCESS: a string that holds JSON, or an object."""
    result = body.get("result")
    if isinstance(result, str):
        try:
            result = loads_text(result)
        except InvalidMessage:
            return Words(str(result))
    if not isinstance(result, dict):
        return Words(_value(result))
    if set(result) == {"raw_response"}:
        return Words(_value(result["raw_response"]))
    return Fields(tuple((str(name), _value(value)) for name, value in result.items()))


def read_error(body: Mapping[str, object]) -> str:
    """The reason of a FAILED with its code, as its reader is shown it."""
    message = str(body.get("error_message") or "no reason was given")
    error = body.get("error")
    code = error.get("code") if isinstance(error, dict) else None
    return f"{message} ({code})" if code else message


def _value(value: object) -> str:
    if value is None or value in ("", [], {}):
        return _NOTHING
    if isinstance(value, str):
        return value
    if isinstance(value, list) and all(isinstance(item, str) for item in value):
        return ("; " if all(len(item) <= _SHORT_CHARS for item in value) else "\n").join(value)
    return json.dumps(value, ensure_ascii=False, indent=2)
