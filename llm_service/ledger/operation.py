"""One row of the operation log, and which events become one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from llm_service.events import Event, FileLoaded, TaskReceived, TaskRef, TaskSettled

_SUCCESS = 3


@dataclass(frozen=True, slots=True)
class Operation:
    """A row of ``operation_logs``; its id and created_at are the database's."""

    task_id: str
    trace_id: str
    operation: str
    metadata: Mapping[str, object]
    timestamp: datetime
    """Aware."""


def operation_of(event: Event, worker_id: str, now: datetime) -> Operation | None:
    """The row an event becomes; None for the many that are not logged here."""
    match event:
        case TaskReceived(task=task):
            name, metadata = "task_received", _place(task)
        case FileLoaded(task=task, path=path, size=size):
            name, metadata = "file_loaded", {"path": path, "size": size}
        case TaskSettled(task=task):
            name, metadata = _settled(event)
        case _:
            return None
    return Operation(task.task_id, task.trace_id, name, metadata | {"worker_id": worker_id}, now)


def _place(task: TaskRef) -> dict[str, object]:
    return {"topic": task.topic, "partition": task.partition, "offset": task.offset}


def _settled(event: TaskSettled) -> tuple[str, dict[str, object]]:
    told: dict[str, object] = {
        "provider": event.provider,
        "model": event.model,
        "processing_time_ms": round(event.seconds * 1000),
        "prompt_tokens": event.prompt_tokens,
        "completion_tokens": event.completion_tokens,
    }
    if event.status == _SUCCESS:
        return "llm_processing_success", told
    failed = {"code": event.code, "message": event.message, "dead_letter": event.dead_letter}
    return "llm_processing_failed", failed | told
