"""One message of the tasks topic: its headers and its value, each decoded at most once."""

from __future__ import annotations

import hashlib
import re
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from llm_service.contract import fields as read
from llm_service.contract.body import (
    read_constraints,
    read_fallback,
    read_metadata,
    read_parameters,
    read_priority,
    read_work,
)
from llm_service.contract.fields import wrong
from llm_service.contract.record import Headers
from llm_service.contract.status import Status
from llm_service.contract.strict_json import loads
from llm_service.contract.task import Task
from llm_service.errors import IncompleteTask, InvalidField, InvalidMessage

# uuid5(ID_NAMESPACE, "<topic>/<partition>/<offset>") is every id that we must invent: a redelivery gives the
# same, and anybody can compute it, which is why it is a namespace of RFC 9562 and none of our own.
ID_NAMESPACE: Final = uuid.NAMESPACE_URL
# Longer than any id met in the field; it goes into a key, headers, log lines and rows of others.
MAX_ID_CHARS: Final = 255

_UUID = re.compile(
    r"[0-9a-f]{8}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{12}", re.ASCII | re.IGNORECASE
)
_INTEGER = re.compile(r"[+-]?[0-9]{1,18}", re.ASCII)
# https://www.w3.org/TR/trace-context/#tracestate-limits: so many are to be carried on, and more may be dropped.
# Without a bound it would fill every status event of the task.
_MAX_TRACESTATE_CHARS = 512
# https://www.w3.org/TR/trace-context/#traceparent-header: ids of zeros and version ff are invalid: ignored.
_TRACEPARENT = re.compile(r"(?!ff)[0-9a-f]{2}-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}")


@dataclass(frozen=True, slots=True)
class Identity:
    """What names a message and travels with everything said about it."""

    task_id: str
    trace_id: str
    traceparent: str | None
    tracestate: str | None
    known: bool = True
    """Whether the producer named the task; False when ``task_id`` had to be made up here."""


class Envelope:
    """One message whose headers and value are decoded at most once, for who needs both identity and task."""

    __slots__ = ("_body", "_headers", "_identity", "_key", "_place", "_value")

    def __init__(
        self,
        key: bytes | None,
        value: bytes | None,
        headers: Headers,
        topic: str,
        partition: int,
        offset: int,
    ) -> None:
        self._key = key
        self._value = value
        self._headers = dict(headers)  # keeps the last of a repeated name
        self._place = (topic, partition, offset)
        self._body: Mapping[str, object] | InvalidMessage | None = None
        self._identity: Identity | None = None

    def identity(self) -> Identity:
        """Who this is; never raises.

        The task id is the first there is of: the key if it is a UUID's text; the body's task_id; the ce_id
        header; the key if it is printable text at all; uuid5 of topic/partition/offset. A key that is no UUID
        comes so late because it may be a partitioning key that many tasks share, and one id for many tasks
        would make them repeats of one another.
        """
        if self._identity is None:
            traceparent = self._header("traceparent")
            if traceparent is not None and not _TRACEPARENT.fullmatch(traceparent):
                traceparent = None
            tracestate = self._header("tracestate") if traceparent else None
            if tracestate is not None and len(tracestate) > _MAX_TRACESTATE_CHARS:
                tracestate = None
            named = self._task_id()
            task_id = named or self._invented()
            self._identity = Identity(task_id, self._trace_id(), traceparent, tracestate, named is not None)
        return self._identity

    def task(self) -> Task | None:
        """What is asked for; None when the status, in header or body, is another than PENDING.

        Raises InvalidMessage (no JSON object), InvalidField (a known field has the wrong type) or
        IncompleteTask (nothing to work on). Whether there is a prompt is for the one who knows the catalogue.
        """
        if self.status() is not Status.PENDING:
            return None
        return self._read(self._object())

    def status(self) -> Status | None:
        """What header or, without one, body names; PENDING where neither does, None for a word that is no status.

        Raises InvalidMessage and InvalidField, where it has to be looked for in a body that can't be read.
        """
        header = self._header("status")
        return Status.of(header) if header is not None else _status(self._object())

    def _read(self, body: Mapping[str, object]) -> Task:
        identity = self.identity()
        metadata = read_metadata(body)
        work = read_work(body, metadata)
        read.text(body, "task_id")  # its use was settled with the identity; here it is only refused
        task = Task(
            task_id=identity.task_id,
            trace_id=identity.trace_id,
            prompt_id=self._prompt_id(body),
            prompt=read.text(body, "prompt"),
            system_prompt=read.text(body, "system_prompt"),
            messages=work["messages"],
            task_type=read.text(body, "task_type"),
            data=work["data"],
            text=work["text"],
            files=work["files"],
            provider=read.text(body, "provider"),
            model=read.text(body, "model"),
            fallback=read_fallback(body),
            parameters=read_parameters(body),
            response_format=read.mapping(body, "response_format"),
            grammar=read.text(body, "grammar"),
            constraints=read_constraints(body),
            priority=read_priority(body),
            deadline_at=read.instant(body, "deadline_at"),
            max_attempts=read.integer(body, "max_attempts", least=1),
            truncate=bool(read.boolean(body, "truncate")),
            callback_url=read.text(body, "callback_url"),
            source=read.text(body, "source") or self._header("ce_source"),
            metadata=metadata,
            traceparent=identity.traceparent,
            tracestate=identity.tracestate,
            body_digest=self.digest(),
        )
        if not (task.files or task.text or task.messages or task.data is not None):
            raise IncompleteTask(
                "The task has nothing to work on: send storage_path, files, text, data or messages."
            )
        return task

    def _header(self, name: str) -> str | None:
        value = self._headers.get(name)
        return header_text(value) if value else None

    def _object(self) -> Mapping[str, object]:
        if self._body is None:
            self._body = _decode(self._value)
        if isinstance(self._body, InvalidMessage):
            # A new one each time: one object raised twice grows a traceback that keeps its frames alive.
            raise InvalidMessage(self._body.message)
        return self._body

    def _task_id(self) -> str | None:
        key = header_text(self._key) if self._key else None
        if key is not None and _UUID.fullmatch(key):
            return key
        for name in (self._hint("task_id"), self._header("ce_id"), key):
            if isinstance(name, str) and 0 < len(name) <= MAX_ID_CHARS and name.isprintable():
                return name
        return None

    def _trace_id(self) -> str:
        header = self._header("trace_id")
        if header is not None and _UUID.fullmatch(header):
            return header
        body = self._hint("trace_id")
        return body if isinstance(body, str) and _UUID.fullmatch(body) else self._invented()

    def _hint(self, name: str) -> object:
        try:
            return self._object().get(name)
        except InvalidMessage:
            return None

    def _invented(self) -> str:
        topic, partition, offset = self._place
        return str(uuid.uuid5(ID_NAMESPACE, f"{topic}/{partition}/{offset}"))

    def _prompt_id(self, body: Mapping[str, object]) -> int | None:
        header = self._header("prompt_id")
        if header is None:
            return read.integer(body, "prompt_id")
        if not _INTEGER.fullmatch(header):
            raise InvalidField("Header 'prompt_id' must be an integer; it came as other text.")
        return int(header)

    def digest(self) -> str:
        """SHA-256 over value and prompt_id header: tells a repeat from another body under the same id."""
        digest = hashlib.sha256(self._headers.get("prompt_id") or b"")
        digest.update(b"\0")
        digest.update(self._value or b"")
        return digest.hexdigest()


def _decode(value: bytes | None) -> Mapping[str, object] | InvalidMessage:
    if not value:
        return InvalidMessage("The value is empty: a task is a JSON object.")
    try:
        body = loads(value)
    except InvalidMessage as error:
        return error
    return (
        body
        if isinstance(body, dict)
        else InvalidMessage("The value is JSON, but no object: a task is a JSON object.")
    )


def _status(body: Mapping[str, object]) -> Status | None:
    status = body.get("status")
    if status is None or status == "":
        return Status.PENDING
    if isinstance(status, bool) or not isinstance(status, int | float | str):
        raise wrong("status", "a number, its text or its name", status)
    return Status.of(status)


def header_text(raw: bytes) -> str | None:
    """The text of a header or key; None when it is no UTF-8 or nothing but spaces."""
    try:
        return raw.decode("utf-8").strip() or None
    except UnicodeDecodeError:
        return None
