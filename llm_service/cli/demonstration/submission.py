"""Tasks as a producer sends them: the file into the object store, then a message that names it."""

from __future__ import annotations

import asyncio
import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from confluent_kafka import KafkaError, Message, Producer

from llm_service.cli.demonstration.documents import DemoDocument
from llm_service.errors import PublishFailed

_ACKNOWLEDGED_S = 10.0


@dataclass(frozen=True, slots=True)
class Store:
    """The folder of a bucket, and the bucket's name."""

    folder: Path
    bucket: str

    def upload(self, document: DemoDocument, unique: str) -> str:
        """Put the file where producers put it, and return its storage path: ``<bucket>/<uuid>/<filename>``.

        Producers use that whole string as the key inside of the bucket. Blocks. Raises OSError.
        """
        key = f"{self.bucket}/{unique}/{document.name}"
        target = self.folder / key
        target.parent.mkdir(parents=True)
        shutil.copyfile(document.path, target)
        return key


class Submitter:
    """A producer of tasks."""

    def __init__(self, bootstrap: str, topic: str, store: Store, new_id: Callable[[], str]) -> None:
        self._topic = topic
        self._store = store
        self._new_id = new_id
        self._producer = Producer(
            {"bootstrap.servers": bootstrap, "enable.idempotence": True, "log_level": 0, "linger.ms": 0}
        )

    async def upload(self, document: DemoDocument) -> str:
        """The storage path of the uploaded file. Raises OSError."""
        return await asyncio.to_thread(self._store.upload, document, self._new_id())

    async def send(self, document: DemoDocument, storage_path: str, deadline_at: datetime) -> str:
        """The id of the task, once the broker has acknowledged it. Raises PublishFailed."""
        task_id = self._new_id()
        await asyncio.to_thread(self._produce, task_id, document, storage_path, deadline_at)
        return task_id

    def _produce(
        self, task_id: str, document: DemoDocument, storage_path: str, deadline_at: datetime
    ) -> None:
        refused: list[str] = []

        def on_delivery(error: KafkaError | None, _: Message) -> None:
            if error is not None:
                refused.append(error.str())

        self._producer.produce(
            self._topic,
            _body(document, storage_path, deadline_at),
            key=task_id,
            headers={"status": "1", "trace_id": self._new_id(), "prompt_id": str(document.prompt_id)},
            on_delivery=on_delivery,
        )
        if self._producer.flush(_ACKNOWLEDGED_S):
            refused.append(f"no answer in {_ACKNOWLEDGED_S:.0f} s")
        if refused:
            raise PublishFailed(f"the embedded broker did not take a task: {refused[0]}")


def _body(document: DemoDocument, storage_path: str, deadline_at: datetime) -> bytes:
    body = {
        "storage_path": storage_path,
        "storage_size": document.size,
        "metadata": {
            "filename": document.name,
            "filesize": document.size,
            "content_type": document.content_type,
        },
        "deadline_at": deadline_at.isoformat(),
    }
    return json.dumps(body, ensure_ascii=False).encode()
