"""The first words with a broker, said by hand: what a client library turns into one "broker down" is told apart here.

Two requests of Kafka's protocol, in versions that every broker since 1.0 answers: ApiVersions v0, which is allowed before
any login, and SaslHandshake v1, by whose refusal a listener without login gives itself away.
"""

from __future__ import annotations

import asyncio
import ssl
import struct
from dataclasses import dataclass

_SASL_HANDSHAKE, _API_VERSIONS = 17, 18
_UNSUPPORTED_MECHANISM, _NO_LOGIN_HERE = 33, 34
# An ApiVersions answer is some 500 bytes; a length beyond this is another protocol's text read as a number.
_MAX_ANSWER_BYTES = 1 << 20
CONSUMER_GROUP_HEARTBEAT = 68
"""The request of KIP-848's group protocol."""


class NotKafka(Exception):
    """The other side does not answer as a broker does; ``said`` are its bytes, if any."""

    def __init__(self, said: bytes = b"") -> None:
        super().__init__("not a Kafka broker")
        self.said = said


@dataclass(frozen=True, slots=True)
class Greeting:
    """What a listener says of itself before any login."""

    requests: frozenset[int]
    """Keys of the requests it knows."""
    mechanisms: tuple[str, ...] | None
    """Login mechanisms it offers; None where it asks for no login."""


async def greet(host: str, port: int, tls: ssl.SSLContext | None, mechanism: str = "") -> Greeting:
    """Ask a listener what it is; the caller bounds the wait. Raises NotKafka, OSError, ssl.SSLError (an OSError)."""
    reader, writer = await asyncio.open_connection(
        host, port, ssl=tls, server_hostname=host if tls is not None else None
    )
    try:
        requests = _requests(await _ask(reader, writer, _API_VERSIONS, 0, b""))
        name = mechanism.encode()
        answer = await _ask(reader, writer, _SASL_HANDSHAKE, 1, struct.pack(">h", len(name)) + name)
        return Greeting(requests, _mechanisms(answer))
    finally:
        # Not its close(): over TLS that one says goodbye and waits for the answer.
        writer.transport.abort()


async def _ask(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, key: int, version: int, body: bytes
) -> bytes:
    client = b"llm-service-check"
    request = struct.pack(">hhih", key, version, key, len(client)) + client + body
    writer.write(struct.pack(">i", len(request)) + request)
    await writer.drain()
    said = b""
    try:
        said = await reader.readexactly(8)
        size, correlation = struct.unpack(">ii", said)
        if not 4 <= size <= _MAX_ANSWER_BYTES or correlation != key:
            raise NotKafka(said)
        return await reader.readexactly(size - 4)
    except asyncio.IncompleteReadError as cut:
        raise NotKafka(said + cut.partial) from cut


def _requests(answer: bytes) -> frozenset[int]:
    error, count = struct.unpack_from(">hi", answer)
    if error or len(answer) < 6 + 6 * count:
        raise NotKafka(answer[:8])
    return frozenset(struct.unpack_from(">h", answer, 6 + 6 * index)[0] for index in range(count))


def _mechanisms(answer: bytes) -> tuple[str, ...] | None:
    error, count = struct.unpack_from(">hi", answer)
    if error not in {0, _UNSUPPORTED_MECHANISM}:
        return None
    names, at = [], 6
    for _ in range(count):
        (length,) = struct.unpack_from(">h", answer, at)
        names.append(answer[at + 2 : at + 2 + length].decode("utf-8", "replace"))
        at += 2 + length
    return tuple(names)
