"""From the storage path of a task to a whole, checked file on this machine."""

from __future__ import annotations

import asyncio
import os
import tempfile
import threading
from collections.abc import AsyncIterator
from concurrent.futures import Executor, Future
from contextlib import asynccontextmanager
from dataclasses import dataclass
from io import FileIO
from pathlib import Path

from llm_service.errors import (
    FileAccessDenied,
    FileEmpty,
    FileError,
    FileIncomplete,
    FileNotFound,
    FileTooLarge,
    StoreUnavailable,
)
from llm_service.files.content_type import detect
from llm_service.files.paths import Buckets, Place, candidates, file_name
from llm_service.files.store import LocalFile, ObjectInfo, ObjectStore
from llm_service.files.work_folder import WorkFolder, work_folder_errors
from llm_service.resilience.clock import Clock, SystemClock


@dataclass(frozen=True, slots=True)
class FetchPolicy:
    """What may be fetched, and at what cost."""

    default_bucket: str
    allowed_buckets: frozenset[str] = frozenset()
    max_bytes: int = 40 * 1024 * 1024
    """GigaChat takes text documents up to 40 MB."""
    total_timeout_s: float = 120.0
    """From the first request to the last byte of one file, whatever the connection's own limits let pass."""


class Fetcher:
    """Downloads objects in the threads of ``executor`` into this process's own folder inside ``folder``.

    Nothing is retried here: errors with ``retryable`` (FileIncomplete, StoreUnavailable,
    WorkFolderUnavailable) are the caller's to retry, within the deadline that it knows.
    """

    def __init__(
        self,
        store: ObjectStore,
        policy: FetchPolicy,
        executor: Executor,
        folder: Path,
        clock: Clock | None = None,
    ) -> None:
        self._store = store
        self._policy = policy
        self._buckets = Buckets(policy.default_bucket, policy.allowed_buckets)
        self._executor = executor
        self._folder = WorkFolder(folder)
        self._clock = clock or SystemClock()

    async def start(self) -> None:
        """Sweep what dead processes left, make this process's folder. Raises WorkFolderUnavailable.

        Without it the first fetch does the same.
        """
        await asyncio.get_running_loop().run_in_executor(self._executor, self._folder.open)

    async def close(self) -> None:
        """Delete this process's folder, also under downloads that were cancelled and have not noticed yet."""
        # Not in the executor: its threads may all wait for a store that went silent.
        await asyncio.to_thread(self._folder.close)

    @asynccontextmanager
    async def fetch(self, storage_path: str, name: str | None = None) -> AsyncIterator[LocalFile]:
        """The object's bytes as a local file, deleted when the context is left.

        Raises FilePathRefused, BucketNotAllowed (both before any request), FileNotFound, FileAccessDenied,
        FileEmpty, FileTooLarge, FileIncomplete, StoreUnavailable, WorkFolderUnavailable. Cancelling gives
        control back at once; the thread ends at its next chunk, or when the store's read timeout wakes it,
        and takes its file with it.
        """
        places = candidates(storage_path, self._buckets)
        file = await self._in_thread(places, name)
        try:
            yield file
        finally:
            # On the loop: unlinking takes 0.05 ms at 1 MB and 2 to 6 ms at 40 MB, and a thread may not be
            # free for minutes.
            file.path.unlink(missing_ok=True)

    async def _in_thread(self, places: tuple[Place, ...], name: str | None) -> LocalFile:
        cancelled = threading.Event()
        work = self._executor.submit(self._download_first, places, name, cancelled)
        try:
            return await asyncio.wrap_future(work)
        except asyncio.CancelledError:
            cancelled.set()
            # Called at once where the file came in the same moment: nobody else knows of it.
            work.add_done_callback(_discard_result)
            raise

    def _download_first(
        self, places: tuple[Place, ...], name: str | None, cancelled: threading.Event
    ) -> LocalFile:
        """In a thread: the first of the places where there is an object."""
        give_up_at = self._clock.monotonic() + self._policy.total_timeout_s
        info = self._stat_first(places)
        self._judge_size(info)
        _stop_if(cancelled, info)
        target = self._new_path()
        try:
            self._download(info, target, give_up_at, cancelled)
            label = file_name(info.key, name)
            with work_folder_errors():
                return LocalFile(label, target, info.size, detect(target, label))
        except BaseException:
            target.unlink(missing_ok=True)
            raise

    def _stat_first(self, places: tuple[Place, ...]) -> ObjectInfo:
        """The first that is there. Denied is no end: keys without the right to list hear it of what is missing."""
        refusals: list[FileError] = []
        for place in places:
            try:
                return self._store.stat(place.bucket, place.key)
            except (FileNotFound, FileAccessDenied) as refusal:
                refusals.append(refusal)
        raise next((refusal for refusal in refusals if isinstance(refusal, FileAccessDenied)), refusals[0])

    def _judge_size(self, info: ObjectInfo) -> None:
        if info.size == 0:
            raise FileEmpty(f"{_shown(info)} has 0 bytes")
        if info.size > self._policy.max_bytes:
            raise FileTooLarge(
                f"{_shown(info)} has {info.size} bytes; this service takes {self._policy.max_bytes}"
            )

    def _new_path(self) -> Path:
        folder = self._folder.open()
        with work_folder_errors():
            made, path = tempfile.mkstemp(dir=folder)
            os.close(made)
            return Path(path)

    def _download(
        self, info: ObjectInfo, target: Path, give_up_at: float, cancelled: threading.Event
    ) -> None:
        with self._store.open(info) as chunks, _opened(target) as file:
            received = 0
            for chunk in chunks:
                _stop_if(cancelled, info)
                if self._clock.monotonic() > give_up_at:
                    limit = f"{self._policy.total_timeout_s:g}"
                    raise StoreUnavailable(
                        f"{_shown(info)} did not come within {limit} s ({received} of {info.size} bytes)"
                    )
                received += len(chunk)
                # The stat's size is within max_bytes, so an endless body ends here too.
                if received > info.size:
                    raise FileIncomplete(f"{_shown(info)} goes beyond its length of {info.size} bytes")
                _write(file, chunk)
        if received < info.size:
            raise FileIncomplete(f"{_shown(info)} ended after {received} of {info.size} bytes")


def _stop_if(cancelled: threading.Event, info: ObjectInfo) -> None:
    """End a thread whose result nobody waits for."""
    if cancelled.is_set():
        raise FileIncomplete(f"reading {_shown(info)} was cancelled")


def _opened(target: Path) -> FileIO:
    with work_folder_errors():
        return target.open("wb", buffering=0)


def _write(file: FileIO, chunk: bytes) -> None:
    """All of the chunk. Unbuffered, so that a full disk is met here and not at closing."""
    with work_folder_errors():
        rest = memoryview(chunk)
        while rest:
            rest = rest[file.write(rest) :]


def _discard_result(work: Future[LocalFile]) -> None:
    if not work.cancelled() and work.exception() is None:
        work.result().path.unlink(missing_ok=True)


def _shown(info: ObjectInfo) -> str:
    return f"object {info.key!r} in bucket {info.bucket!r}"
