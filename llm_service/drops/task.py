"""The task that a dropped file becomes: the same drop gives the same bytes."""

from __future__ import annotations

import uuid

from llm_service.contract.envelope import ID_NAMESPACE
from llm_service.contract.message import parse_task
from llm_service.contract.notification import Drop
from llm_service.contract.record import Record
from llm_service.contract.status import Status
from llm_service.contract.strict_json import dumps
from llm_service.contract.task import Task
from llm_service.drops.rule import Rule
from llm_service.files.paths import file_name


def drop_id(drop: Drop, place: str) -> str:
    """The task's id: the same for each telling of one drop, another for the next drop of the same file.

    ``place`` is of use where the store gives neither sequencer nor ETag: where the notification lies, as for every
    message without a key.
    """
    time = drop.sequencer or drop.etag or place
    return str(uuid.uuid5(ID_NAMESPACE, f"{drop.bucket}/{drop.key}/{time}"))


def task_record(drop: Drop, rule: Rule, place: str) -> Record:
    """The message for the tasks topic.

    The path names its bucket outright (``s3://``), since ``<bucket>/<key>`` may be another object's key.
    """
    task_id = drop_id(drop, place)
    own = rule.task.get("metadata")
    metadata = {
        "filename": file_name(drop.key, None),
        "filesize": drop.size,
        "content_type": drop.content_type,
    }
    body: dict[str, object] = {
        "storage_path": f"s3://{drop.bucket}/{drop.key}",
        "source": f"drop/{rule.name}",
        **rule.task,
        "metadata": {name: value for name, value in metadata.items() if value is not None}
        | (own if isinstance(own, dict) else {}),
    }
    # The trace of a drop begins here, so it has the task's id; a made-up one would differ at the next telling.
    headers = (("status", str(Status.PENDING.value).encode()), ("trace_id", task_id.encode()))
    return Record(task_id.encode(), dumps(body), headers)


def task_of(record: Record) -> Task:
    """The task as a worker reads it. Raises InvalidMessage."""
    task = parse_task(record.key, record.value, record.headers, "", 0, 0)
    if task is None:
        raise AssertionError("a record of ours is a task")
    return task
