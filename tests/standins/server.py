"""What every stand-in's process does: bind, say where, serve until its starter is gone."""

from __future__ import annotations

import asyncio
import gzip
import json
import secrets
import socket
import sys
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import uvicorn

from tests.standins.behaviour import Behaviour, Behaviours, marker_of
from tests.standins.exchange import AsgiMessage, BrokenOffError, Exchange, GoneError, Receive, Send
from tests.standins.request_log import RequestLog

CONTROL = "/_control"
BOMB = gzip.compress(b" " * 64_000_000)


@dataclass(frozen=True, slots=True)
class Asked:
    """A request's content, and the text in which markers and directives are looked for."""

    content: Any
    text: str = ""


@dataclass(frozen=True, slots=True)
class Told:
    """How to answer this one request."""

    behaviour: Behaviour
    nonce: str
    marker: str

    def words(self, prompt: str) -> str:
        """The model's answer: as told, or some words that show which answer they are."""
        if self.behaviour.big:
            return "a" * self.behaviour.big
        if self.behaviour.echo:
            return f"{self.nonce} {prompt}"
        template = self.behaviour.answer or "Ответ {nonce} на задачу {marker}. Это всё."
        return template.replace("{nonce}", self.nonce).replace("{marker}", self.marker)


class Standin(ABC):
    """The part that is no vendor's: control, counting, the log and the faults."""

    def __init__(self, log: RequestLog) -> None:
        self.log = log
        self.behaviours = Behaviours()
        self.active: Counter[str] = Counter()
        self.most_active: Counter[str] = Counter()
        self.total: Counter[str] = Counter()

    async def __call__(self, scope: AsgiMessage, receive: Receive, send: Send) -> None:
        exchange = Exchange(scope, receive, send)
        try:
            body = await exchange.body()
        except GoneError:
            return
        if exchange.path == CONTROL:
            await self._control(exchange, body)
        else:
            await self._logged(exchange, body)

    @abstractmethod
    def kind_of(self, exchange: Exchange) -> str:
        """What sort of request this is, for rules and counts."""

    @abstractmethod
    def read(self, exchange: Exchange, kind: str, body: bytes) -> Asked:
        """What is asked; None as the content when it can't be read."""

    @abstractmethod
    async def answer(self, exchange: Exchange, kind: str, asked: Asked, told: Told) -> str:
        """Answer as the vendor would; gives the outcome's name."""

    @abstractmethod
    def refusal(self, status: int, detail: str, code: str = "") -> object:
        """An error's body in the vendor's form; ``code`` where the vendor has one."""

    def set(self, name: str, value: object) -> None:
        """Change how the server is set up while it runs."""
        if not hasattr(self, name):
            raise ValueError(f"no such setting: {name}")
        setattr(self, name, value)

    def state(self) -> dict[str, object]:
        return {"active": dict(self.active), "most_active": dict(self.most_active), "total": dict(self.total)}

    async def _control(self, exchange: Exchange, body: bytes) -> None:
        """GET: the state. POST: an instruction, or ``{"set": {…}}``. DELETE: forget all instructions."""
        try:
            if exchange.method == "POST":
                instruction = json.loads(body)
                for name, value in instruction.pop("set", {}).items():
                    self.set(name, value)
                if instruction:
                    self.behaviours.add(instruction)
            elif exchange.method == "DELETE":
                self.behaviours.clear()
        except ValueError as error:
            await exchange.reply(400, {"message": str(error)})
        else:
            await exchange.reply(200, self.state())

    async def _logged(self, exchange: Exchange, body: bytes) -> None:
        kind = self.kind_of(exchange)
        asked = self.read(exchange, kind, body)
        told = Told(self.behaviours.towards(kind, asked.text), secrets.token_hex(8), marker_of(asked.text))
        self.total[kind] += 1
        self.active[kind] += 1
        self.most_active[kind] = max(self.most_active[kind], self.active[kind])
        shown = body.decode("utf-8", "replace") if self.log.bodies else ""
        number = self.log.begin(kind, told.marker, self.active[kind], shown, exchange.headers)
        outcome = "broken"
        try:
            outcome = await self._behaved(exchange, kind, asked, told)
        except GoneError:
            outcome = "gone"
        finally:
            self.active[kind] -= 1
            self.log.end(number, exchange.status, outcome, told.nonce if outcome == "answered" else "")

    async def _behaved(self, exchange: Exchange, kind: str, asked: Asked, told: Told) -> str:
        behaviour = told.behaviour
        await exchange.pause(behaviour.delay)
        if behaviour.reset:
            exchange.abort()
            return "broken"
        if behaviour.silence:
            await exchange.pause(behaviour.silence)
            raise BrokenOffError
        if behaviour.compressed:
            await exchange.start(200, "text/event-stream", {"content-encoding": "gzip"})
            await exchange.end(BOMB)
            return "broken"
        if behaviour.status:
            detail = "as told"
            if behaviour.leak:
                detail += " for " + exchange.headers.get("authorization", "")
            headers = {"retry-after": behaviour.retry_after} if behaviour.retry_after else {}
            return await self.refuse(exchange, behaviour.status, detail, headers, behaviour.code)
        return await self.answer(exchange, kind, asked, told)

    async def refuse(
        self,
        exchange: Exchange,
        status: int,
        detail: str,
        headers: Mapping[str, str] | None = None,
        code: str = "",
    ) -> str:
        await exchange.reply(status, self.refusal(status, detail, code), headers)
        return "refused"

    async def streamed(
        self, exchange: Exchange, content_type: str, pieces: list[bytes], behaviour: Behaviour
    ) -> str:
        """Send an answer's pieces, the last of which is its end, with what the behaviour does to it."""
        await exchange.start(200, "text/html" if behaviour.badtype else content_type)
        if behaviour.flood:
            for _ in range(behaviour.flood):
                await exchange.send(b"a" * 1_000_000)
            raise BrokenOffError
        if behaviour.drip:
            await exchange.stream([bytes([byte]) for byte in b"".join(pieces)], behaviour.drip)
        elif behaviour.stall or behaviour.cut:
            await exchange.stream(pieces[: behaviour.after], behaviour.gap)
            await exchange.pause(behaviour.stall)
            raise BrokenOffError
        elif behaviour.noend:
            await exchange.stream(pieces[:-1], behaviour.gap)
        elif behaviour.gap:
            await exchange.stream(pieces, behaviour.gap)
        else:
            await exchange.end(b"".join(pieces))
            return "answered"
        await exchange.end()
        return "broken" if behaviour.noend else "answered"


def split(text: str, count: int) -> list[str]:
    """The text in so many parts of about one length."""
    size = max(1, -(-len(text) // max(1, count)))
    return [text[at : at + size] for at in range(0, len(text), size)] or [""]


def serve(
    standin: Standin, port: int, ready: dict[str, str], certificate: Path | None, key: Path | None
) -> None:
    """Serve until standard input ends, which it does when the starter is gone, whatever way it went."""
    # The protocol by its name: asyncio switches Nagle's algorithm off for such sockets only, and with it on every
    # answer waits 40 ms for the client's delayed acknowledgement.
    bound = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    bound.bind(("127.0.0.1", port))
    config = uvicorn.Config(
        standin,
        log_config=None,
        log_level="critical",
        access_log=False,
        lifespan="off",
        interface="asgi3",
        ws="none",
        backlog=2048,
        timeout_keep_alive=60,
        timeout_graceful_shutdown=1,
        ssl_certfile=certificate,
        ssl_keyfile=str(key) if key else None,
    )
    asyncio.run(_serve(uvicorn.Server(config), bound, ready))


async def _serve(server: uvicorn.Server, bound: socket.socket, ready: dict[str, str]) -> None:
    scheme = "https" if server.config.is_ssl else "http"
    address = f"{scheme}://127.0.0.1:{bound.getsockname()[1]}"
    bound.listen(2048)
    print(json.dumps({"address": address, **ready}), flush=True)  # noqa: T201
    loop = asyncio.get_running_loop()
    serving = asyncio.create_task(server.serve(sockets=[bound]))
    ended = loop.create_future()
    loop.add_reader(sys.stdin.fileno(), lambda: None if ended.done() else ended.set_result(None))
    await asyncio.wait({serving, ended}, return_when=asyncio.FIRST_COMPLETED)
    loop.remove_reader(sys.stdin.fileno())
    server.should_exit = True
    await serving
