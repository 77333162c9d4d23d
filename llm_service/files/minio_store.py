"""Objects in MinIO or any other S3, through the ``minio`` SDK on a connection pool of our own."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

import certifi
import urllib3
from minio import Minio
from urllib3.response import BaseHTTPResponse

from llm_service.errors import FileIncomplete, FileNotFound, StoreUnavailable
from llm_service.files.s3_errors import translated
from llm_service.files.store import ObjectInfo

# One system call of a fast network's worth: larger chunks gain nothing, smaller ones cost a wake-up each.
_CHUNK_BYTES = 256 * 1024
# The SDK's own minimum; a larger value is put in one request up to S3's 5 GiB, which makes a put all or
# nothing.
_MIN_PART_BYTES = 5 * 1024 * 1024
# The SDK holds a part in memory; 10,000 of them are S3's limit for an object: 160 GB.
_UPLOAD_PART_BYTES = 16 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class MinioConnection:
    """How to reach the store. TLS is verified whenever it is used."""

    endpoint: str
    """``host:port``, without a scheme."""
    access_key: str
    secret_key: str = field(repr=False)
    secure: bool
    region: str = "us-east-1"
    """Always passed on: without it the SDK asks the server once for every bucket."""
    ca_bundle: Path | None = None
    """PEM file of the certificates to trust instead of certifi's."""
    connect_timeout_s: float = 5.0
    read_timeout_s: float = 15.0
    """Longest silence on a connection. The SDK's own default is 5 minutes, five times over."""
    max_connections: int = 10
    """As many as there are threads for file work."""


class MinioStore:
    """An ``ObjectStore`` over S3. Thread-safe, as the SDK and urllib3 are.

    Nothing is retried here: the caller knows the task's deadline and retries what is ``retryable``.
    """

    def __init__(self, connection: MinioConnection) -> None:
        self._endpoint = connection.endpoint
        self._pool = pool_for(connection)
        self._client = client_for(connection, self._pool)

    def stat(self, bucket: str, key: str) -> ObjectInfo:
        with translated(self._endpoint, bucket, key):
            found = self._client.stat_object(bucket, key)
            return ObjectInfo(bucket, key, found.size or 0, found.etag or "")

    @contextmanager
    def open(self, info: ObjectInfo) -> Iterator[Iterator[bytes]]:
        with translated(self._endpoint, info.bucket, info.key):
            # If-Match: an object replaced since its stat is refused instead of being read under the old
            # length.
            headers: dict[str, str | list[str] | tuple[str]] = {}
            if info.etag:
                headers["If-Match"] = f'"{info.etag}"'
            response = self._client.get_object(info.bucket, info.key, request_headers=headers)
        try:
            yield self._chunks(response, info)
        finally:
            # close() drops a connection that still holds unread bytes; a fully read one is already back in
            # the pool.
            response.close()
            response.release_conn()

    def put(self, bucket: str, key: str, value: bytes, content_type: str) -> None:
        with translated(self._endpoint, bucket, key):
            self._client.put_object(
                bucket,
                key,
                io.BytesIO(value),
                len(value),
                content_type=content_type,
                part_size=max(len(value), _MIN_PART_BYTES),
                num_parallel_uploads=1,
            )

    def upload(self, bucket: str, key: str, source: BinaryIO, size: int, content_type: str) -> None:
        with translated(self._endpoint, bucket, key):
            self._client.put_object(
                bucket,
                key,
                source,
                size,
                content_type=content_type,
                part_size=_UPLOAD_PART_BYTES,
                num_parallel_uploads=1,
            )

    def check(self, bucket: str) -> None:
        with translated(self._endpoint, bucket, None):
            if not self._client.bucket_exists(bucket):
                raise FileNotFound(
                    f"there is no bucket {bucket!r} at {self._endpoint}; create it or set MINIO_BUCKET_NAME"
                )

    def close(self) -> None:
        self._pool.clear()

    def _chunks(self, response: BaseHTTPResponse, info: ObjectInfo) -> Iterator[bytes]:
        with _read_errors(self._endpoint, info):
            # read1, not read: read waits until the chunk is full, for hours where a server sends a byte a
            # second. Undecoded: an object stored with Content-Encoding is counted, and kept, as the bytes
            # that are stored.
            while chunk := response.read1(_CHUNK_BYTES, decode_content=False):
                yield chunk


def client_for(connection: MinioConnection, pool: urllib3.PoolManager) -> Minio:
    """The SDK's client on our pool."""
    return Minio(
        connection.endpoint,
        access_key=connection.access_key,
        secret_key=connection.secret_key,
        secure=connection.secure,
        region=connection.region,
        http_client=pool,
    )


def pool_for(connection: MinioConnection) -> urllib3.PoolManager:
    """Connections with limits of time and without retries."""
    return urllib3.PoolManager(
        timeout=urllib3.Timeout(connect=connection.connect_timeout_s, read=connection.read_timeout_s),
        retries=False,
        maxsize=connection.max_connections,
        cert_reqs="CERT_REQUIRED",
        ca_certs=str(connection.ca_bundle or certifi.where()),
    )


@contextmanager
def _read_errors(endpoint: str, info: ObjectInfo) -> Iterator[None]:
    """What can go wrong after the headers have come."""
    try:
        yield
    except (urllib3.exceptions.ReadTimeoutError, TimeoutError) as error:
        raise StoreUnavailable(
            f"the object store at {endpoint} went silent while sending {info.key!r}"
        ) from error
    except (urllib3.exceptions.HTTPError, OSError) as error:
        raise FileIncomplete(
            f"the connection to the object store at {endpoint} broke off while reading {info.key!r} "
            f"of {info.size} bytes"
        ) from error
