"""uvicorn in the service's own event loop, without its signal handlers, its access log and its exits."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import socket
from collections.abc import Iterator

import uvicorn
from loguru import logger
from starlette.applications import Starlette

from llm_service.errors import BootstrapFailed

START_LIMIT_S = 10.0
"""Starting takes milliseconds: nothing but the socket that is bound already."""

CLOSE_LIMIT_S = 2
"""An answer takes milliseconds; who has not read it by then, or keeps a connection open, is cut off."""

MOST_CONNECTIONS = 64
"""A handful of probes and scrapers; beyond that the answer is 503, and the worker keeps its memory."""

# Connections that wait to be taken. asyncio tries to take as many at a time, and while the process has no descriptor left
# each try is an error of its own in the log, once a second: with uvicorn's 2,048 they were 14,000 lines in six seconds.
_BACKLOG = 64


class HttpServer:
    """Serves an application from ``start`` to ``close``."""

    def __init__(self, app: Starlette, host: str, port: int) -> None:
        self._host = host
        self._port = port
        self._server = _Server(
            uvicorn.Config(
                app,
                http="h11",
                ws="none",
                lifespan="off",
                log_config=None,
                access_log=False,
                server_header=False,
                proxy_headers=False,
                workers=1,
                limit_concurrency=MOST_CONNECTIONS,
                backlog=_BACKLOG,
                timeout_graceful_shutdown=CLOSE_LIMIT_S,
            )
        )
        self._serving: asyncio.Task[None] | None = None

    @property
    def port(self) -> int:
        """The port that is listened on; after ``start`` the real one where 0 was asked for."""
        return self._port

    async def start(self) -> None:
        """Return when connections are answered. Raises BootstrapFailed when the address can't be had."""
        # Beside the loop: a host may be a name, and names are looked up.
        listener = await asyncio.to_thread(self._bind)
        self._port = listener.getsockname()[1]
        self._serving = asyncio.create_task(self._server.serve(sockets=[listener]), name="http")
        self._serving.add_done_callback(_report)
        async with asyncio.timeout(START_LIMIT_S):
            await self._server.up.wait()

    async def close(self) -> None:
        """Stop listening and end what is still being answered, within a few seconds."""
        serving, self._serving = self._serving, None
        if serving is None:
            return
        self._server.should_exit = True
        # Twice its own limit: only a server that hangs is cancelled.
        _, late = await asyncio.wait([serving], timeout=2 * CLOSE_LIMIT_S)
        for task in late:
            task.cancel()
            await asyncio.wait([task])

    def _bind(self) -> socket.socket:
        family = socket.AF_INET6 if ":" in self._host else socket.AF_INET
        try:
            return socket.create_server((self._host, self._port), family=family)
        except OSError as error:
            raise BootstrapFailed(f"HTTP: {self._host}:{self._port}: {_why(error, self._port)}") from error


class _Server(uvicorn.Server):
    """uvicorn's server as a guest in a process that owns its signals."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.up = asyncio.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.up.set()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def _why(error: OSError, port: int) -> str:
    if error.errno == errno.EADDRINUSE:
        return (
            f"port {port} is taken by another process (another worker on this machine?): set HTTP_PORT to a free one, "
            "HTTP_PORT=0 for any, or HTTP_ENABLED=False."
        )
    if error.errno == errno.EACCES:
        return f"this user may not listen on port {port}: set HTTP_PORT to one above 1023."
    return f"can't listen there ({error.strerror or error}): set HTTP_HOST to an address of this machine."


def _report(serving: asyncio.Task[None]) -> None:
    if not serving.cancelled() and (error := serving.exception()) is not None:
        logger.opt(exception=error).error("http_server_failed: /health, /ready and /metrics no longer answer")
