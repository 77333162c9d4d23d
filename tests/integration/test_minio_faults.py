"""What a store can do wrong: a real MinIO that refuses or dies, and an S3 that lies."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from llm_service.errors import (
    FileAccessDenied,
    FileError,
    FileIncomplete,
    FileNotFound,
    StoreUnavailable,
)
from llm_service.files.fetch import Fetcher, FetchPolicy
from llm_service.files.minio_store import MinioConnection, MinioStore
from tests.services.minio import MinioServer
from tests.standins import s3
from tests.standins.s3 import S3, Fault

# Long enough for a stand-in on a busy machine to answer, short enough to wait for.
SILENCE_S = 2.0
VALUE = b"0123456789" * 30_000


@pytest.fixture
def server() -> Iterator[S3]:
    with s3.serving() as state:
        yield state


def connection(endpoint: str) -> MinioConnection:
    return MinioConnection(
        endpoint,
        "key",
        "canary-secret",
        secure=False,
        connect_timeout_s=1,
        read_timeout_s=SILENCE_S,
        max_connections=2,
    )


def real(minio: MinioServer) -> MinioConnection:
    return replace(connection(minio.endpoint), access_key=minio.access_key, secret_key=minio.secret_key)


@asynccontextmanager
async def fetching(
    to: MinioConnection, bucket: str, folder: Path, seconds: float = 20
) -> AsyncIterator[Fetcher]:
    store = MinioStore(to)
    with ThreadPoolExecutor(2) as executor:
        fetcher = Fetcher(
            store, FetchPolicy(bucket, max_bytes=1_000_000, total_timeout_s=seconds), executor, folder
        )
        await fetcher.start()
        yield fetcher
        await fetcher.close()
    store.close()
    assert not everything_in(folder)


def everything_in(folder: Path) -> list[Path]:
    return list(folder.iterdir())


async def outcome(fetcher: Fetcher, path: str) -> bytes | FileError:
    try:
        async with fetcher.fetch(path, None) as file:
            return await asyncio.to_thread(file.path.read_bytes)
    except FileError as error:
        return error


@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        (Fault.SHORTER_THAN_SAID, FileIncomplete),
        (Fault.LONGER_THAN_SAID, FileIncomplete),
        (Fault.CUT_AT_HALF, FileIncomplete),
        (Fault.ENDLESS, FileIncomplete),
        (Fault.SILENT, StoreUnavailable),
        (Fault.UNAVAILABLE, StoreUnavailable),
        (Fault.SLOW_DOWN, StoreUnavailable),
        (Fault.NOT_S3, FileNotFound),
        (Fault.DENIED, FileAccessDenied),
        (Fault.REDIRECT, FileError),
    ],
)
async def test_each_fault_has_its_error_and_hurts_no_other_object(
    server: S3, tmp_path: Path, fault: Fault, kind: type[FileError]
) -> None:
    server.put("bad", VALUE, fault)
    server.put("good", VALUE)
    server.redirect_to = f"http://{server.endpoint}/documents/good"
    async with fetching(connection(server.endpoint), "documents", tmp_path) as fetcher:
        for _ in range(2):
            error = await outcome(fetcher, "bad")
            assert isinstance(error, kind), error
            assert "canary-secret" not in error.message
            assert error.retryable is (kind in {FileIncomplete, StoreUnavailable})
        assert await outcome(fetcher, "good") == VALUE
    # Retries are the caller's: every request was made once. A redirect was not followed.
    assert sum(request == "HEAD /documents/bad" for request in server.requests) == 2
    assert sum(request.endswith("/good") for request in server.requests) == 2


async def test_a_byte_now_and_then_is_ended_by_the_time_for_the_whole(server: S3, tmp_path: Path) -> None:
    server.put("drip", VALUE, Fault.DRIP)
    async with fetching(connection(server.endpoint), "documents", tmp_path, seconds=0.5) as fetcher:
        began = time.monotonic()
        error = await outcome(fetcher, "drip")
        assert isinstance(error, StoreUnavailable)
        assert "did not come within 0.5 s" in error.message
        assert time.monotonic() - began < 3


async def test_cancelling_ends_a_download_that_drips(server: S3, tmp_path: Path) -> None:
    server.put("drip", VALUE, Fault.DRIP)
    async with fetching(connection(server.endpoint), "documents", tmp_path) as fetcher:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.3):
                await outcome(fetcher, "drip")
        began = time.monotonic()
    # The executor's shutdown waits for its threads: none lingers on the dripping connection.
    assert time.monotonic() - began < 2


async def test_a_dead_host_is_an_outage(tmp_path: Path, server: S3) -> None:
    async with fetching(connection("127.0.0.1:1"), "documents", tmp_path) as fetcher:
        error = await outcome(fetcher, "a")
    assert isinstance(error, StoreUnavailable)
    assert "127.0.0.1:1" in error.message
    assert "nothing listens there" in error.message


async def test_a_host_that_speaks_plain_where_tls_is_wanted_is_an_outage(tmp_path: Path, server: S3) -> None:
    secure = replace(connection(server.endpoint), secure=True)
    async with fetching(secure, "documents", tmp_path) as fetcher:
        assert isinstance(await outcome(fetcher, "a"), StoreUnavailable)


async def test_real_minio_names_what_is_missing(minio: MinioServer, tmp_path: Path) -> None:
    bucket = minio.bucket()
    async with fetching(real(minio), bucket, tmp_path) as fetcher:
        error = await outcome(fetcher, f"{bucket}/no.pdf")
        assert isinstance(error, FileNotFound)
        assert f"{bucket}/no.pdf" in error.message
    async with fetching(real(minio), "no-such-bucket", tmp_path) as fetcher:
        error = await outcome(fetcher, "a.pdf")
        assert isinstance(error, FileNotFound)
        assert "there is no bucket 'no-such-bucket'" in error.message


@pytest.mark.parametrize("wrong", ["access_key", "secret_key"])
async def test_real_minio_refuses_wrong_keys(
    minio: MinioServer, tmp_path: Path, wrong: dict[str, str]
) -> None:
    bucket = minio.bucket()
    right = real(minio)
    keys = {"access_key": right.access_key, "secret_key": right.secret_key} | {wrong: "canary-secret"}
    to = replace(right, access_key=keys["access_key"], secret_key=keys["secret_key"])
    async with fetching(to, bucket, tmp_path) as fetcher:
        error = await outcome(fetcher, "a.pdf")
        assert isinstance(error, FileAccessDenied)
        assert "canary-secret" not in error.message
        assert not error.retryable


async def test_real_minio_killed_and_back(minio: MinioServer, tmp_path: Path) -> None:
    bucket = minio.bucket()
    store = MinioStore(real(minio))
    store.put(bucket, "Договор.txt", VALUE, "text/plain")
    async with fetching(real(minio), bucket, tmp_path) as fetcher:
        assert await outcome(fetcher, "Договор.txt") == VALUE
        await asyncio.to_thread(minio.kill)
        try:
            assert isinstance(await outcome(fetcher, "Договор.txt"), StoreUnavailable)
            with pytest.raises(StoreUnavailable):
                store.check(bucket)
        finally:
            await asyncio.to_thread(minio.start)
        assert await outcome(fetcher, "Договор.txt") == VALUE
    store.close()
