"""Whole, bounded, and gone afterwards."""

from __future__ import annotations

import asyncio
import errno
import os
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import pytest

from llm_service.errors import (
    FileAccessDenied,
    FileEmpty,
    FileError,
    FileIncomplete,
    FileNotFound,
    FilePathRefused,
    FileTooLarge,
    StoreUnavailable,
    WorkFolderUnavailable,
)
from llm_service.files.fetch import Fetcher, FetchPolicy
from llm_service.files.store import ObjectInfo
from llm_service.resilience.shortage import shortage
from tests.manual_clock import ManualClock

POLICY = FetchPolicy("documents", frozenset({"archive"}), max_bytes=1000, total_timeout_s=60)


class Store:
    """Objects in memory, whose lengths may lie and whose bytes may wait."""

    def __init__(self) -> None:
        self.objects: dict[tuple[str, str], list[bytes]] = {}
        self.sizes: dict[str, int] = {}
        self.denied: set[tuple[str, str]] = set()
        self.asked: list[tuple[str, str]] = []
        self.before_chunk: Callable[[int], None] = lambda _: None
        self.before_end: Callable[[], None] = lambda: None
        self.read: list[int] = []
        self.opened = 0
        self.closed = 0

    def add(self, key: str, *chunks: bytes, size: int | None = None, bucket: str = "documents") -> None:
        self.objects[bucket, key] = list(chunks)
        self.sizes[key] = sum(map(len, chunks)) if size is None else size

    def stat(self, bucket: str, key: str) -> ObjectInfo:
        self.asked.append((bucket, key))
        if (bucket, key) in self.denied:
            raise FileAccessDenied
        if (bucket, key) not in self.objects:
            raise FileNotFound(f"there is no object {key!r} in bucket {bucket!r}")
        return ObjectInfo(bucket, key, self.sizes[key], "etag")

    @contextmanager
    def open(self, info: ObjectInfo) -> Iterator[Iterator[bytes]]:
        self.opened += 1
        try:
            yield self._chunks(info)
        finally:
            self.closed += 1

    def _chunks(self, info: ObjectInfo) -> Iterator[bytes]:
        for number, chunk in enumerate(self.objects[info.bucket, info.key]):
            self.before_chunk(number)
            self.read.append(number)
            yield chunk
        self.before_end()

    def put(self, bucket: str, key: str, value: bytes, content_type: str) -> None:
        raise AssertionError("a fetch puts nothing")

    def upload(self, bucket: str, key: str, source: BinaryIO, size: int, content_type: str) -> None:
        raise AssertionError("a fetch uploads nothing")

    def check(self, bucket: str) -> None:
        raise AssertionError("a fetch checks no bucket")

    def close(self) -> None:
        """Nothing to close."""


@pytest.fixture
def store() -> Store:
    return Store()


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
async def fetcher(store: Store, clock: ManualClock, tmp_path: Path) -> AsyncIterator[Fetcher]:
    with ThreadPoolExecutor(2) as executor:
        made = Fetcher(store, POLICY, executor, tmp_path, clock)
        yield made
        await made.close()
    assert not everything_in(tmp_path)
    assert store.opened == store.closed


def everything_in(folder: Path) -> list[Path]:
    return list(folder.iterdir())


def files(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file() and path.suffix != ".lock"]


def until_empty(folder: Path) -> None:
    end = time.monotonic() + 5
    while files(folder):
        assert time.monotonic() < end, "a file stays behind"


async def refused(fetcher: Fetcher, path: str) -> FileError:
    with pytest.raises(FileError) as caught:
        async with fetcher.fetch(path, None):
            raise AssertionError("fetched")
    return caught.value


async def test_the_file_is_whole_and_gone_afterwards(fetcher: Fetcher, store: Store, tmp_path: Path) -> None:
    store.add("a/Договор.txt", "Договор".encode(), b" 5")
    async with fetcher.fetch("a/Договор.txt", None) as file:
        assert _content_and_mode(file.path) == ("Договор 5", 0o600)
        assert (file.name, file.size, file.content_type) == ("Договор.txt", 16, "text/plain")
    assert not files(tmp_path)


async def test_it_is_gone_also_when_its_user_fails(fetcher: Fetcher, store: Store, tmp_path: Path) -> None:
    store.add("a", b"x")

    async def use_wrongly() -> None:
        async with fetcher.fetch("a", "my name.txt") as file:
            assert file.name == "my name.txt"
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await use_wrongly()
    assert not files(tmp_path)


async def test_the_second_candidate_is_tried_when_the_first_is_not_there(
    fetcher: Fetcher, store: Store
) -> None:
    store.add("a.pdf", b"x", bucket="archive")
    async with fetcher.fetch("archive/a.pdf", None):
        pass
    assert store.asked == [("documents", "archive/a.pdf"), ("archive", "a.pdf")]


async def test_denied_is_tried_further_and_said_only_if_nothing_is_there(
    fetcher: Fetcher, store: Store
) -> None:
    store.denied.add(("documents", "documents/a"))
    assert isinstance(await refused(fetcher, "documents/a"), FileAccessDenied)
    store.add("a", b"x")
    async with fetcher.fetch("documents/a", None) as file:
        assert file.size == 1


async def test_a_refused_path_reaches_no_store(fetcher: Fetcher, store: Store) -> None:
    assert isinstance(await refused(fetcher, "../a"), FilePathRefused)
    assert isinstance(await refused(fetcher, "s3://secrets/a"), FileError)
    assert store.asked == []


@pytest.mark.parametrize(
    ("chunks", "said", "kind"),
    [
        ([], 0, FileEmpty),
        ([b"x"], 1001, FileTooLarge),
        ([b"x" * 10], 20, FileIncomplete),
        ([b"x" * 10, b"y"], 10, FileIncomplete),
        ([b"x" * 400] * 1000, 1000, FileIncomplete),
    ],
)
async def test_lengths_that_lie(
    fetcher: Fetcher, store: Store, tmp_path: Path, chunks: list[bytes], said: int, kind: type[FileError]
) -> None:
    store.add("a", *chunks, size=said)
    error = await refused(fetcher, "a")
    assert type(error) is kind
    assert "'a'" in error.message
    assert error.retryable is (kind is FileIncomplete)
    assert not files(tmp_path)


async def test_what_is_too_large_is_not_even_opened(fetcher: Fetcher, store: Store) -> None:
    store.add("a", b"x", size=10**12)
    await refused(fetcher, "a")
    assert store.opened == 0


async def test_a_body_that_comes_too_slowly_is_given_up(
    fetcher: Fetcher, store: Store, clock: ManualClock
) -> None:
    store.add("a", *[b"x"] * 100)
    store.before_chunk = lambda _: clock._move_to(clock.monotonic() + 1)
    error = await refused(fetcher, "a")
    assert isinstance(error, StoreUnavailable)
    assert "60 of 100 bytes" in error.message


async def test_cancelling_gives_control_back_at_once_and_the_thread_follows(
    fetcher: Fetcher, store: Store, tmp_path: Path
) -> None:
    reached, release = threading.Event(), threading.Event()

    def wait(number: int) -> None:
        if number == 1:
            reached.set()
            release.wait(10)

    store.before_chunk = wait
    store.add("a", *[b"x"] * 100)

    async def use() -> None:
        async with fetcher.fetch("a", None):
            raise AssertionError("fetched")

    task = asyncio.create_task(use())
    await asyncio.to_thread(reached.wait, 10)
    assert files(tmp_path)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    release.set()
    await asyncio.to_thread(until_empty, tmp_path)
    assert store.read == [0, 1]


async def test_a_file_that_comes_as_its_user_is_cancelled_is_deleted(
    fetcher: Fetcher, store: Store, tmp_path: Path
) -> None:
    reached, release = threading.Event(), threading.Event()

    def wait() -> None:
        reached.set()
        _hold(release)

    store.before_end = wait
    store.add("a", b"x")

    async def use() -> None:
        async with fetcher.fetch("a", None):
            raise AssertionError("fetched")

    task = asyncio.create_task(use())
    await asyncio.to_thread(reached.wait, 10)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    release.set()
    await asyncio.to_thread(until_empty, tmp_path)


async def test_a_job_cancelled_in_the_queue_never_starts(fetcher: Fetcher, store: Store) -> None:
    release = threading.Event()
    store.before_chunk = lambda _: _hold(release)
    for key in "abc":
        store.add(key, b"x")

    async def use(key: str) -> None:
        async with fetcher.fetch(key, None):
            pass

    tasks = [asyncio.create_task(use(key)) for key in "abc"]
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    tasks[2].cancel()
    # The cancellation arrives in a turn of the loop; a thread that came free before it would begin the job.
    await asyncio.wait([tasks[2]])
    release.set()
    results = await asyncio.gather(*tasks, return_exceptions=True)
    assert [type(result) for result in results] == [type(None), type(None), asyncio.CancelledError]
    assert ("documents", "c") not in store.asked


async def test_a_full_disk_is_named_and_can_be_retried(
    fetcher: Fetcher, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The kernel's own full disk: writing to /dev/full fails with ENOSPC.
    monkeypatch.setattr(Fetcher, "_new_path", lambda _: _FullDisk())
    store.add("a", b"x")
    error = await refused(fetcher, "a")
    assert isinstance(error, WorkFolderUnavailable)
    assert "No space left on device" in error.message
    assert error.retryable


async def test_no_descriptor_left_for_the_file_is_named_and_can_be_retried(
    fetcher: Fetcher, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    def opened(path: Path, *_: object, **__: object) -> None:
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE), str(path))

    store.add("a", b"x")
    with monkeypatch.context() as patched:
        patched.setattr(Path, "open", opened)
        error = await refused(fetcher, "a")
    assert isinstance(error, WorkFolderUnavailable)
    assert error.retryable
    assert "descriptor" in (shortage(error) or "")


def _hold(release: threading.Event) -> None:
    assert release.wait(10)


def _content_and_mode(path: Path) -> tuple[str, int]:
    return path.read_text(), path.stat().st_mode & 0o777


class _FullDisk(type(Path())):  # type: ignore[misc]
    def __new__(cls) -> _FullDisk:
        return super().__new__(cls, "/dev/full")  # type: ignore[no-any-return]

    def unlink(self, missing_ok: bool = False) -> None:
        """Not to be deleted by a test that runs as root."""
