"""The HTTP connection that vendors are spoken to with: bounded in time, bounded in size, blind to the environment."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import httpx

from llm_service.errors import ProviderAnswerInvalid
from llm_service.providers.stopwatch import Stopwatch, current_stopwatch

if TYPE_CHECKING:
    import ssl

MAX_ANSWER_BYTES = 32 * 1024 * 1024
"""Of one HTTP answer. The longest answer a model gives is about 128k tokens; streamed one token a line with
about 130 bytes around it, as Ollama does, that is 17 MB. Twice that is no answer any more."""

MAX_TEXT_CHARS = 4 * 1024 * 1024
"""Of one answer's text: 128k tokens of 4 characters are 0.5 million; eight times that is no answer any more."""


def sendable(text: str) -> str:
    """The text with a question mark for each half of a surrogate pair, which UTF-8 has no bytes for.

    A broken document can hold one; it must neither end its task nor count as the vendor's failure.
    """
    return text.encode("utf-8", "replace").decode("utf-8")


@dataclass(frozen=True, slots=True)
class Timeouts:
    """Seconds. ``silence_s`` limits the wait between two chunks, ``first_byte_s`` that for the first (None: the same)."""

    connect_s: float
    silence_s: float
    first_byte_s: float | None = None

    @property
    def first_s(self) -> float:
        """From a call to its first chunk at most: a free connection, connecting, and the vendor's first byte."""
        return self.connect_s + self.silence_s + self._first_byte

    def for_httpx(self) -> httpx.Timeout:
        longest = max(self.silence_s, self._first_byte)
        return httpx.Timeout(self.silence_s, connect=self.connect_s, read=longest)

    @property
    def _first_byte(self) -> float:
        return self.silence_s if self.first_byte_s is None else self.first_byte_s


class BoundedStream(httpx.AsyncByteStream):
    """Passes an answer's bytes on until there are too many of them."""

    def __init__(self, inner: httpx.AsyncByteStream, limit: int) -> None:
        self._inner = inner
        self._left = limit

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for part in self._inner:
            self._left -= len(part)
            if self._left < 0:
                raise ProviderAnswerInvalid(
                    "The provider's answer is larger than any answer of a model can be."
                )
            yield part

    async def aclose(self) -> None:
        await self._inner.aclose()


class _Connecting:
    """Listens to httpcore's tracing, which tells of each step of a connection's opening."""

    def __init__(self, watch: Stopwatch) -> None:
        self._watch = watch
        self._began = 0.0

    async def __call__(self, event: str, _info: object) -> None:
        step, _, moment = event.rpartition(".")
        if step not in {"connection.connect_tcp", "connection.start_tls"}:
            return
        if moment == "started":
            self._began = time.monotonic()
        else:
            self._watch.connected(time.monotonic() - self._began)


class BoundedTransport(httpx.AsyncHTTPTransport):
    """httpx's transport, with an answer's size limited before anything reads it, and connecting measured.

    A compressed answer is refused: we ask for none, and one of a few kB can unpack to gigabytes.
    """

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        if (watch := current_stopwatch()) is not None:
            request.extensions = {**request.extensions, "trace": _Connecting(watch)}
        response = await super().handle_async_request(request)
        if response.headers.get("content-encoding", "identity") != "identity":
            await response.aclose()
            raise ProviderAnswerInvalid("The provider sent a compressed answer, which was not asked for.")
        if isinstance(response.stream, httpx.AsyncByteStream):
            response.stream = BoundedStream(response.stream, MAX_ANSWER_BYTES)
        return response


def transport(tls: ssl.SSLContext, max_connections: int) -> BoundedTransport:
    """A pool of connections; ``trust_env`` off, so that no proxy or bundle comes from the environment."""
    limits = httpx.Limits(max_connections=max_connections, max_keepalive_connections=max_connections)
    return BoundedTransport(verify=tls, limits=limits, trust_env=False)
