"""A letter as fields, for JSON and for eyes."""

from __future__ import annotations

import base64
from collections.abc import Mapping

from llm_service.contract.record import Headers
from llm_service.kafka.letters import Letter


def summary(letter: Letter) -> dict[str, object]:
    """What ``list`` and ``replay`` tell of each."""
    why, resolution = letter.decoded.letter, letter.resolution
    return {
        "letter": place(letter),
        "task_id": letter.task_id,
        "code": why.code,
        "message": why.message,
        "attempts": why.attempts,
        "from": f"{why.topic}/{why.partition}/{why.offset}",
        "timestamp": why.timestamp.isoformat(),
        "resolved": resolution.how if resolution is not None else None,
        "resolved_at": resolution.timestamp.isoformat() if resolution is not None else None,
    }


def place(letter: Letter) -> str:
    """As the commands take it: ``3/1017``."""
    return f"{letter.message.partition}/{letter.message.offset}"


def contents(name: str, value: bytes | None) -> Mapping[str, object]:
    """Bytes as text where they are UTF-8, else in Base64 under a name that says so."""
    if value is None:
        return {name: None}
    try:
        return {name: value.decode()}
    except UnicodeDecodeError:
        return {f"{name}_base64": base64.b64encode(value).decode()}


def header_list(headers: Headers) -> list[Mapping[str, object]]:
    """In their order: a name may come more than once."""
    return [{"name": name, **contents("value", value)} for name, value in headers]
