"""Tasks of many kinds, each with the outcome it must have, known before it is sent."""

from __future__ import annotations

import json
import random
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from tests.standins.behaviour import directive

KILLS = "kills its worker"
"""The kind of a message that no worker survives."""


@dataclass(frozen=True, slots=True)
class Message:
    """One message to produce."""

    key: bytes | None
    value: bytes
    headers: tuple[tuple[str, bytes], ...]


@dataclass(frozen=True, slots=True)
class Case:
    """A task as it is sent, and what must become of it."""

    task_id: str
    kind: str
    messages: tuple[Message, ...]
    """More than one: the producer repeats itself."""
    status: str
    """Of its terminal event; empty when there must be none."""
    code: str = ""
    """The error's code when it must fail."""
    says: str = ""
    """Part of the error's message."""
    calls: int = 1
    """Calls of the provider that one run may make."""
    letter: bool = False
    file: tuple[str, bytes] | None = None
    """Key and content of the object that must be there before it is sent."""


@dataclass(frozen=True, slots=True)
class Load:
    """What the tasks are like."""

    bucket: str
    canary: str
    """A word in every prompt that must not be found where prompts do not belong."""
    slowest_s: float
    longest_s: float = 0.0
    """Where above 0, some tasks take so long: longer than ``max.poll.interval.ms``."""
    crashing: bool = False
    """Whether some messages go for the parser."""
    ollama: bool = False


class Generator:
    """Makes cases from a seed."""

    def __init__(self, load: Load, rng: random.Random) -> None:
        self._load = load
        self._rng = rng
        shares: list[tuple[Callable[[], Case], int]] = [
            (self._header_form, 400),
            (self._body_form, 300),
            (self._with_file, 80),
            (self._repeated, 60),
            (self._retried, 30),
            (self._verdict_error, 30),
            (self._no_json, 30),
            (self._missing_file, 10),
            (self._unknown_prompt, 10),
            (self._wrong_type, 10),
            (self._broken_value, 10),
            (self._skipped, 10),
            (self._by_ollama, 60 if load.ollama else 0),
            (self._long, 1 if load.longest_s else 0),
            (self._crashing, 10 if load.crashing else 0),
        ]
        self._makers = [maker for maker, _ in shares]
        self._weights = [weight for _, weight in shares]

    def case(self) -> Case:
        return self._rng.choices(self._makers, self._weights)[0]()

    def _header_form(self) -> Case:
        task_id = self._id()
        return Case(task_id, "header form", (self._message(task_id, {"text": self._text(task_id)}),), "3")

    def _body_form(self) -> Case:
        task_id = self._id()
        body = {
            "task_id": task_id,
            "status": self._rng.choice([1, "1", "PENDING"]),
            "text": self._text(task_id),
            "prompt_id": 1,
            "trace_id": self._id(),
            "created_at": "2026-11-20T09:10:00Z",
            "поле": "значение",
        }
        key = task_id.encode() if self._rng.random() < 0.5 else None
        return Case(task_id, "body form", (Message(key, _json(body), ()),), "3")

    def _with_file(self) -> Case:
        task_id = self._id()
        path = f"{self._load.bucket}/{task_id}/Документ {self._rng.randrange(100)}.txt"
        metadata: object = {"filename": "Документ.txt"}
        if self._rng.random() < 0.5:
            metadata = json.dumps(metadata, ensure_ascii=False)
        message = self._message(task_id, {"storage_path": path, "metadata": metadata})
        return Case(task_id, "file", (message,), "3", file=(path, self._text(task_id).encode()))

    def _repeated(self) -> Case:
        task_id = self._id()
        message = self._message(task_id, {"text": self._text(task_id)})
        return Case(task_id, "repeated", (message,) * self._rng.choice([2, 3]), "3")

    def _retried(self) -> Case:
        task_id = self._id()
        text = self._text(task_id) + directive(status=500, times=2)
        return Case(task_id, "retried", (self._message(task_id, {"text": text}),), "3", calls=3)

    def _by_ollama(self) -> Case:
        task_id = self._id()
        body = {"text": self._text(task_id), "provider": "ollama"}
        return Case(task_id, "by Ollama", (self._message(task_id, body),), "3")

    def _long(self) -> Case:
        task_id = self._id()
        gap = self._load.longest_s / 6
        text = self._text(task_id) + directive(chunks=6, gap=round(gap, 2))
        return Case(task_id, "long", (self._message(task_id, {"text": text}),), "3")

    def killing(self) -> Case:
        """One whose worker is killed whenever it is at work on it: its answer takes longer than that needs."""
        task_id = self._id()
        text = self._text(task_id) + directive(chunks=60, gap=1)
        message = self._message(task_id, {"text": text})
        return Case(task_id, KILLS, (message,), "4", "poison", letter=True)

    def large(self) -> Case:
        """As large as a message may be by default: a worker needs some megabytes more to read it and to ask."""
        task_id = self._id()
        text = self._text(task_id) + " " + "предмет договора; " * 10_000
        return Case(task_id, "large", (self._message(task_id, {"text": text}),), "3")

    def _verdict_error(self) -> Case:
        task_id = self._id()
        answer = {"Статус": "Ошибка", "Причина": f"нет подписи {task_id[:8]}", "nonce": "{nonce}"}
        text = self._text(task_id) + directive(answer=json.dumps(answer, ensure_ascii=False))
        message = self._message(task_id, {"text": text, "response_format": {"type": "object"}}, prompt_id="3")
        return Case(task_id, "verdict", (message,), "4", "verdict_failed", f"нет подписи {task_id[:8]}")

    def _no_json(self) -> Case:
        task_id = self._id()
        body = {"text": self._text(task_id), "response_format": {"type": "object", "required": ["a"]}}
        message = self._message(task_id, body)
        return Case(task_id, "no JSON", (message,), "4", "answer_not_json", calls=2, letter=True)

    def _missing_file(self) -> Case:
        task_id = self._id()
        message = self._message(task_id, {"storage_path": f"нет/{task_id}.pdf"})
        return Case(task_id, "missing file", (message,), "4", "file_not_found", task_id, calls=0, letter=True)

    def _unknown_prompt(self) -> Case:
        task_id = self._id()
        message = self._message(task_id, {"text": "x"}, prompt_id="4711")
        return Case(
            task_id, "unknown prompt", (message,), "4", "prompt_unknown", "4711", calls=0, letter=True
        )

    def _wrong_type(self) -> Case:
        task_id = self._id()
        message = self._message(task_id, {"text": ["no", "text"]})
        return Case(task_id, "wrong type", (message,), "4", "invalid_field", "text", calls=0, letter=True)

    def _broken_value(self) -> Case:
        return self._broken("broken value", [b"", b"{", b"\xff\xfe", b"[1]", b'{"text": NaN}'])

    def _crashing(self) -> Case:
        """What brings naive parsers down: depth, a number of many digits, halves of a pair, a byte order mark."""
        worst = [
            b'{"a":' * 10_000,
            b"[" * 100_000,
            b'{"text": ' + b"9" * 10_000 + b"}",
            b"\xef\xbb\xbf{",
            b'{"text": "a", "text": 7, "text"}',
        ]
        return self._broken("crashes the parser", worst)

    def _broken(self, kind: str, values: list[bytes]) -> Case:
        task_id = self._id()
        message = Message(task_id.encode(), self._rng.choice(values), (("status", b"1"),))
        return Case(task_id, kind, (message,), "4", "invalid_message", calls=0, letter=True)

    def _skipped(self) -> Case:
        task_id = self._id()
        status = self._rng.choice([b"2", b"3", b"4", b"17", b"done"])
        headers = (("status", status), ("stranger", b"1"))
        message = Message(task_id.encode(), b'{"text": "not a task"}', headers)
        return Case(task_id, "no task", (message,), "", calls=0)

    # --- pieces ---------------------------------------------------------------------------------

    def _id(self) -> str:
        return str(uuid.UUID(int=self._rng.getrandbits(128), version=4))

    def _text(self, task_id: str) -> str:
        delay = round(self._rng.uniform(0.0, self._load.slowest_s), 3)
        words = f"Договор от 12.05.2026 на сумму 100 рублей. {self._load.canary}"
        return f"[[task:{task_id}]] {words} {directive(delay=delay)}"

    def _message(self, task_id: str, body: Mapping[str, object], prompt_id: str = "1") -> Message:
        headers = (
            ("status", b"1"),
            ("trace_id", self._id().encode()),
            ("prompt_id", prompt_id.encode()),
            ("timestamp", b"2026-11-20T09:10:00Z"),
        )
        return Message(task_id.encode(), _json(body), headers)


def _json(body: Mapping[str, object]) -> bytes:
    return json.dumps(body, ensure_ascii=False).encode()
