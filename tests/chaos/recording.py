"""What a run leaves behind for the checker: a folder of JSON lines.

``run.json``      the plan, names, limits, secrets to look for, begin and end
``sent.jsonl``    each message that Kafka acknowledged, with what must become of it
``faults.jsonl``  each fault that was done: from when to when, to whom
``lives.jsonl``   each process of a worker: begin, end, exit code, signals that it was sent
``offsets.jsonl`` samples of the group's committed offsets; a line holds what has changed
``topic-*.jsonl`` the topics of statuses, dead letters and retries as they lie in the broker
``tables.json``   PostgreSQL's tables
``resources.jsonl``, ``metrics.jsonl``, ``ends.json``, ``logs/``
``gigachat.jsonl``, ``ollama.jsonl``: written by the stand-ins
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

Headers = tuple[tuple[str, bytes], ...]


@dataclass(frozen=True, slots=True)
class Sent:
    """A message that was acknowledged."""

    partition: int
    offset: int
    at: float
    """Seconds since the epoch, when the acknowledgement had come."""
    key: bytes | None
    value: bytes
    headers: Headers
    task_id: str
    kind: str
    status: str
    """Of the terminal event that it must have; empty when there must be none."""
    code: str
    says: str
    calls: int
    """Calls of the provider that one run may make where nothing fails."""
    letter: bool

    def plain(self) -> dict[str, Any]:
        more = {"key": _text(self.key), "value": _text(self.value), "headers": _plain_headers(self.headers)}
        return {**asdict(self), **more}

    @staticmethod
    def of(line: Mapping[str, Any]) -> Sent:
        raw = {"value": _bytes(line["value"]) or b"", "key": _bytes(line["key"])}
        return Sent(**{**line, **raw, "headers": _headers(line["headers"])})


@dataclass(frozen=True, slots=True)
class Lying:
    """A record of a topic as it lies in the broker."""

    partition: int
    offset: int
    at: float
    """Seconds since the epoch, when the broker appended it."""
    key: bytes | None
    value: bytes
    headers: Headers
    committed: bool
    """Whether a ``read_committed`` reader sees it."""

    def header(self, name: str) -> str:
        """The last of that name, or nothing."""
        found = [value for key, value in self.headers if key == name]
        return found[-1].decode("utf-8", "replace") if found else ""

    @property
    def task_id(self) -> str:
        return (self.key or b"").decode("utf-8", "replace")

    @property
    def is_ours(self) -> bool:
        """Whether the service wrote it, and not a stranger."""
        return bool(self.header("event_id"))

    @property
    def is_terminal(self) -> bool:
        return self.header("status") in {"3", "4"} and self.is_ours

    def plain(self) -> dict[str, Any]:
        more = {"key": _text(self.key), "value": _text(self.value), "headers": _plain_headers(self.headers)}
        return {**asdict(self), **more}

    @staticmethod
    def of(line: Mapping[str, Any]) -> Lying:
        raw = {"value": _bytes(line["value"]) or b"", "key": _bytes(line["key"])}
        return Lying(**{**line, **raw, "headers": _headers(line["headers"])})


@dataclass(frozen=True, slots=True)
class Fault:
    """A fault that was done."""

    fault: str
    what: str
    at: float
    healed_at: float
    worker: str = ""
    """The ``worker_id`` of the process that it hit; empty where it hit none or all."""
    back: str = ""
    """After a kill: ``same`` where the instance came back at once, ``other`` where it stayed away."""


@dataclass(slots=True)
class Life:
    """One process of a worker."""

    worker: str
    """Its ``worker_id``, which no other process has."""
    slot: str
    began: float
    ended: float = 0.0
    code: int | None = None
    signals: list[tuple[float, str]] = field(default_factory=list)
    """When it was sent which."""


@dataclass(frozen=True, slots=True)
class Offsets:
    """What had changed of the committed offsets when this answer had come."""

    at: float
    committed: dict[int, tuple[int, str]]


class Lines:
    """Appends JSON lines to a file, each by itself so that a crash leaves whole ones."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("a", encoding="utf-8", buffering=1)

    def write(self, line: Mapping[str, Any]) -> None:
        self._file.write(json.dumps(line, ensure_ascii=False) + "\n")

    def close(self) -> None:
        self._file.close()


def read_lines(path: Path) -> Iterator[dict[str, Any]]:
    """Nothing where there is no such file."""
    if path.exists():
        with path.open(encoding="utf-8") as lines:
            for line in lines:
                yield json.loads(line)


def write_lines(path: Path, lines: Iterable[Mapping[str, Any]]) -> None:
    """What JSON does not know, such as a row's time, becomes its text."""
    with path.open("w", encoding="utf-8") as out:
        for line in lines:
            out.write(json.dumps(line, ensure_ascii=False, default=str) + "\n")


def read_offsets(path: Path) -> Iterator[Offsets]:
    for line in read_lines(path):
        committed = {int(number): (found[0], found[1]) for number, found in line["committed"].items()}
        yield Offsets(line["at"], committed)


def _text(raw: bytes | None) -> str | None:
    return None if raw is None else base64.b64encode(raw).decode("ascii")


def _bytes(text: str | None) -> bytes | None:
    return None if text is None else base64.b64decode(text)


def _plain_headers(headers: Headers) -> list[list[str | None]]:
    return [[name, _text(value)] for name, value in headers]


def _headers(lines: list[list[str]]) -> Headers:
    return tuple((name, _bytes(value) or b"") for name, value in lines)
