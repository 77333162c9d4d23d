"""OpenAI's protocol as its vendors speak it: ``python -m tests.standins.openai --vendor openai --log FILE …``.

An account with a key, money, limits and models with a context. What a vendor refuses is refused here: a wrong key, a
model that is not there, a field it does not know, JSON mode without the word, a prompt beyond the context, more
requests in a minute or at once than the account has.
"""

from __future__ import annotations

import argparse
import json
import time
from collections import deque
from pathlib import Path
from typing import Any

from tests.standins.exchange import Exchange
from tests.standins.openai_flavours import FLAVOURS, error_body, no_money_words, quota_headers
from tests.standins.refused import Refused
from tests.standins.request_log import RequestLog
from tests.standins.server import Asked, Standin, Told, serve, split

KEY = "sk-stand-in-0123456789abcdefghijklmnopqrstuvwxyz"
MODELS = ("small", "large", "seeing")
FIELDS = frozenset(
    {
        "model",
        "messages",
        "stream",
        "stream_options",
        "temperature",
        "top_p",
        "max_tokens",
        "max_completion_tokens",
        "stop",
        "seed",
        "response_format",
        "frequency_penalty",
        "presence_penalty",
        "logit_bias",
        "n",
        "user",
        "reasoning_effort",
    }
)
ROUTES = {
    ("POST", "/v1/chat/completions"): "chat",
    ("POST", "/v1/embeddings"): "embed",
    ("GET", "/v1/models"): "models",
}
MINUTE_S = 60.0


class OpenAIStandin(Standin):
    """One account. Attributes without an underscore can be set over the control endpoint."""

    def __init__(self, log: RequestLog, vendor: str) -> None:
        super().__init__(log)
        self.vendor = vendor
        self.money = True
        self.context = 100_000
        self.requests_a_minute = 0
        self.tokens_a_minute = 0
        self.at_once = 0
        self.minute_s = MINUTE_S
        """How long a minute is here: a test need not wait for a real one."""
        self.tells = True
        """Whether headers say what is left."""
        self.streams = True
        """Whether it takes notice of ``stream``."""
        self._made: deque[tuple[float, int]] = deque()

    def kind_of(self, exchange: Exchange) -> str:
        return ROUTES.get((exchange.method, exchange.path), "unknown")

    def read(self, exchange: Exchange, kind: str, body: bytes) -> Asked:
        if not body:
            return Asked({})
        try:
            content = json.loads(body)
            texts = [_words(message.get("content")) for message in content.get("messages", [])]
        except (ValueError, AttributeError, TypeError):
            return Asked(None)
        return Asked(content, "\n".join(texts))

    async def answer(self, exchange: Exchange, kind: str, asked: Asked, told: Told) -> str:
        try:
            self._check_account(exchange)
            if asked.content is None:
                raise Refused(400, "could not parse the JSON body of your request")
            if kind == "chat":
                self._check_chat(asked)
                return await self._chat(exchange, asked, told)
            await exchange.reply(200, self._other(exchange, kind, asked.content))
        except Refused as refused:
            return await self._refuse(exchange, refused)
        return "answered"

    def refusal(self, status: int, detail: str, code: str = "") -> object:
        flavour = FLAVOURS[self.vendor]
        named = {"no_money": flavour.no_money, "filtered": flavour.filtered}.get(code)
        if named is None:
            return error_body(self.vendor, status, detail, code, code)
        message = no_money_words(self.vendor) if code == "no_money" else "The request was filtered."
        if self.vendor == "openrouter" and code == "filtered":
            return error_body(self.vendor, status, message, code="moderation")
        return error_body(self.vendor, status, message, named[1], named[2])

    def set(self, name: str, value: object) -> None:
        super().set(name, value)
        if name.endswith("_a_minute"):
            self._made.clear()

    async def _refuse(self, exchange: Exchange, refused: Refused) -> str:
        status, kind, code = refused.status, "", ""
        flavour = FLAVOURS[self.vendor]
        message = str(refused)
        headers: dict[str, str] = {}
        if message == "no money":
            (status, kind, code), message = flavour.no_money, no_money_words(self.vendor)
        elif message == "too long":
            status, kind, code, message = flavour.too_long
            message = message.format(limit=self.context)
        elif message.startswith("no model"):
            status, kind, code = flavour.no_model
            message = f"{message.removeprefix('no model ')} is not a valid model ID"
        elif message.startswith("slower"):
            wait = float(message.partition(" ")[2])
            headers = {"retry-after": str(max(1, round(wait))), **self._quota()}
            kind, code, message = "requests", "rate_limit_exceeded", "Rate limit reached, try again later."
        elif status == 401:
            kind, code = "invalid_request_error", "invalid_api_key"
        await exchange.reply(status, error_body(self.vendor, status, message, kind, code), headers)
        return "refused"

    def _check_account(self, exchange: Exchange) -> None:
        if exchange.headers.get("authorization") != f"Bearer {KEY}":
            raise Refused(401, "Incorrect API key provided.")

    def _check_chat(self, asked: Asked) -> None:
        chat = asked.content
        if not self.money:
            raise Refused(0, "no money")
        if chat.get("model") not in MODELS:
            raise Refused(0, f"no model {chat.get('model')}")
        if not chat.get("messages"):
            raise Refused(400, "messages must not be empty")
        if not FLAVOURS[self.vendor].unknown_fields and (unknown := sorted(chat.keys() - FIELDS)):
            raise Refused(400, f"Unrecognized request argument supplied: {', '.join(unknown)}")
        if chat.get("response_format", {}).get("type") == "json_object" and "json" not in asked.text.lower():
            raise Refused(400, "'messages' must contain the word 'json' in some form")
        if len(asked.text) // 4 > self.context:
            raise Refused(0, "too long")
        self._check_limits(len(asked.text) // 4 + 1)

    def _check_limits(self, tokens: int) -> None:
        now = time.monotonic()
        while self._made and now - self._made[0][0] >= self.minute_s:
            self._made.popleft()
        if self.at_once and self.active["chat"] > self.at_once:
            raise Refused(429, "slower 1")
        wait = self._made[0][0] + self.minute_s - now if self._made else 0.0
        if self.requests_a_minute and len(self._made) >= self.requests_a_minute:
            raise Refused(429, f"slower {wait}")
        if self.tokens_a_minute and sum(made for _, made in self._made) + tokens > self.tokens_a_minute:
            raise Refused(429, f"slower {wait}")
        self._made.append((now, tokens))

    def _quota(self) -> dict[str, str]:
        if not self.tells or (not self.requests_a_minute and not self.tokens_a_minute):
            return {}
        left = max(0, (self.requests_a_minute or 10_000) - len(self._made))
        tokens = max(0, (self.tokens_a_minute or 1_000_000) - sum(made for _, made in self._made))
        # Until all of it is there again.
        seconds = self._made[-1][0] + self.minute_s - time.monotonic() if self._made else 0.0
        # As a vendor writes it, of a minute of everyone's.
        stretch = MINUTE_S / self.minute_s
        has = (
            round((self.requests_a_minute or 10_000) * stretch),
            round((self.tokens_a_minute or 1_000_000) * stretch),
        )
        return quota_headers(self.vendor, (left, tokens), has, max(seconds, 0.0))

    async def _chat(self, exchange: Exchange, asked: Asked, told: Told) -> str:
        words = told.words(asked.text)
        behaviour = told.behaviour
        flavour = FLAVOURS[self.vendor]
        usage: dict[str, object] = {
            "prompt_tokens": len(asked.text) // 4 + 1,
            "completion_tokens": len(words) // 4 + 1,
            "prompt_tokens_details": {"cached_tokens": 1},
        }
        if flavour.costs:
            usage["cost"] = 0.000125
        finish = behaviour.finish or "stop"
        envelope = {
            "id": f"chatcmpl-{told.nonce}",
            "created": int(time.time()),
            "model": f"{asked.content['model']}-0613",
        }
        if not self.streams:
            choice = {"index": 0, "message": {"role": "assistant", "content": words}, "finish_reason": finish}
            await exchange.reply(200, {**envelope, "choices": [choice], "usage": usage})
            return "answered"
        if behaviour.error:
            return await self._fail_midway(exchange, envelope, words)
        pieces = [_event({**envelope, "choices": [_choice(part)]}) for part in split(words, behaviour.chunks)]
        if flavour.comments:
            pieces[0] = b": PROCESSING\n\n" + pieces[0]
        pieces += self._ending(asked, told, envelope, usage, finish)
        if behaviour.nochoices:
            pieces = [b"data: [DONE]\n\n"]
        if behaviour.badjson:
            pieces.insert(-1, b'data: {"choices": [{"delta": \n\n')
        return await self.streamed(exchange, "text/event-stream", pieces, behaviour)

    def _ending(
        self, asked: Asked, told: Told, envelope: dict[str, Any], usage: dict[str, object], finish: str
    ) -> list[bytes]:
        """The chunk with the finish reason, usage where the vendor puts it, and the end marker: one piece, as they come."""
        flavour = FLAVOURS[self.vendor]
        last = _choice("", finish)
        wanted = flavour.usage != "asked" or bool(
            asked.content.get("stream_options", {}).get("include_usage")
        )
        events = [{**envelope, "choices": [last]}]
        if wanted and not told.behaviour.nousage:
            if flavour.usage == "choice":
                last["usage"] = usage
            else:
                events.append({**envelope, "choices": [], "usage": usage})
        return [b"".join(map(_event, events)) + b"data: [DONE]\n\n"]

    async def _fail_midway(self, exchange: Exchange, envelope: dict[str, Any], words: str) -> str:
        error = {"code": 502, "message": "Provider disconnected"}
        await exchange.start(200, "text/event-stream")
        await exchange.send(_event({**envelope, "choices": [_choice(words[:3])]}))
        await exchange.end(_event({**envelope, "error": error, "choices": [_choice("", "error")]}))
        return "broken"

    async def streamed(
        self, exchange: Exchange, content_type: str, pieces: list[bytes], behaviour: Any
    ) -> str:
        exchange.more_headers = self._quota()
        return await super().streamed(exchange, content_type, pieces, behaviour)

    def _other(self, exchange: Exchange, kind: str, content: Any) -> object:
        if kind == "models":
            prefix = FLAVOURS[self.vendor].model_prefix
            return {
                "object": "list",
                "data": [{"id": f"{prefix}{name}", "object": "model"} for name in MODELS],
            }
        if kind == "embed":
            data = [
                {"object": "embedding", "index": at, "embedding": [len(text) / 100, 0.5, -0.5]}
                for at, text in enumerate(content["input"])
            ]
            usage = {"prompt_tokens": len(data), "total_tokens": len(data)}
            return {"object": "list", "data": data[::-1], "model": content["model"], "usage": usage}
        raise Refused(404, f"no {exchange.path}")


def _words(content: object) -> str:
    """A message's text, also of one in parts."""
    if isinstance(content, list):
        return "\n".join(str(part.get("text", "")) for part in content)
    return str(content or "")


def _choice(content: str, finish: str | None = None) -> dict[str, object]:
    delta = {"content": content} if content else {}
    return {"index": 0, "delta": delta, "finish_reason": finish}


def _event(value: dict[str, object]) -> bytes:
    return (
        b"data: "
        + json.dumps({"object": "chat.completion.chunk", **value}, ensure_ascii=False).encode()
        + b"\n\n"
    )


def main() -> None:
    """Start from the command line; prints one line of JSON with the address when it listens."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--log", type=Path, required=True)
    parser.add_argument("--log-bodies", action="store_true")
    parser.add_argument("--vendor", choices=sorted(FLAVOURS), default="openai")
    options = parser.parse_args()
    log = RequestLog(options.log, bodies=options.log_bodies)
    serve(OpenAIStandin(log, options.vendor), options.port, {"key": KEY}, None, None)
    log.close()


if __name__ == "__main__":
    main()
