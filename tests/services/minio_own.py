"""MinIO without Docker: its server built from source by Go."""

from __future__ import annotations

import os
import secrets
from collections.abc import Mapping
from pathlib import Path

from tests.services.cache import Cache
from tests.services.minio import VERSION, MinioServer
from tests.services.ports import free_port
from tests.services.process import OwnProcess
from tests.services.reaper import Reaper
from tests.services.toolchains import go, go_install

_MODULE = "github.com/minio/minio@v0.0.0-20260212201848-7aac2a2c5b7c"
_OLDEST_GO = (1, 24)


def prepare(cache: Cache) -> Path:
    """The server's binary. Raises Unavailable."""
    return (
        cache.get("minio", _MODULE, lambda draft: go_install(go(cache, _OLDEST_GO), _MODULE, draft)) / "minio"
    )


def start(cache: Cache, reaper: Reaper, folder: Path, more: Mapping[str, str] | None = None) -> MinioServer:
    """A server on a free port with its data in the folder; ``more`` are settings of it. Raises Unavailable."""
    binary, port, secret = prepare(cache), free_port(), secrets.token_hex(16)
    env = {
        "PATH": os.environ.get("PATH", ""),
        "HOME": str(folder),
        "MINIO_ROOT_USER": "testbed",
        "MINIO_ROOT_PASSWORD": secret,
        "MINIO_BROWSER": "off",
        "MINIO_UPDATE": "off",
        **(more or {}),
    }
    command = [str(binary), "server", str(folder / "data"), "--address", f"127.0.0.1:{port}", "--quiet"]
    process = OwnProcess(command, folder, reaper, env)
    server = MinioServer(
        f"http://127.0.0.1:{port}", "testbed", secret, process, f"MinIO {VERSION}, own process"
    )
    server.start()
    return server
