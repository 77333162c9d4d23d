"""The messages that a page shows, held against the bytes that really pass."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from importlib.resources import files
from typing import Any

from jsonschema import Draft202012Validator

from llm_service.contract.envelope import Envelope
from llm_service.contract.status import Failure, Processing, Stamp, StatusEvent, Success, encode
from llm_service.contract.task import Task

_ELIDED = re.compile(r",\s*…(?=\s*\})")
_SCHEMAS = {2: "status-processing", 3: "status-success", 4: "status-failed"}


def shown_task(text: str) -> Task:
    """The task of a block with the lines ``key``, ``headers`` and ``value``, as the service reads it."""
    lines = dict(line.split(maxsplit=1) for line in text.strip().splitlines())
    headers = tuple((name, value.encode()) for name, value in _pairs(lines["headers"]))
    read = Envelope(lines["key"].encode(), lines["value"].encode(), headers, "tasks_llm", 0, 0).task()
    assert read is not None, "its status says that it is no task"
    _hold(json.loads(lines["value"]), "task")
    return read


def shown_statuses(text: str) -> list[Mapping[str, Any]]:
    """The bodies of status events, one a line, in which ``…`` stands for more; each holds to its schema.

    What is shown must be said by the service's own bytes, too: a name of another than its schema's is refused.
    """
    bodies: list[Mapping[str, Any]] = []
    for line in text.strip().splitlines():
        body = json.loads(_ELIDED.sub("", line))
        _hold(body, _SCHEMAS[body["status"]], whole=False)
        told = json.loads(_real(body["status"]))
        assert body.keys() <= told.keys(), f"the service says no {body.keys() - told.keys()}"
        if "error" in body:
            assert body["error"].keys() <= told["error"].keys()
        if "result" in body:
            json.loads(_ELIDED.sub("", body["result"]))
        bodies.append(body)
    return bodies


def _pairs(text: str) -> list[list[str]]:
    return [word.split("=", 1) for word in text.split()]


def _hold(body: Mapping[str, Any], name: str, *, whole: bool = True) -> None:
    schema = json.loads(files("llm_service.contract").joinpath("schemas", f"{name}.json").read_text("utf-8"))
    if not whole:
        schema = _without_required(schema)
    Draft202012Validator(schema).validate(body)


def _without_required(schema: Any) -> Any:
    """What is elided can't be asked for."""
    if isinstance(schema, list):
        return [_without_required(part) for part in schema]
    if isinstance(schema, dict):
        return {name: _without_required(part) for name, part in schema.items() if name != "required"}
    return schema


def _real(status: int) -> bytes:
    stamp = Stamp("t", "t", "w", datetime.now(UTC), 1, "r")
    events: dict[int, StatusEvent] = {
        2: Processing("gigachat", "GigaChat"),
        3: Success("{}", "gigachat", "GigaChat", "stop", 1, 1, None, 1),
        4: Failure(
            "document_unreadable",
            "m",
            retryable=False,
            provider="gigachat",
            tokens_used=1,
            processing_time_ms=1,
        ),
    }
    value = encode(events[status], stamp, "string").value
    assert value is not None
    return value
