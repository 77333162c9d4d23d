"""A producer of tasks: the file into the object store, then the message."""

from __future__ import annotations

import asyncio
import io
import re
import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import BinaryIO, cast

from llm_service.cli.submission.order import StoredFile, TaskOrder
from llm_service.cli.submission.source import SourceFile, shown_path
from llm_service.errors import FileError, FileIncomplete
from llm_service.files.store import ObjectStore
from llm_service.kafka.publisher import Publisher
from llm_service.resilience.clock import Clock

Read = Callable[[int], None]
"""Told how many bytes more have been read from a file."""

# What file systems and MinIO take as one part of a key.
_MAX_NAME_BYTES = 255
_UNSAFE = re.compile(r"[/\\]")


@dataclass(frozen=True, slots=True)
class Sent:
    """A task that the brokers have acknowledged."""

    task_id: str
    trace_id: str
    files: tuple[StoredFile, ...]


class Sender:
    """Sends tasks of one topic, with files in one bucket."""

    def __init__(
        self,
        publisher: Publisher,
        topic: str,
        store: ObjectStore | None,
        bucket: str,
        new_id: Callable[[], str],
        clock: Clock,
    ) -> None:
        self._publisher = publisher
        self._topic = topic
        self._store = store
        self._bucket = bucket
        self._new_id = new_id
        self._clock = clock

    async def upload(self, source: SourceFile, on_read: Read = lambda _: None) -> StoredFile:
        """Put a file where producers put it: under ``<bucket>/<uuid>/<filename>`` as the key inside of the bucket.

        ``on_read`` is called in another thread. Raises FileError.
        """
        stored = stored_file(source, self._bucket, self._new_id())
        await asyncio.to_thread(self._upload, source, stored, on_read)
        return stored

    async def send(self, order: TaskOrder, files: Sequence[StoredFile], task_id: str | None = None) -> Sent:
        """Return when the brokers have acknowledged the task.

        Raises MessageTooLarge, TopicNotWritable, and PublishFailed, after which the task may or may not be there.
        """
        sent = Sent(task_id or self._new_id(), self._new_id(), tuple(files))
        record = order.record(sent.task_id, sent.trace_id, files, self._clock.now())
        await self._publisher.publish(self._topic, record)
        return sent

    def _upload(self, source: SourceFile, stored: StoredFile, on_read: Read) -> None:
        if self._store is None:
            raise FileError(
                "there is no object store to put a file into: set MINIO_ENDPOINT or STORAGE_FOLDER"
            )
        try:
            file = source.path.open("rb")
        except OSError as error:
            raise FileError(f"{shown_path(source.path)} can't be read: {error.strerror}") from error
        with file:
            counted = cast("BinaryIO", _Counted(file, source, on_read))
            self._store.upload(self._bucket, stored.storage_path, counted, source.size, source.content_type)


class _Counted(io.RawIOBase):
    """A file that must be as long as it was, and tells how far it has been read."""

    def __init__(self, file: BinaryIO, source: SourceFile, on_read: Read) -> None:
        self._file = file
        self._source = source
        self._on_read = on_read
        self._left = source.size

    def read(self, size: int = -1) -> bytes:
        """Raises FileError, so that a fault of this machine is not taken for one of the store."""
        try:
            piece = self._file.read(self._left if size < 0 else min(size, self._left))
        except OSError as error:
            raise FileError(f"{shown_path(self._source.path)} can't be read: {error.strerror}") from error
        if not piece and self._left and size != 0:
            raise FileIncomplete(f"{shown_path(self._source.path)} became shorter while it was being sent")
        self._left -= len(piece)
        self._on_read(len(piece))
        return piece


def stored_file(source: SourceFile, bucket: str, unique: str) -> StoredFile:
    """Where a file goes; its name in the key is made one that every store and the worker take."""
    return StoredFile(
        f"{bucket}/{unique}/{_key_name(source.name)}", source.name, source.size, source.content_type
    )


def _key_name(name: str) -> str:
    """The name without what keys must not hold; its end is kept, because it holds the extension."""
    plain = "".join("_" if unicodedata.category(char) == "Cc" else char for char in name)
    plain = _UNSAFE.sub("_", plain).strip()
    while len(plain.encode()) > _MAX_NAME_BYTES:
        plain = plain[1:]
    # What another system folds into a path ('．．', '／') the worker refuses.
    folded = _UNSAFE.sub("/", unicodedata.normalize("NFKC", plain)).split("/")
    return plain if folded == [folded[0]] and folded[0] not in {"", ".", ".."} else "file"
