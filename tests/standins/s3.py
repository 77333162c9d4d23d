"""An S3 server that fails by instruction, on a real socket: for what a healthy MinIO never does.

It knows one bucket and path-style GET, HEAD and PUT of objects; signatures are not checked. Each key may have a fault.
It serves from threads of the test's own process, since all that it does is write bytes to sockets.
"""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from enum import Enum, auto
from hashlib import md5
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote, urlsplit

_NAMESPACE = "http://s3.amazonaws.com/doc/2006-03-01/"


class Fault(Enum):
    """What is wrong with an object."""

    SHORTER_THAN_SAID = auto()
    """HEAD says twice its length; GET is whole and honest."""
    LONGER_THAN_SAID = auto()
    """HEAD says half its length; GET is whole and honest."""
    CUT_AT_HALF = auto()
    """GET says its length and closes the connection after half of it."""
    ENDLESS = auto()
    """GET says no length and never ends."""
    SILENT = auto()
    """GET sends half and then nothing, with the connection open."""
    DRIP = auto()
    """GET sends a byte every 50 ms."""
    UNAVAILABLE = auto()
    SLOW_DOWN = auto()
    DENIED = auto()
    NOT_S3 = auto()
    """A proxy's HTML in front of the store."""
    REDIRECT = auto()
    """To ``redirect_to``."""


@dataclass
class S3:
    """The server's state, changed by the test."""

    bucket: str = "documents"
    objects: dict[str, bytes] = field(default_factory=dict)
    faults: dict[str, Fault] = field(default_factory=dict)
    requests: list[str] = field(default_factory=list)
    """``METHOD /path`` as they came."""
    redirect_to: str = ""
    endpoint: str = ""
    stopping: threading.Event = field(default_factory=threading.Event)

    def put(self, key: str, value: bytes, fault: Fault | None = None) -> None:
        self.objects[key] = value
        if fault is not None:
            self.faults[key] = fault


@contextmanager
def serving() -> Iterator[S3]:
    """The server for the time of the context; left, no thread of it lives on."""
    state = S3()
    server = _Server(("127.0.0.1", 0), _Handler)
    server.state = state
    state.endpoint = f"127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield state
    finally:
        state.stopping.set()
        server.shutdown()
        server.hang_up()
        server.server_close()
        thread.join()


class _Server(ThreadingHTTPServer):
    state: S3
    daemon_threads = False
    block_on_close = True

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self._connections: set[socket.socket] = set()

    def get_request(self) -> tuple[socket.socket, Any]:
        connection, address = super().get_request()
        self._connections.add(connection)
        return connection, address

    def shutdown_request(self, request: Any) -> None:
        self._connections.discard(request)
        super().shutdown_request(request)

    def hang_up(self) -> None:
        """Wake the threads that wait on kept-alive connections."""
        for connection in list(self._connections):
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that leaves in the middle is what these tests are about."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        """Quiet."""

    def do_HEAD(self) -> None:
        self._answer()

    def do_GET(self) -> None:
        self._answer()

    def do_PUT(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
        self.server.state.requests.append(f"PUT {self.path}")
        self.server.state.objects[self._key()] = body
        self._send(200, {"ETag": _etag(body)})

    def _answer(self) -> None:
        state, key = self.server.state, self._key()
        state.requests.append(f"{self.command} {urlsplit(self.path).path}")
        if not urlsplit(self.path).path.startswith(f"/{state.bucket}"):
            self._refuse(404, "NoSuchBucket")
        elif key == "":
            self._send(200, {})
        elif self._refused_by_fault(state.faults.get(key)):
            return
        elif key not in state.objects:
            self._refuse(404, "NoSuchKey")
        elif self.headers.get("If-Match", _etag(state.objects[key])) != _etag(state.objects[key]):
            self._refuse(412, "PreconditionFailed")
        elif self.command == "HEAD":
            self._head(state.objects[key], state.faults.get(key))
        else:
            self._body(state.objects[key], state.faults.get(key))

    def _key(self) -> str:
        return unquote(urlsplit(self.path).path).removeprefix(f"/{self.server.state.bucket}").lstrip("/")

    def _refused_by_fault(self, fault: Fault | None) -> bool:
        match fault:
            case Fault.UNAVAILABLE:
                self._refuse(503, "ServiceUnavailable")
            case Fault.SLOW_DOWN:
                self._refuse(503, "SlowDown")
            case Fault.DENIED:
                self._refuse(403, "AccessDenied")
            case Fault.NOT_S3:
                self._send(404, {"Content-Type": "text/html"}, b"<html>nginx</html>")
            case Fault.REDIRECT:
                self._send(307, {"Location": self.server.state.redirect_to, "Content-Type": "text/plain"})
            case _:
                return False
        return True

    def _head(self, value: bytes, fault: Fault | None) -> None:
        said = {Fault.SHORTER_THAN_SAID: len(value) * 2, Fault.LONGER_THAN_SAID: len(value) // 2}
        length = said.get(fault, len(value)) if fault else len(value)
        self.send_response(200)
        for name, text in _object_headers(value).items():
            self.send_header(name, text)
        self.send_header("Content-Length", str(length))
        self.end_headers()

    def _body(self, value: bytes, fault: Fault | None) -> None:
        half = value[: len(value) // 2]
        match fault:
            case Fault.CUT_AT_HALF:
                self._start(value, {"Content-Length": str(len(value))})
                self.wfile.write(half)
                self.close_connection = True
            case Fault.ENDLESS:
                self._start(value, {"Connection": "close"})
                while not self.server.state.stopping.is_set():
                    self.wfile.write(value)
            case Fault.SILENT:
                self._start(value, {"Content-Length": str(len(value))})
                self.wfile.write(half)
                self.server.state.stopping.wait()
                self.close_connection = True
            case Fault.DRIP:
                self._start(value, {"Content-Length": str(len(value))})
                for byte in value:
                    if self.server.state.stopping.wait(0.05):
                        break
                    self.wfile.write(bytes([byte]))
                self.close_connection = True
            case _:
                self._start(value, {"Content-Length": str(len(value))})
                self.wfile.write(value)

    def _start(self, value: bytes, headers: dict[str, str]) -> None:
        self.send_response(200)
        for name, text in {**_object_headers(value), **headers}.items():
            self.send_header(name, text)
        self.end_headers()

    def _refuse(self, status: int, code: str) -> None:
        # As S3 does: HEAD is answered without a body. MinIO adds its code as a header; AWS does not.
        body = f'<?xml version="1.0"?><Error xmlns="{_NAMESPACE}"><Code>{code}</Code></Error>'.encode()
        self._send(status, {"Content-Type": "application/xml"}, body)

    def _send(self, status: int, headers: dict[str, str], body: bytes = b"") -> None:
        self.send_response(status)
        for name, text in {**headers, "Content-Length": str(len(body))}.items():
            self.send_header(name, text)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)


def _object_headers(value: bytes) -> dict[str, str]:
    return {
        "ETag": _etag(value),
        "Last-Modified": "Fri, 20 Nov 2026 09:10:00 GMT",
        "Content-Type": "application/octet-stream",
    }


def _etag(value: bytes) -> str:
    return f'"{md5(value, usedforsecurity=False).hexdigest()}"'
