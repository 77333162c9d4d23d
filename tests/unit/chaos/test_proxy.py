"""The proxy's own answer, on real sockets."""

from __future__ import annotations

import asyncio
import random

from tests.chaos.proxy import Link, Weather
from tests.services.ports import free_port


async def asked(port: int) -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"GET /bucket/key HTTP/1.1\r\nHost: store\r\n\r\n")
    await writer.drain()
    said = await asyncio.wait_for(reader.read(), 5)
    writer.close()
    return said


async def test_a_link_may_answer_itself_and_then_lets_through_again() -> None:
    heard: list[bytes] = []

    async def store(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heard.append(await reader.read(1000))
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        writer.close()

    target, port = free_port(), free_port()
    async with await asyncio.start_server(store, "127.0.0.1", target):
        link = Link("minio", port, target, random.Random(1))
        async with await link.serve():
            await link.change(Weather(http_status=503))
            refused = await asked(port)
            assert refused.startswith(b"HTTP/1.1 503 ")
            assert b"<Code>SlowDown</Code>" in refused
            assert b"".join(heard) == b"", "the store was asked nothing"
            await link.change(Weather())
            assert (await asked(port)).startswith(b"HTTP/1.1 200 OK")
