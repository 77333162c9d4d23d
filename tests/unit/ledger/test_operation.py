"""Which events become rows, and what the rows say."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from llm_service.events import (
    ConnectionChanged,
    Event,
    FileLoaded,
    MessageSkipped,
    TaskReceived,
    TaskRef,
    TaskReleased,
    TaskSettled,
)
from llm_service.ledger.operation import operation_of

TASK = TaskRef(
    "7b0e2c9e-3f4b-4c7e-8a7b-2f4f5f0c9d11", "5c1d6f0e-6a0c-4a53-9a34-6c6c4ad9a7ce", "tasks_llm", 4, 1017
)
NOW = datetime(2026, 11, 20, 9, 10, tzinfo=UTC)
WORKER = {"worker_id": "LLM_worker_1"}
TOLD = {
    "provider": "ollama",
    "model": "tiny",
    "processing_time_ms": 1500,
    "prompt_tokens": 10,
    "completion_tokens": None,
}


def settled(status: int, code: str = "success", message: str = "") -> TaskSettled:
    return TaskSettled(TASK, status, code, message, "ollama", "tiny", 1.5, 10, None, dead_letter=False)


@pytest.mark.parametrize(
    ("event", "operation", "metadata"),
    [
        (TaskReceived(TASK), "task_received", {"topic": "tasks_llm", "partition": 4, "offset": 1017}),
        (
            FileLoaded(TASK, "documents/договор.pdf", 5),
            "file_loaded",
            {"path": "documents/договор.pdf", "size": 5},
        ),
        (settled(3), "llm_processing_success", TOLD),
        (
            settled(4, "file_empty", "0 bytes"),
            "llm_processing_failed",
            {"code": "file_empty", "message": "0 bytes", "dead_letter": False, **TOLD},
        ),
    ],
)
def test_rows(event: Event, operation: str, metadata: dict[str, object]) -> None:
    row = operation_of(event, "LLM_worker_1", NOW)
    assert row is not None
    assert (row.task_id, row.trace_id, row.timestamp) == (TASK.task_id, TASK.trace_id, NOW)
    assert (row.operation, row.metadata) == (operation, metadata | WORKER)


@pytest.mark.parametrize(
    "event",
    [
        MessageSkipped("t", 0, 0),
        TaskReleased(TASK, "revoked"),
        ConnectionChanged("kafka", up=True, reason=""),
    ],
)
def test_other_events_are_not_logged(event: Event) -> None:
    assert operation_of(event, "LLM_worker_1", NOW) is None
