"""What a stand-in was asked: a line of JSON when a request begins and one when it ends."""

from __future__ import annotations

import json
import os
import time
from dataclasses import dataclass, field
from pathlib import Path

BODY_CHARS = 200_000


@dataclass(frozen=True, slots=True)
class LoggedRequest:
    """One request as the server saw it; times are unix seconds."""

    number: int
    kind: str
    """chat, oauth, upload, delete, models, …"""
    marker: str
    started: float
    active: int
    """Requests of this kind in progress, this one included, when it began."""
    ended: float | None = None
    """None while it is in progress."""
    status: int = 0
    outcome: str = ""
    """answered, refused, broken (by instruction), gone (the client left)."""
    nonce: str = ""
    body: str = ""
    """What was sent, bounded, where the server logs bodies."""
    headers: dict[str, str] = field(default_factory=dict)


class RequestLog:
    """Written by one ``os.write`` a line, about 3 µs, so that a reader sees all that has happened."""

    def __init__(self, path: Path, *, bodies: bool) -> None:
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        self.bodies = bodies
        self._number = 0

    def begin(self, kind: str, marker: str, active: int, body: str, headers: dict[str, str]) -> int:
        self._number += 1
        line: dict[str, object] = {
            "event": "begin",
            "number": self._number,
            "kind": kind,
            "marker": marker,
            "started": time.time(),
            "active": active,
        }
        if self.bodies:
            line |= {"body": body[:BODY_CHARS], "headers": headers}
        self._write(line)
        return self._number

    def end(self, number: int, status: int, outcome: str, nonce: str) -> None:
        self._write(
            {
                "event": "end",
                "number": number,
                "ended": time.time(),
                "status": status,
                "outcome": outcome,
                "nonce": nonce,
            }
        )

    def close(self) -> None:
        os.close(self._file)

    def _write(self, line: dict[str, object]) -> None:
        os.write(self._file, json.dumps(line, ensure_ascii=False).encode() + b"\n")


def read_log(path: Path) -> list[LoggedRequest]:
    """All requests so far, in the order in which they began."""
    begun: dict[int, dict[str, object]] = {}
    for text in path.read_bytes().split(b"\n")[:-1]:
        line = json.loads(text)
        line.pop("event")
        begun.setdefault(line["number"], {}).update(line)
    return [LoggedRequest(**line) for line in begun.values()]  # type: ignore[arg-type]
