"""GigaChat's API v1 as its documentation describes it: ``python -m tests.standins.gigachat --log FILE …``.

OAuth and API share one address. What the vendor refuses is refused here: a token request without RqUID or with a wrong
key or scope, more than ten of them a second, a bearer that ended, an unknown model or file, a system message
that is not first or not single, a file of a wrong type or size, two pictures in a message.
"""

from __future__ import annotations

import argparse
import base64
import json
import re
import time
import uuid
from collections import deque
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

from tests.standins.exchange import Exchange
from tests.standins.gigachat_storage import Storage, read_upload
from tests.standins.refused import Refused
from tests.standins.request_log import RequestLog
from tests.standins.server import Asked, Standin, Told, serve, split

KEY = base64.b64encode(b"8f3c1d9e-0000-4000-8000-5a6b7c8d9e0f:stand-in-secret").decode()
SCOPE = "GIGACHAT_API_CORP"
MODELS = ("GigaChat", "GigaChat-Pro", "GigaChat-Max")
EMBEDDING_MODELS = ("Embeddings", "EmbeddingsGigaR")
TOKENS_A_SECOND = 10
"""What the vendor allows."""
ROLES = {"system", "user", "assistant", "function"}

ROUTES = {
    ("POST", "/api/v2/oauth"): "oauth",
    ("POST", "/api/v1/chat/completions"): "chat",
    ("GET", "/api/v1/models"): "models",
    ("GET", "/api/v1/balance"): "balance",
    ("POST", "/api/v1/files"): "upload",
    ("GET", "/api/v1/files"): "files",
    ("POST", "/api/v1/tokens/count"): "count",
    ("POST", "/api/v1/embeddings"): "embed",
}
DELETE = re.compile(r"^/api/v1/files/([^/]+)/delete$")


class GigaChatStandin(Standin):
    """One account. Attributes without an underscore can be set over the control endpoint."""

    def __init__(self, log: RequestLog, *, token_life_s: float = 1800.0, instant: bool = False) -> None:
        super().__init__(log)
        self.token_life_s = token_life_s
        self.token_form = "access_token"
        self.clock_ahead_s = 0.0
        self.max_streams = 0
        self.tokens_a_second = TOKENS_A_SECOND
        self.balance: list[float] | None = None
        self.context_tokens = 131_072
        """Of every model: what is longer is refused by 413, and by 422 where a file makes it so."""
        self.instant = instant
        self.storage = Storage()
        self._tokens: dict[str, float] = {}
        self._token_requests: deque[float] = deque()

    def kind_of(self, exchange: Exchange) -> str:
        kind = ROUTES.get((exchange.method, exchange.path))
        return kind or ("delete" if DELETE.match(exchange.path) else "unknown")

    def read(self, exchange: Exchange, kind: str, body: bytes) -> Asked:
        if kind == "chat":
            return self._read_chat(body)
        if kind == "upload":
            upload = read_upload(exchange.headers.get("content-type", ""), body)
            return Asked(upload, upload.head if upload else "")
        if kind == "oauth":
            return Asked(parse_qs(body.decode("utf-8", "replace")))
        if kind == "delete":
            found = DELETE.match(exchange.path)
            file_id = found.group(1) if found else ""
            return Asked(file_id, self.storage.head(file_id))
        return Asked(body)

    async def answer(self, exchange: Exchange, kind: str, asked: Asked, told: Told) -> str:
        try:
            if kind == "oauth":
                await exchange.reply(200, self._token(exchange, asked.content))
                return "answered"
            self._check_bearer(exchange)
            if kind == "chat":
                return await self._chat(exchange, asked, told)
            await exchange.reply(200, self._other(exchange, kind, asked.content))
        except Refused as refused:
            return await self.refuse(exchange, refused.status, str(refused))
        return "answered"

    def refusal(self, status: int, detail: str, code: str = "") -> object:
        return {"status": status, "message": detail}

    def set(self, name: str, value: object) -> None:
        if name == "file_age_s" and isinstance(value, int | float):
            self.storage.age_s = value
        elif name == "tokens_alive" and not value:
            self._tokens.clear()
        else:
            super().set(name, value)

    def state(self) -> dict[str, object]:
        return super().state() | {"files": self.storage.names(), "stored": self.storage.total}

    def _token(self, exchange: Exchange, form: dict[str, list[str]]) -> object:
        if not exchange.headers.get("rquid", ""):
            raise Refused(400, "RqUID header is missing")
        try:
            uuid.UUID(exchange.headers["rquid"])
        except ValueError:
            raise Refused(400, "RqUID is no UUID") from None
        if exchange.headers.get("authorization") != f"Basic {KEY}":
            raise Refused(401, "Authorization error: header is incorrect")
        if form.get("scope") != [SCOPE]:
            raise Refused(400, "scope from db not fully includes consumed scope")
        now = time.monotonic()
        while self._token_requests and now - self._token_requests[0] >= 1:
            self._token_requests.popleft()
        if len(self._token_requests) >= self.tokens_a_second:
            raise Refused(429, "too many requests")
        self._token_requests.append(now)
        token = f"eyJjdHkiOiJqd3QifQ.{uuid.uuid4().hex}.{uuid.uuid4().hex}"
        self._tokens[token] = now + self.token_life_s
        expires = time.time() + self.clock_ahead_s + self.token_life_s
        if self.token_form == "tok":
            return {"tok": token, "exp": int(expires)}
        return {"access_token": token, "expires_at": int(expires * 1000)}

    def _check_bearer(self, exchange: Exchange) -> None:
        token = exchange.headers.get("authorization", "").removeprefix("Bearer ")
        if self._tokens.get(token, 0.0) < time.monotonic():
            raise Refused(401, "Token has expired")

    def _read_chat(self, body: bytes) -> Asked:
        try:
            chat = json.loads(body)
            messages = chat["messages"]
            texts = [message.get("content") or "" for message in messages]
            ids = [file_id for message in messages for file_id in message.get("attachments") or ()]
        except (ValueError, KeyError, TypeError, AttributeError):
            return Asked(None)
        return Asked(chat, "\n".join([*texts, *(self.storage.head(file_id) for file_id in ids)]))

    async def _chat(self, exchange: Exchange, asked: Asked, told: Told) -> str:
        self._check_chat(asked.content)
        self._check_length(asked.content)
        if self.instant:
            return await self._sent(exchange, asked, told, told.nonce, 1)
        return await self._sent(exchange, asked, told, told.words(asked.text), told.behaviour.chunks)

    def _check_chat(self, chat: dict[str, Any] | None) -> None:
        if chat is None:
            raise Refused(400, "bad request")
        if chat.get("model") not in MODELS:
            raise Refused(404, "No such model")
        messages = chat["messages"]
        roles = [message.get("role") for message in messages]
        if not roles or not set(roles) <= ROLES:
            raise Refused(422, "invalid messages")
        if "system" in roles[1:]:
            raise Refused(422, "system message must be the first message")
        for message in messages:
            self.storage.check(message.get("attachments") or [])
        if self.max_streams and self.active["chat"] > self.max_streams:
            raise Refused(429, "Too Many Requests")

    def _check_length(self, chat: dict[str, Any]) -> None:
        messages = chat["messages"]
        said = sum(_tokens(message.get("content") or "") for message in messages)
        ids = [file_id for message in messages for file_id in message.get("attachments") or ()]
        if said > self.context_tokens:
            raise Refused(413, "Payload too large")
        if said + sum(self.storage.size(file_id) // 4 for file_id in ids) > self.context_tokens:
            raise Refused(422, "Invalid params: attachments are too long")

    async def _sent(self, exchange: Exchange, asked: Asked, told: Told, words: str, chunks: int) -> str:
        finish = told.behaviour.finish or "stop"
        usage = {"prompt_tokens": len(asked.text) // 4 + 1, "completion_tokens": len(words) // 4 + 1}
        usage["total_tokens"] = sum(usage.values())
        envelope = {"created": int(time.time()), "model": f"{asked.content['model']}:2.0.28.2"}
        if not asked.content.get("stream"):
            choice = {"message": {"role": "assistant", "content": words}, "index": 0, "finish_reason": finish}
            whole = {"choices": [choice], **envelope, "object": "chat.completion", "usage": usage}
            await exchange.reply(200, whole)
            return "answered"
        pieces = [_event({"choices": _choices(part), **envelope}) for part in split(words, chunks)]
        last: dict[str, object] = {"choices": _choices("", finish), **envelope}
        if not told.behaviour.nousage:
            last["usage"] = usage
        if told.behaviour.nochoices:
            pieces, last["choices"] = [], []
        if told.behaviour.badjson:
            pieces.append(f'data: {{"choices": [{words}\n\n'.encode())
        if told.behaviour.error:
            pieces.append(b'data: {"status": 500, "message": "Internal Server Error"}\n\n')
        end = _event(last) + b"data: [DONE]\n\n"
        return await self.streamed(
            exchange, "text/event-stream; charset=utf-8", [*pieces, end], told.behaviour
        )

    def _other(self, exchange: Exchange, kind: str, content: Any) -> object:
        if kind == "models":
            listed = [{"id": name, "object": "model", "owned_by": "salutedevices"} for name in MODELS]
            return {"data": listed, "object": "list"}
        if kind == "balance":
            if self.balance is None:
                raise Refused(403, "Permission denied")
            return {"balance": [{"usage": "GigaChat", "value": value} for value in self.balance]}
        if kind == "upload":
            return self.storage.keep(content)
        if kind == "files":
            return {"data": self.storage.listing()}
        if kind == "delete":
            return self.storage.delete(content)
        if kind in {"embed", "count"}:
            asked = json.loads(content)
            return _embeddings(asked) if kind == "embed" else _counted(asked["input"])
        raise Refused(404, f"no {exchange.path}")


def _choices(content: str, finish: str | None = None) -> list[dict[str, object]]:
    choice: dict[str, object] = {"delta": {"content": content, "role": "assistant"}, "index": 0}
    return [choice | {"finish_reason": finish} if finish else choice]


def _counted(texts: list[str]) -> object:
    return [{"object": "tokens", "tokens": _tokens(text), "characters": len(text)} for text in texts]


def _tokens(text: str) -> int:
    return len(text) // 4 + 1


def _embeddings(asked: dict[str, Any]) -> object:
    if asked.get("model") not in EMBEDDING_MODELS:
        raise Refused(404, "No such model")
    data = [
        {
            "object": "embedding",
            "embedding": [len(text) / 100, 0.5],
            "index": at,
            "usage": {"prompt_tokens": 2},
        }
        for at, text in enumerate(asked["input"])
    ]
    return {"object": "list", "data": data, "model": asked["model"]}


def _event(value: dict[str, object]) -> bytes:
    return (
        b"data: " + json.dumps(value | {"object": "chat.completion"}, ensure_ascii=False).encode() + b"\n\n"
    )


def main() -> None:
    """Start from the command line; prints one line of JSON with the address when it listens."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--log", type=Path, required=True)
    parser.add_argument("--log-bodies", action="store_true")
    parser.add_argument("--certificate", type=Path)
    parser.add_argument("--key", type=Path)
    parser.add_argument("--token-life", type=float, default=1800.0, help="seconds")
    parser.add_argument("--instant", action="store_true", help="answer every chat with its nonce, at once")
    options = parser.parse_args()
    log = RequestLog(options.log, bodies=options.log_bodies)
    standin = GigaChatStandin(log, token_life_s=options.token_life, instant=options.instant)
    ready = {"authorization_key": KEY, "scope": SCOPE}
    serve(standin, options.port, ready, options.certificate, options.key)
    log.close()


if __name__ == "__main__":
    main()
