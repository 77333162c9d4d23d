"""The body of a task message, in either form that is met in the field, read into the parts of a Task."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TypedDict

from llm_service.contract import fields as read
from llm_service.contract.fields import Fields, wrong
from llm_service.contract.strict_json import loads_text
from llm_service.contract.task import TaskChoice, TaskFile, TaskMessage
from llm_service.errors import InvalidMessage

_ROLES = ("system", "user", "assistant")
_PRIORITIES = {"low": -1.0, "normal": 0.0, "high": 1.0}
_PRIORITY = "a number, low, normal or high"

KNOWN_FIELDS = frozenset(
    {
        "task_id",
        "status",
        "trace_id",
        "prompt_id",
        "prompt",
        "system_prompt",
        "messages",
        "task_type",
        "data",
        "text",
        "storage_path",
        "storage_size",
        "files",
        "provider",
        "model",
        "fallback",
        "parameters",
        "response_format",
        "grammar",
        "constraints",
        "priority",
        "deadline_at",
        "max_attempts",
        "truncate",
        "callback_url",
        "source",
        "metadata",
    }
)


class Work(TypedDict):
    """What there is to work on."""

    text: str | None
    data: object | None
    messages: tuple[TaskMessage, ...]
    files: tuple[TaskFile, ...]


def read_work(body: Fields, metadata: Fields) -> Work:
    """Text, data, messages and files. Raises InvalidField."""
    return {
        "text": read.text(body, "text"),
        "data": body.get("data"),
        "messages": tuple(
            _message(turn, f"messages[{index}]") for index, turn in enumerate(read.sequence(body, "messages"))
        ),
        "files": _files(body, metadata),
    }


def read_metadata(body: Fields) -> Mapping[str, object]:
    """The producer's metadata, an object or a string that holds one, over the fields nobody else knows."""
    unknown = {name: value for name, value in body.items() if name not in KNOWN_FIELDS}
    own = _own_metadata(body.get("metadata"))
    return unknown | own if unknown else own


def read_fallback(body: Fields) -> tuple[TaskChoice, ...] | None:
    """Providers, each by its name or as an object with provider and model. Raises InvalidField."""
    if body.get("fallback") is None:
        return None
    return tuple(
        _choice(item, f"fallback[{index}]") for index, item in enumerate(read.sequence(body, "fallback"))
    )


def read_parameters(body: Fields) -> Mapping[str, object]:
    """Sampling parameters; the five that every vendor has are checked, a vendor's own pass as they are."""
    return _checked(body, "parameters", _PARAMETERS)


def read_constraints(body: Fields) -> Mapping[str, object]:
    """Where the task may run."""
    return _checked(body, "constraints", _CONSTRAINTS)


def read_priority(body: Fields) -> float:
    """A number, or one of three words."""
    value = body.get("priority")
    if not isinstance(value, str):
        return read.number(body, "priority", expected=_PRIORITY) or 0.0
    if value and value not in _PRIORITIES:
        raise wrong("priority", _PRIORITY, value)
    return _PRIORITIES.get(value, 0.0)


def _own_metadata(value: object) -> dict[str, object]:
    expected = "an object, or a string that holds a JSON object"
    if isinstance(value, str) and value.strip():
        try:
            value = loads_text(value)
        except InvalidMessage:
            raise wrong("metadata", expected, value) from None
    if value is None or value == "" or (isinstance(value, str) and not value.strip()):
        return {}
    if not isinstance(value, dict):
        raise wrong("metadata", expected, value)
    return value


def _files(body: Fields, metadata: Fields) -> tuple[TaskFile, ...]:
    path = read.text(body, "storage_path")
    size = read.integer(body, "storage_size", least=0)
    others = [_file(item, f"files[{index}]") for index, item in enumerate(read.sequence(body, "files"))]
    if path is None:
        return tuple(others)
    # metadata is the producer's own: what is of no use there is no error.
    name, filesize = metadata.get("filename"), metadata.get("filesize")
    if size is None and isinstance(filesize, int) and not isinstance(filesize, bool) and filesize >= 0:
        size = filesize
    return (TaskFile(path, name if isinstance(name, str) and name else None, size), *others)


def _file(item: object, field: str) -> TaskFile:
    expected = "a storage path, or an object with a storage_path"
    if isinstance(item, str) and item:
        return TaskFile(item)
    if not isinstance(item, dict):
        raise wrong(field, expected, item)
    paths = [read.text(item, name, f"{field}.") for name in ("storage_path", "path")]
    names = [read.text(item, name, f"{field}.") for name in ("name", "filename")]
    sizes = [read.integer(item, name, f"{field}.", least=0) for name in ("size", "storage_size")]
    path = paths[0] or paths[1]
    if path is None:
        raise wrong(field, expected, item)
    return TaskFile(path, names[0] or names[1], sizes[1] if sizes[0] is None else sizes[0])


def _choice(item: object, field: str) -> TaskChoice:
    if isinstance(item, str) and item:
        return TaskChoice(item)
    provider = read.text(item, "provider", f"{field}.") if isinstance(item, dict) else None
    if not isinstance(item, dict) or provider is None:
        raise wrong(field, "a provider's name, or an object with provider and model", item)
    return TaskChoice(provider, read.text(item, "model", f"{field}."))


def _message(turn: object, field: str) -> TaskMessage:
    if not isinstance(turn, dict):
        raise wrong(field, "an object with role and content", turn)
    role, content = turn.get("role"), turn.get("content")
    if role not in _ROLES:
        raise wrong(f"{field}.role", "system, user or assistant", role)
    if not isinstance(content, str):
        raise wrong(f"{field}.content", "a string", content)
    return TaskMessage(str(role), content)


def _checked(
    body: Fields, field: str, readers: Mapping[str, Callable[[Fields, str, str], object]]
) -> dict[str, object]:
    given = read.mapping(body, field)
    if not given:
        return {}
    return {
        name: readers[name](given, name, f"{field}.") if name in readers else value
        for name, value in given.items()
        if value is not None or name not in readers
    }


def _stop(given: Fields, name: str, path: str) -> tuple[str, ...]:
    value = given.get(name)
    stops = [value] if isinstance(value, str) else value
    if not isinstance(stops, list) or not all(isinstance(stop, str) for stop in stops):
        raise wrong(path + name, "a string or a list of strings", value)
    return tuple(str(stop) for stop in stops)


def _at_least_one(given: Fields, name: str, path: str) -> int | None:
    return read.integer(given, name, path, least=1)


_PARAMETERS: Mapping[str, Callable[[Fields, str, str], object]] = {
    "temperature": read.number,
    "top_p": read.number,
    "max_tokens": _at_least_one,
    "seed": read.integer,
    "stop": _stop,
}
_CONSTRAINTS: Mapping[str, Callable[[Fields, str, str], object]] = {
    "prefer_local": read.boolean,
    "force_cloud": read.boolean,
    "max_latency_ms": read.number,
}
