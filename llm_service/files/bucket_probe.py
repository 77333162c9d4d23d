"""An S3 server asked what it is and what these keys may do there; refusals keep their S3 code. Everything here blocks."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from email.utils import parsedate_to_datetime

import urllib3
from minio.error import InvalidResponseError, S3Error, ServerError

from llm_service.files.minio_store import MinioConnection, client_for, pool_for

_LOOKED_AT_BYTES = 2000


class S3Refused(Exception):
    """The server answered and did not do it."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code
        """As ``NoSuchBucket``; ``HTTP 502`` where there is none."""


class S3Silent(Exception):
    """No answer came; the text is the innermost reason."""


@dataclass(frozen=True, slots=True)
class S3Greeting:
    """What a server says to somebody who shows no key."""

    status: int
    is_s3: bool
    said: str
    """The beginning of its answer."""
    at: datetime | None
    """Its clock, to the second; None where it does not say."""


class BucketProbe:
    """Each method is one request or two."""

    def __init__(self, connection: MinioConnection) -> None:
        self._url = f"{'https' if connection.secure else 'http'}://{connection.endpoint}/"
        self._pool = pool_for(connection)
        self._client = client_for(connection, self._pool)

    def greet(self) -> S3Greeting:
        """Ask for the list of buckets without a key. Raises S3Silent."""
        with _told():
            answer = self._pool.request("GET", self._url, preload_content=False, redirect=False)
            try:
                said = answer.read(_LOOKED_AT_BYTES).decode("utf-8", "replace")
            finally:
                answer.close()
        headers = answer.headers
        # S3 numbers each answer; a refusal is XML. Some of its kind do only one of the two.
        is_s3 = "x-amz-request-id" in headers or "<Code>" in said or "<ListAllMyBucketsResult" in said
        return S3Greeting(answer.status, is_s3, said, _moment(headers.get("Date")))

    def list(self, bucket: str, prefix: str) -> None:
        """List what begins so. Raises S3Refused, S3Silent."""
        with _told():
            next(iter(self._client.list_objects(bucket, prefix=prefix)), None)

    def put(self, bucket: str, key: str, value: bytes) -> None:
        """Raises S3Refused, S3Silent."""
        with _told():
            self._client.put_object(bucket, key, io.BytesIO(value), len(value))

    def read(self, bucket: str, key: str) -> bytes:
        """By GET alone: only its refusals say why. Raises S3Refused, S3Silent."""
        with _told():
            answer = self._client.get_object(bucket, key)
            try:
                return answer.read()
            finally:
                answer.close()
                answer.release_conn()

    def delete(self, bucket: str, key: str) -> None:
        """Raises S3Refused, S3Silent."""
        with _told():
            self._client.remove_object(bucket, key)

    def close(self) -> None:
        self._pool.clear()


@contextmanager
def _told() -> Iterator[None]:
    try:
        yield
    except S3Error as error:
        code = error.response.headers.get("x-minio-error-code") or error.code
        raise S3Refused(code or f"HTTP {error.response.status}") from error
    except ServerError as error:
        raise S3Refused(f"HTTP {error.status_code}") from error
    except InvalidResponseError as error:
        raise S3Refused("an answer that is not S3's") from error
    except (urllib3.exceptions.HTTPError, OSError) as error:
        raise S3Silent(_innermost(error)) from error
    except ValueError as error:
        # The SDK's own check of names, before any request.
        raise S3Refused(str(error)) from error


def _innermost(error: BaseException) -> str:
    inner = getattr(error, "reason", None) or error.__cause__
    return _innermost(inner) if isinstance(inner, BaseException) else type(error).__name__


def _moment(text: str | None) -> datetime | None:
    try:
        return parsedate_to_datetime(text) if text else None
    except ValueError:
        return None
