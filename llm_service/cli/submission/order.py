"""What is asked for in a task, and the message that asks for it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from llm_service.contract.record import Record
from llm_service.contract.status import Status, iso
from llm_service.contract.strict_json import dumps


@dataclass(frozen=True, slots=True)
class StoredFile:
    """A file in the object store."""

    storage_path: str
    name: str
    size: int
    """Bytes."""
    content_type: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskOrder:
    """A task without its files; what is None or empty is not said, and the worker's defaults hold."""

    prompt_id: int | None = None
    prompt: str | None = None
    system_prompt: str | None = None
    text: str | None = None
    provider: str | None = None
    model: str | None = None
    parameters: Mapping[str, object] = field(default_factory=dict)
    schema: Mapping[str, object] | None = None
    priority: float | str | None = None
    deadline_at: datetime | None = None
    metadata: Mapping[str, object] = field(default_factory=dict)

    def record(self, task_id: str, trace_id: str, files: Sequence[StoredFile], now: datetime) -> Record:
        """The message for the tasks topic."""
        headers: list[tuple[str, bytes | None]] = [
            ("status", b"%d" % Status.PENDING),
            ("trace_id", trace_id.encode()),
            ("timestamp", iso(now).encode()),
        ]
        if self.prompt_id is not None:
            headers.append(("prompt_id", b"%d" % self.prompt_id))
        return Record(task_id.encode(), dumps(self._body(files)), tuple(headers))

    def _body(self, files: Sequence[StoredFile]) -> dict[str, object]:
        body: dict[str, object | None] = {
            **_files(files),
            "prompt": self.prompt,
            "system_prompt": self.system_prompt,
            "text": self.text,
            "provider": self.provider,
            "model": self.model,
            "parameters": dict(self.parameters) or None,
            "response_format": self.schema,
            "priority": self.priority,
            "deadline_at": iso(self.deadline_at) if self.deadline_at is not None else None,
        }
        metadata = {**_metadata(files), **self.metadata}
        body["metadata"] = metadata or None
        return {name: value for name, value in body.items() if value is not None}


def _files(files: Sequence[StoredFile]) -> dict[str, object]:
    """One file in the form that every producer of the platform writes, several in ours."""
    if len(files) == 1:
        return {"storage_path": files[0].storage_path, "storage_size": files[0].size}
    if not files:
        return {}
    return {"files": [{"storage_path": f.storage_path, "name": f.name, "size": f.size} for f in files]}


def _metadata(files: Sequence[StoredFile]) -> dict[str, object]:
    if len(files) != 1:
        return {}
    file = files[0]
    return {"filename": file.name, "filesize": file.size, "content_type": file.content_type}
