"""The bytes of a submitted task, and what a worker's own reading makes of them."""

from __future__ import annotations

import json
import uuid
from datetime import UTC, datetime

from llm_service.cli.submission.order import StoredFile, TaskOrder
from llm_service.contract.message import parse_task
from llm_service.contract.record import Record
from llm_service.contract.task import TaskFile

TASK, TRACE = str(uuid.UUID(int=1)), str(uuid.UUID(int=2))
NOW = datetime(2026, 11, 20, 9, 10, tzinfo=UTC)
LETTER = StoredFile("documents/u/письмо.pdf", "письмо.pdf", 7, "application/pdf")
ACT = StoredFile("documents/v/act.docx", "act.docx", 8, "application/octet-stream")


def _record(order: TaskOrder, *files: StoredFile) -> Record:
    return order.record(TASK, TRACE, files, NOW)


def test_a_file_is_sent_in_the_form_every_producer_writes() -> None:
    record = _record(TaskOrder(prompt_id=3), LETTER)
    assert record.key == TASK.encode()
    assert dict(record.headers) == {
        "status": b"1",
        "trace_id": TRACE.encode(),
        "timestamp": b"2026-11-20T09:10:00.000+00:00",
        "prompt_id": b"3",
    }
    assert json.loads(record.value or b"") == {
        "storage_path": "documents/u/письмо.pdf",
        "storage_size": 7,
        "metadata": {"filename": "письмо.pdf", "filesize": 7, "content_type": "application/pdf"},
    }
    assert "письмо" in (record.value or b"").decode()


def test_a_worker_reads_all_that_was_asked_for() -> None:
    order = TaskOrder(
        prompt="What differs?",
        system_prompt="Be brief.",
        text="Beside the files.",
        provider="gigachat",
        model="GigaChat-Max",
        parameters={"temperature": 0.5, "stop": ["END"], "own": {"a": 1}},
        schema={"type": "object"},
        priority="high",
        deadline_at=NOW,
        metadata={"who": "me"},
    )
    record = _record(order, LETTER, ACT)
    assert "prompt_id" not in dict(record.headers)
    task = parse_task(record.key, record.value, record.headers, "tasks", 0, 0)
    assert task is not None
    assert (task.task_id, task.trace_id, task.prompt_id) == (TASK, TRACE, None)
    assert task.files == (
        TaskFile(LETTER.storage_path, "письмо.pdf", 7),
        TaskFile(ACT.storage_path, "act.docx", 8),
    )
    assert (task.prompt, task.system_prompt, task.text) == ("What differs?", "Be brief.", "Beside the files.")
    assert (task.provider, task.model) == ("gigachat", "GigaChat-Max")
    assert task.parameters == {"temperature": 0.5, "stop": ("END",), "own": {"a": 1}}
    assert (task.response_format, task.priority, task.deadline_at) == ({"type": "object"}, 1.0, NOW)
    assert task.metadata == {"who": "me"}


def test_what_is_not_asked_for_is_not_said() -> None:
    record = _record(TaskOrder(text="Only this."))
    assert record.value == b'{"text":"Only this."}'
