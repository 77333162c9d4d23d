"""What is said of a store that can't be spoken to: the cause in words, and the setting that mends it."""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from llm_service.errors import FileError, StoreUnavailable
from llm_service.files.minio_store import MinioConnection, client_for, pool_for
from llm_service.files.s3_errors import translated


class _BadRequest(BaseHTTPRequestHandler):
    """Answers as MinIO does to a bucket whose name can't be one."""

    def do_HEAD(self) -> None:
        self.send_response(400)
        self.end_headers()

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        """Nothing: the test reads no log."""


@contextmanager
def _http() -> Iterator[str]:
    with HTTPServer(("127.0.0.1", 0), _BadRequest) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield f"127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


def _said(endpoint: str, *, secure: bool = False, bucket: str = "documents") -> FileError:
    connection = MinioConnection(endpoint=endpoint, access_key="a", secret_key="b", secure=secure)
    with (
        pytest.raises(FileError) as raised,
        pool_for(connection) as pool,
        translated(endpoint, bucket, None),
    ):
        client_for(connection, pool).bucket_exists(bucket_name=bucket)
    return raised.value


def test_tls_to_a_plain_port_names_the_switch() -> None:
    with _http() as endpoint:
        error = _said(endpoint, secure=True)
    assert isinstance(error, StoreUnavailable)
    assert "MINIO_USE_SSL=False" in error.message
    assert "SSLError" not in error.message


def test_a_port_that_nothing_listens_on() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound, and not listening: nobody else can
        error = _said(f"127.0.0.1:{taken.getsockname()[1]}")
    assert "nothing listens there" in error.message
    assert "check MINIO_ENDPOINT and that it runs" in error.message


@pytest.mark.parametrize(
    ("cause", "words", "setting"),
    [
        (socket.gaierror(-2, "Name or service not known"), "its name is not known here", "MINIO_ENDPOINT"),
        (TimeoutError("timed out"), "silent until the time was up", "MINIO_ENDPOINT"),
        (ssl.SSLCertVerificationError(1, "x"), "its certificate is not trusted", "MINIO_CA_BUNDLE"),
    ],
)
def test_other_causes_are_said_in_words(cause: OSError, words: str, setting: str) -> None:
    with pytest.raises(StoreUnavailable) as raised, translated("store:9000", "documents", None):
        raise cause
    assert words in raised.value.message
    assert setting in raised.value.message


def test_a_name_that_no_bucket_can_have_is_told_with_the_rule() -> None:
    with _http() as endpoint:
        error = _said(endpoint, bucket="Bad_Name")
    assert "'Bad_Name'" in error.message
    assert "3 to 63 small letters" in error.message
    assert "MINIO_BUCKET_NAME" in error.message
