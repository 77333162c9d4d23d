"""One HTTP request and its answer, over bare ASGI: a framework's routing would cost more than the work."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Iterable, Mapping, MutableMapping
from typing import Any, TypeAlias

AsgiMessage: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[AsgiMessage]]
Send: TypeAlias = Callable[[AsgiMessage], Awaitable[None]]


class BrokenOffError(Exception):
    """Raised through the server to make it drop the connection in mid-answer."""


class GoneError(Exception):
    """The client closed the connection."""


class Exchange:
    """Reads a request whole, then answers it."""

    def __init__(self, scope: AsgiMessage, receive: Receive, send: Send) -> None:
        self.method: str = scope["method"]
        self.path: str = scope["path"]
        self.headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        self.status = 0
        self.more_headers: dict[str, str] = {}
        """Sent beside those of the answer."""
        self._receive = receive
        self._send = send

    async def body(self) -> bytes:
        parts = []
        while True:
            message = await self._receive()
            if message["type"] == "http.disconnect":
                raise GoneError
            parts.append(message.get("body", b""))
            if not message.get("more_body", False):
                return b"".join(parts)

    async def reply(self, status: int, value: object, headers: Mapping[str, str] | None = None) -> None:
        """A whole answer in JSON."""
        payload = json.dumps(value, ensure_ascii=False).encode()
        await self.start(status, "application/json", {"content-length": str(len(payload)), **(headers or {})})
        await self._send({"type": "http.response.body", "body": payload})

    async def start(self, status: int, content_type: str, headers: Mapping[str, str] | None = None) -> None:
        self.status = status
        listed = [(b"content-type", content_type.encode())]
        listed += [
            (name.encode(), value.encode())
            for name, value in (self.more_headers | dict(headers or {})).items()
        ]
        await self._send({"type": "http.response.start", "status": status, "headers": listed})

    async def send(self, payload: bytes) -> None:
        await self._send({"type": "http.response.body", "body": payload, "more_body": True})

    async def end(self, payload: bytes = b"") -> None:
        await self._send({"type": "http.response.body", "body": payload})

    async def stream(self, pieces: Iterable[bytes], gap: float) -> None:
        """Pieces with a wait between two; all at once when there is none."""
        if not gap:
            await self.send(b"".join(pieces))
            return
        for at, piece in enumerate(pieces):
            if at:
                await self.pause(gap)
            await self.send(piece)

    def abort(self) -> None:
        """Close the connection as it is, without an answer: a server that dies does so."""
        # ASGI has no word for it; the method that it gave us belongs to uvicorn's side of the connection.
        cycle: Any = getattr(self._receive, "__self__")  # noqa: B009 - a plain callable for mypy
        cycle.transport.abort()

    async def pause(self, seconds: float) -> None:
        """Wait, but no longer than the client does. Raises GoneError."""
        if seconds <= 0:
            return
        try:
            message = await asyncio.wait_for(self._receive(), seconds)
        except TimeoutError:
            return
        if message["type"] == "http.disconnect":
            raise GoneError
