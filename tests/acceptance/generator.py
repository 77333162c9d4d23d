"""Tasks of many kinds, each with the outcome it must have, known before it is sent."""

from __future__ import annotations

import json
import random
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from tests.acceptance.stage import Stage
from tests.standins.behaviour import directive


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


@dataclass(slots=True)
class Generator:
    """Makes cases from a seed; puts the files it needs into the bucket."""

    stage: Stage
    seed: int
    slowest_s: float = 0.3
    rng: random.Random = field(init=False)

    def __post_init__(self) -> None:
        self.rng = random.Random(self.seed)

    def cases(self, count: int) -> list[Case]:
        makers = (
            [self.header_form] * 40
            + [self.body_form] * 30
            + [self.with_file] * 8
            + [self.repeated] * 6
            + [self.retried] * 3
            + [self.verdict_error] * 3
            + [self.no_json] * 3
            + [self.missing_file, self.unknown_prompt, self.wrong_type, self.broken_value, self.skipped] * 1
        )
        return [self.rng.choice(makers)() for _ in range(count)]

    def header_form(self) -> Case:
        task_id = self._id()
        return Case(task_id, "header form", (self._message(task_id, {"text": self._text(task_id)}),), "3")

    def body_form(self) -> Case:
        task_id = self._id()
        body = {
            "task_id": task_id,
            "status": self.rng.choice([1, "1", "PENDING"]),
            "text": self._text(task_id),
            "prompt_id": 1,
            "trace_id": self._id(),
            "created_at": "2026-11-20T09:10:00Z",
            "поле": "значение",
        }
        key = task_id.encode() if self.rng.random() < 0.5 else None
        return Case(task_id, "body form", (Message(key, _json(body), ()),), "3")

    def with_file(self) -> Case:
        task_id = self._id()
        path = f"{self.stage.bucket}/{task_id}/Документ {self.rng.randrange(100)}.txt"
        self.stage.put(path, self._text(task_id).encode(), "text/plain")
        metadata: object = {"filename": "Документ.txt"}
        if self.rng.random() < 0.5:
            metadata = json.dumps(metadata, ensure_ascii=False)
        body = {"storage_path": path, "metadata": metadata}
        return Case(task_id, "file", (self._message(task_id, body),), "3")

    def repeated(self) -> Case:
        task_id = self._id()
        message = self._message(task_id, {"text": self._text(task_id)})
        return Case(task_id, "repeated", (message,) * self.rng.choice([2, 3]), "3")

    def retried(self) -> Case:
        task_id = self._id()
        text = self._text(task_id) + directive(status=500, times=2)
        return Case(task_id, "retried", (self._message(task_id, {"text": text}),), "3", calls=3)

    def verdict_error(self) -> Case:
        task_id = self._id()
        answer = {"Статус": "Ошибка", "Причина": f"нет подписи {task_id[:8]}", "nonce": "{nonce}"}
        text = self._text(task_id) + directive(answer=json.dumps(answer, ensure_ascii=False))
        message = self._message(task_id, {"text": text, "response_format": {"type": "object"}}, prompt_id="3")
        return Case(task_id, "verdict", (message,), "4", "verdict_failed", f"нет подписи {task_id[:8]}")

    def no_json(self) -> Case:
        task_id = self._id()
        body = {"text": self._text(task_id), "response_format": {"type": "object", "required": ["a"]}}
        return Case(
            task_id, "no JSON", (self._message(task_id, body),), "4", "answer_not_json", calls=2, letter=True
        )

    def missing_file(self) -> Case:
        task_id = self._id()
        message = self._message(task_id, {"storage_path": f"нет/{task_id}.pdf"})
        return Case(task_id, "missing file", (message,), "4", "file_not_found", task_id, calls=0, letter=True)

    def unknown_prompt(self) -> Case:
        task_id = self._id()
        message = self._message(task_id, {"text": "x"}, prompt_id="4711")
        return Case(
            task_id, "unknown prompt", (message,), "4", "prompt_unknown", "4711", calls=0, letter=True
        )

    def wrong_type(self) -> Case:
        task_id = self._id()
        message = self._message(task_id, {"text": ["no", "text"]})
        return Case(task_id, "wrong type", (message,), "4", "invalid_field", "text", calls=0, letter=True)

    def broken_value(self) -> Case:
        task_id = self._id()
        value = self.rng.choice([b"", b"{", b"\xff\xfe", b"[1]", b'{"a":' * 10_000, b'{"text": NaN}'])
        message = Message(task_id.encode(), value, ((("status"), b"1"),))
        return Case(task_id, "broken value", (message,), "4", "invalid_message", calls=0, letter=True)

    def skipped(self) -> Case:
        task_id = self._id()
        status = self.rng.choice([b"2", b"3", b"4", b"17", b"done"])
        message = Message(
            task_id.encode(), b'{"text": "not a task"}', (("status", status), ("stranger", b"1"))
        )
        return Case(task_id, "no task", (message,), "", calls=0)

    # --- pieces ---------------------------------------------------------------------------------

    def _id(self) -> str:
        return str(uuid.UUID(int=self.rng.getrandbits(128), version=4))

    def _text(self, task_id: str) -> str:
        delay = round(self.rng.uniform(0.0, self.slowest_s), 3)
        return f"[[task:{task_id}]] Договор от 12.05.2026 на сумму 100 рублей. {directive(delay=delay)}"

    def _message(self, task_id: str, body: Mapping[str, object], prompt_id: str = "1") -> Message:
        headers = (
            ("status", b"1"),
            ("trace_id", self._id().encode()),
            ("prompt_id", prompt_id.encode()),
            ("timestamp", b"2026-11-20T09:10:00Z"),
        )
        return Message(task_id.encode(), _json(body), headers)


def all_messages(cases: list[Case], rng: random.Random) -> Iterator[tuple[Case, Message]]:
    """The messages in the order to send them: a repeat comes at once, or some hundred messages later."""
    line: list[tuple[float, Case, Message]] = []
    for place, case in enumerate(cases):
        for number, message in enumerate(case.messages):
            line.append((place + number * rng.choice([0.1, 300.0]), case, message))
    line.sort(key=lambda entry: entry[0])
    return ((case, message) for _, case, message in line)


def _json(body: Mapping[str, object]) -> bytes:
    return json.dumps(body, ensure_ascii=False).encode()
