"""What every object store must do: one suite over the folder, real MinIO, and a plain S3 that is not MinIO."""

from __future__ import annotations

import io
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from llm_service.errors import FileAccessDenied, FileError, FileIncomplete, FileNotFound, FilePathRefused
from llm_service.files.folder_store import FolderStore
from llm_service.files.minio_store import MinioConnection, MinioStore
from llm_service.files.store import ObjectStore
from tests.services.minio import MinioServer
from tests.standins import s3


@dataclass
class Case:
    store: ObjectStore
    bucket: str


@pytest.fixture(params=["folder", "standin", "minio"])
def case(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Case]:
    match request.param:
        case "folder":
            (tmp_path / "documents").mkdir()
            yield Case(FolderStore(tmp_path), "documents")
        case "standin":
            with s3.serving() as server:
                store = MinioStore(connection(server.endpoint, "key", "secret"))
                yield Case(store, server.bucket)
                store.close()
        case _:
            server_: MinioServer = request.getfixturevalue("minio")
            store = MinioStore(connection(server_.endpoint, server_.access_key, server_.secret_key))
            yield Case(store, server_.bucket())
            store.close()


def connection(endpoint: str, access_key: str, secret_key: str) -> MinioConnection:
    return MinioConnection(
        endpoint, access_key, secret_key, secure=False, connect_timeout_s=2, read_timeout_s=5
    )


@pytest.mark.parametrize(
    "key", ["a.txt", f"documents/{uuid.UUID(int=7)}/Договор № 5.pdf", "a b/+%2e%2e&?#=.txt", "ё" * 80]
)
@pytest.mark.parametrize("size", [0, 1, 300_001, 6_000_000])
def test_what_was_put_is_read_back_byte_for_byte(case: Case, key: str, size: int) -> None:
    value = bytes(number % 251 for number in range(size % 1000)) + b"\x00" * (size - size % 1000)
    case.store.put(case.bucket, key, value, "application/octet-stream")
    info = case.store.stat(case.bucket, key)
    assert (info.bucket, info.key, info.size) == (case.bucket, key, size)
    with case.store.open(info) as chunks:
        assert b"".join(chunks) == value


def test_a_put_replaces_and_changes_the_etag(case: Case) -> None:
    case.store.put(case.bucket, "k", b"one", "text/plain")
    first = case.store.stat(case.bucket, "k")
    case.store.put(case.bucket, "k", b"three", "text/plain")
    second = case.store.stat(case.bucket, "k")
    assert second.size == 5
    assert second.etag != first.etag


def test_an_object_replaced_after_its_stat_is_not_read_under_the_old_length(case: Case) -> None:
    case.store.put(case.bucket, "k", b"one", "text/plain")
    info = case.store.stat(case.bucket, "k")
    case.store.put(case.bucket, "k", b"three", "text/plain")
    with pytest.raises(FileIncomplete) as caught, case.store.open(info) as chunks:
        assert b"".join(chunks) == b"never"
    assert caught.value.retryable


def test_a_missing_object_is_named(case: Case) -> None:
    with pytest.raises(FileNotFound, match=r"no/such\.pdf"):
        case.store.stat(case.bucket, "no/such.pdf")


def test_a_missing_bucket_is_no_object_found(case: Case) -> None:
    with pytest.raises((FileNotFound, FileAccessDenied)):
        case.store.stat("no-such-bucket", "a")


def test_a_folder_of_objects_is_no_object(case: Case) -> None:
    case.store.put(case.bucket, "folder/file", b"x", "text/plain")
    with pytest.raises(FileNotFound):
        case.store.stat(case.bucket, "folder")


def test_check_tells_a_bucket_from_none(case: Case) -> None:
    case.store.check(case.bucket)
    with pytest.raises(FileNotFound, match="no-such-bucket"):
        case.store.check("no-such-bucket")


@pytest.mark.parametrize("size", [0, 1, 300_001, 6_000_000])
def test_what_was_uploaded_is_read_back_byte_for_byte(case: Case, size: int) -> None:
    value = bytes(number % 251 for number in range(size % 1000)) + b"\x00" * (size - size % 1000)
    case.store.upload(case.bucket, "documents/Договор № 5.pdf", io.BytesIO(value), size, "application/pdf")
    info = case.store.stat(case.bucket, "documents/Договор № 5.pdf")
    assert info.size == size
    with case.store.open(info) as chunks:
        assert b"".join(chunks) == value


def test_more_than_one_part_of_s3s_multipart_upload_is_one_object(minio: MinioServer) -> None:
    bucket, value = minio.bucket(), b"a" * 16 * 1024 * 1024 + b"b"
    store = MinioStore(connection(minio.endpoint, minio.access_key, minio.secret_key))
    store.upload(bucket, "a.bin", io.BytesIO(value), len(value), "application/octet-stream")
    with store.open(store.stat(bucket, "a.bin")) as chunks:
        assert b"".join(chunks) == value
    store.close()


def test_a_source_that_ends_too_soon_leaves_no_object(case: Case) -> None:
    with pytest.raises(FileError):
        case.store.upload(case.bucket, "a.txt", io.BytesIO(b"12"), 3, "text/plain")
    with pytest.raises(FileNotFound):
        case.store.stat(case.bucket, "a.txt")


@pytest.mark.parametrize(
    "key", ["../secret", "a/../../secret", "..", "a//b", "/etc/passwd", "a\0b", "\udcff"]
)
def test_a_key_that_climbs_is_refused_or_not_there(case: Case, key: str, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("secret")
    with pytest.raises((FilePathRefused, FileNotFound)):
        case.store.stat(case.bucket, key)


def test_reading_can_stop_in_the_middle_and_go_on_with_another(case: Case) -> None:
    case.store.put(case.bucket, "big", b"x" * 3_000_000, "text/plain")
    case.store.put(case.bucket, "small", b"y", "text/plain")
    for _ in range(3):
        with case.store.open(case.store.stat(case.bucket, "big")) as chunks:
            next(chunks)
        with case.store.open(case.store.stat(case.bucket, "small")) as chunks:
            assert b"".join(chunks) == b"y"
