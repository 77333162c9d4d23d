"""A registry that a real Ollama server pulls models from: manifests and blobs by HTTPS, as its own registry gives them.

Blobs come from another name of the host, as a registry's come from its storage: Ollama asks for them in parts there. It
serves from threads of the test's own process, since all that it does is write bytes to sockets.
"""

from __future__ import annotations

import hashlib
import json
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from tests.standins.certificates import Certificates, make_certificates

_MEDIA = "application/vnd.ollama.image"
_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"


@dataclass
class Registry:
    """The server's state, changed by the test."""

    certificates: Certificates
    port: int = 0
    manifests: dict[str, bytes] = field(default_factory=dict)
    """By the name in the path, ``library/tiny/latest``."""
    blobs: dict[str, bytes] = field(default_factory=dict)
    requests: list[str] = field(default_factory=list)
    """``METHOD /path`` as they came."""
    flowing: threading.Event = field(default_factory=threading.Event)
    """Unset, a blob stops in its middle until it is set."""

    def name_of(self, model: str) -> str:
        """The model's name with this registry in front, as Ollama takes it."""
        return f"127.0.0.1:{self.port}/library/{model}:latest"

    def publish(self, model: str, weights: bytes) -> None:
        """Put a model's file under its name."""
        config = {
            "model_format": "gguf",
            "model_family": "llama",
            "model_families": ["llama"],
            "architecture": "amd64",
            "os": "linux",
            "rootfs": {"type": "layers", "diff_ids": [_digest(weights)]},
        }
        parameters = json.dumps({"num_predict": 64}).encode()
        manifest = {
            "schemaVersion": 2,
            "mediaType": _MANIFEST,
            "config": self._stored(
                json.dumps(config).encode(), "application/vnd.docker.container.image.v1+json"
            ),
            "layers": [
                self._stored(weights, f"{_MEDIA}.model"),
                self._stored(b"{{ .Prompt }}", f"{_MEDIA}.template"),
                self._stored(parameters, f"{_MEDIA}.params"),
            ],
        }
        self.manifests[f"library/{model}/manifests/latest"] = json.dumps(manifest).encode()

    def damage(self, model: str) -> None:
        """Other bytes, as many, for the file of a model by its whole name."""
        path = model.partition("/")[2].replace(":", "/manifests/")
        digest = json.loads(self.manifests[path])["layers"][0]["digest"]
        self.blobs[digest] = bytes(len(self.blobs[digest]))

    def _stored(self, content: bytes, media: str) -> dict[str, object]:
        self.blobs[_digest(content)] = content
        return {"mediaType": media, "digest": _digest(content), "size": len(content)}


def _digest(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


@contextmanager
def serving(folder: Path) -> Iterator[Registry]:
    """The registry for the time of the context; left, no thread of it lives on. Its certificate is made in the folder."""
    state = Registry(make_certificates(folder))
    state.flowing.set()
    server = _Server(("127.0.0.1", 0), _Handler)
    server.state, state.port = state, server.server_address[1]
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(state.certificates.certificate, state.certificates.key)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield state
    finally:
        state.flowing.set()
        server.shutdown()
        server.server_close()
        thread.join()


class _Server(ThreadingHTTPServer):
    state: Registry
    daemon_threads = False
    block_on_close = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that leaves in the middle."""


class _Handler(BaseHTTPRequestHandler):
    # A connection a request: none is kept that a thread would wait on at the end.
    protocol_version = "HTTP/1.0"
    server: _Server

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        """Quiet."""

    def do_HEAD(self) -> None:
        self._answer()

    def do_GET(self) -> None:
        self._answer()

    def _answer(self) -> None:
        state = self.server.state
        state.requests.append(f"{self.command} {self.path}")
        name = self.path.removeprefix("/v2/").removeprefix("/storage/")
        digest = name.rpartition("/")[2]
        if name in state.manifests:
            self._send(200, state.manifests[name])
        elif digest not in state.blobs:
            self._send(404, b"{}")
        elif self.path.startswith("/storage/"):
            self._part(state.blobs[digest])
        elif self.command == "HEAD":
            self._send(200, state.blobs[digest])
        else:
            self._send(307, b"", Location=f"https://localhost:{state.port}/storage/{digest}")

    def _part(self, content: bytes) -> None:
        """What the range asks for, the first half at once."""
        first, last = self.headers.get("Range", "bytes=0-").removeprefix("bytes=").split("-")
        part = content[int(first) : int(last or len(content)) + 1]
        self._head(206, len(part))
        self.wfile.write(part[: len(part) // 2])
        self.wfile.flush()
        self.server.state.flowing.wait()
        self.wfile.write(part[len(part) // 2 :])

    def _send(self, status: int, body: bytes, **headers: str) -> None:
        self._head(status, len(body), **headers)
        if self.command != "HEAD":
            self.wfile.write(body)

    def _head(self, status: int, length: int, **headers: str) -> None:
        self.send_response(status)
        for name, text in {"Content-Length": str(length), **headers}.items():
            self.send_header(name, text)
        self.end_headers()
