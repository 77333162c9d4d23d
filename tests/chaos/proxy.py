"""A TCP proxy between workers and what they depend on: ``python -m tests.chaos.proxy NAME:PORT:TARGET …``.

Each link leads from a port of 127.0.0.1 to another. Standard input takes one JSON object a line, ``{"link": NAME, …}``
with the fields of ``Weather``, and ends the proxy when it ends.
"""

from __future__ import annotations

import asyncio
import json
import random
import socket
import struct
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

_CHUNK = 64 * 1024
_LOOK_S = 0.02
_RESET = struct.pack("ii", 1, 0)
"""SO_LINGER of zero seconds: the other side gets a reset, no end."""
_BODY = b"<Error><Code>SlowDown</Code><Message>Please reduce your request rate.</Message></Error>"
"""What an object store that has too much to do says."""


@dataclass(frozen=True, slots=True)
class Weather:
    """How a link is now; the default lets everything through."""

    delay_s: float = 0.0
    jitter_s: float = 0.0
    bytes_a_second: float = 0.0
    """0 for as many as come."""
    cut_up: bool = False
    """Nothing from the worker arrives; its connections stay open."""
    cut_down: bool = False
    """Nothing arrives at the worker."""
    reset: bool = False
    """All connections are reset, and each new one at once."""
    lose_replies: bool = False
    """What is asked arrives; the answer is dropped and its connection reset."""
    http_status: int = 0
    """Where above 0, a request gets this answer from the link itself, and its connection ends: for HTTP without TLS."""


@dataclass(slots=True)
class Link:
    """One port, and the connections that came by it."""

    name: str
    port: int
    target: int
    rng: random.Random
    weather: Weather = Weather()
    writers: set[asyncio.StreamWriter] = field(default_factory=set)
    changed: asyncio.Condition = field(default_factory=asyncio.Condition)

    async def serve(self) -> asyncio.Server:
        return await asyncio.start_server(self._accept, "127.0.0.1", self.port)

    async def change(self, weather: Weather) -> None:
        self.weather = weather
        if weather.reset:
            self.reset_all()
        async with self.changed:
            self.changed.notify_all()

    def reset_all(self) -> None:
        for writer in list(self.writers):
            _reset(writer)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self.weather.reset:
            _reset(writer)
            return
        try:
            there_reader, there_writer = await asyncio.open_connection("127.0.0.1", self.target)
        except OSError:
            _reset(writer)
            return
        both = {writer, there_writer}
        self.writers |= both
        up = asyncio.create_task(self._pump(reader, there_writer, lambda: self.weather.cut_up, back=writer))
        down = asyncio.create_task(self._pump(there_reader, writer, lambda: self.weather.cut_down))
        try:
            await asyncio.wait({up, down}, return_when=asyncio.FIRST_COMPLETED)
            await asyncio.sleep(_LOOK_S)  # what the other side has said last arrives
        finally:
            for task in (up, down):
                task.cancel()
            await asyncio.gather(up, down, return_exceptions=True)
            self.writers -= both
            for one in both:
                one.close()

    async def _open(self, is_cut: Callable[[], bool]) -> None:
        """Return when this way is not cut off."""
        async with self.changed:
            await self.changed.wait_for(lambda: not is_cut())

    async def _pump(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        is_cut: Callable[[], bool],
        *,
        back: asyncio.StreamWriter | None = None,
    ) -> None:
        """One way of a connection; ``back`` leads to who asks, on the way of what is asked."""
        while chunk := await reader.read(_CHUNK):
            await self._open(is_cut)
            weather = self.weather
            if back is not None and weather.http_status:
                back.write(_refusal(weather.http_status))
                return
            if back is None and weather.lose_replies:
                for one in list(self.writers):
                    if one is writer:
                        _reset(one)
                return
            if weather.delay_s:
                await asyncio.sleep(max(0.0, self.rng.gauss(weather.delay_s, weather.jitter_s / 2)))
            if weather.bytes_a_second:
                await asyncio.sleep(len(chunk) / weather.bytes_a_second)
            writer.write(chunk)
            await writer.drain()


def _refusal(status: int) -> bytes:
    head = f"HTTP/1.1 {status} Refused\r\nContent-Type: application/xml\r\nContent-Length: {len(_BODY)}\r\n"
    return head.encode() + b"Connection: close\r\n\r\n" + _BODY


def _reset(writer: asyncio.StreamWriter) -> None:
    bound = writer.get_extra_info("socket")
    if bound is not None and bound.fileno() >= 0:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
    writer.transport.abort()


async def _listen(links: dict[str, Link]) -> None:
    servers = [await link.serve() for link in links.values()]
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    loop, lines = asyncio.get_running_loop(), asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(lines), sys.stdin)
    while line := await lines.readline():
        told: dict[str, Any] = json.loads(line)
        await links[told.pop("link")].change(Weather(**told))
    for server in servers:
        server.close()
    for link in links.values():
        link.reset_all()


def main() -> None:
    links = {}
    for argument in sys.argv[1:]:
        name, port, target = argument.split(":")
        links[name] = Link(name, int(port), int(target), random.Random(name))
    asyncio.run(_listen(links))


if __name__ == "__main__":
    main()
