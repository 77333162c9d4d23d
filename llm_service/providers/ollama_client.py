"""Ollama's client with what it has no parameter for: ``truncate: false``, headers of an error, and no environment."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, Mapping
from pathlib import Path
from typing import cast

import httpx
from ollama import AsyncClient, ChatResponse

from llm_service.providers.compatible.options import tls
from llm_service.providers.transport import Timeouts, sendable, transport

MAX_CONNECTIONS = 200
"""Above any worker's pool: how many calls run at once is limited around the provider, not here."""


class OllamaRefusedError(Exception):
    """The server answered with a status that is no success; the client's own error keeps no headers."""

    def __init__(self, status: int, headers: Mapping[str, str], body: bytes) -> None:
        super().__init__(status)
        self.status = status
        self.headers = headers
        self.body = body


class OllamaClient(AsyncClient):
    """The vendor's client: its endpoints and types, our connection."""

    def __init__(self, base_url: str, timeouts: Timeouts, ca_bundle: Path | None = None) -> None:
        """Raises SettingsInvalid where the bundle can't be read."""
        super().__init__(
            base_url,
            follow_redirects=False,
            timeout=timeouts.for_httpx(),
            headers={"Accept-Encoding": "identity"},
            transport=transport(tls(ca_bundle), MAX_CONNECTIONS),
            event_hooks={"response": [_refuse]},
        )
        # The client takes OLLAMA_API_KEY from the environment; only settings decide here.
        self._client.headers.pop("authorization", None)

    async def chat_whole(self, payload: Mapping[str, object]) -> AsyncGenerator[ChatResponse, None]:
        """``chat`` with streaming, for a payload of our own: the client's method knows neither ``truncate`` nor ``shift``.

        Both false, or the server cuts a long prompt (and the text before a long answer) without a word.
        """
        whole = {**payload, "stream": True, "truncate": False, "shift": False}
        content = sendable(json.dumps(whole, ensure_ascii=False)).encode()
        stream = await self._request(ChatResponse, "POST", "/api/chat", content=content, stream=True)
        return cast("AsyncGenerator[ChatResponse, None]", stream)

    async def version(self) -> str:
        """The server's version. Raises ValueError where what answers is not Ollama, OllamaRefusedError, httpx.HTTPError."""
        told = (await self._client.get("/api/version")).json()
        if not isinstance(told, dict) or not told.get("version"):
            raise ValueError("no version in the answer")
        return str(told["version"])

    async def aclose(self) -> None:
        """Give back the connections; the client's own ``close`` has no types."""
        await self._client.aclose()


async def _refuse(response: httpx.Response) -> None:
    """A hook that sees each answer's head before the client does."""
    if response.status_code != 200:
        raise OllamaRefusedError(response.status_code, response.headers, await response.aread())
