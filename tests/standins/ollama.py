"""Ollama's API as its documentation describes it: ``python -m tests.standins.ollama --log FILE …``.

The real server is what tests run against (tests/services); this one is for the faults it can't be made to have.
"""

from __future__ import annotations

import argparse
import asyncio
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tests.standins.exchange import Exchange
from tests.standins.refused import Refused
from tests.standins.request_log import RequestLog
from tests.standins.server import Asked, Standin, Told, serve, split

CONTEXT = 32_768
MODELS: dict[str, list[str]] = {"tiny": ["completion"], "seeing": ["completion", "vision"]}
ROUTES = {
    ("POST", "/api/chat"): "chat",
    ("POST", "/api/show"): "show",
    ("POST", "/api/embed"): "embed",
    ("GET", "/api/tags"): "models",
    ("GET", "/api/version"): "version",
    ("POST", "/api/pull"): "pull",
}


class OllamaStandin(Standin):
    """Two models, one of which sees. Attributes without an underscore can be set over the control endpoint."""

    def __init__(self, log: RequestLog) -> None:
        super().__init__(log)
        self.models = dict(MODELS)
        self.registry: list[str] = []
        """What can be pulled."""
        self.pull_s = 0.5

    def kind_of(self, exchange: Exchange) -> str:
        return ROUTES.get((exchange.method, exchange.path), "unknown")

    def read(self, exchange: Exchange, kind: str, body: bytes) -> Asked:
        if not body:
            return Asked({})
        try:
            content = json.loads(body)
            texts = [message.get("content") or "" for message in content.get("messages", [])]
        except (ValueError, AttributeError):
            return Asked(None)
        return Asked(content, "\n".join(texts))

    async def answer(self, exchange: Exchange, kind: str, asked: Asked, told: Told) -> str:
        try:
            if asked.content is None:
                raise Refused(400, "invalid request")
            if kind == "chat":
                return await self._chat(exchange, asked, told)
            if kind == "pull":
                return await self._pull(exchange, asked.content, told)
            await exchange.reply(200, self._other(exchange, kind, asked.content))
        except Refused as refused:
            return await self.refuse(exchange, refused.status, str(refused))
        return "answered"

    def refusal(self, status: int, detail: str, code: str = "") -> object:
        return {"error": detail}

    async def _chat(self, exchange: Exchange, asked: Asked, told: Told) -> str:
        content = asked.content
        self._known(content)
        context = content.get("options", {}).get("num_ctx", 4096)
        if content.get("truncate") is False and len(asked.text) // 4 > context:
            raise Refused(400, "the input length exceeds the context length")
        behaviour = told.behaviour
        words = told.words(asked.text)
        pieces = [_line(content["model"], part) for part in split(words, behaviour.chunks)]
        if behaviour.nochoices:
            pieces = [b'{"model": "tiny"}\n']
        if behaviour.badjson:
            pieces.append(b'{"model": "' + words.encode() + b"\n")
        if behaviour.error:
            pieces.append(b'{"error": "the model runner has stopped"}\n')
        end: dict[str, object] = {"done": True, "done_reason": behaviour.finish or "stop"}
        if not behaviour.nousage:
            end |= {"prompt_eval_count": len(asked.text) // 4 + 1, "prompt_eval_duration": 1_000_000}
        end |= {"eval_count": len(words) // 4 + 1, "eval_duration": 1_000_000, "total_duration": 3_000_000}
        last = _line(content["model"], "", end)
        return await self.streamed(exchange, "application/x-ndjson", [*pieces, last], behaviour)

    async def _pull(self, exchange: Exchange, content: Any, told: Told) -> str:
        """As the server: lines of progress under HTTP 200, and an error among them."""
        name = str(content.get("model", ""))
        lines: list[dict[str, object]] = [{"status": "pulling manifest"}]
        if name in self.registry:
            whole, steps = 1_000_000, 5
            lines += [
                {
                    "status": "pulling 123",
                    "digest": "sha256:123",
                    "total": whole,
                    "completed": whole * n // steps,
                }
                for n in range(steps + 1)
            ]
            lines.append({"status": "success"})
        else:
            lines.append({"error": "pull model manifest: file does not exist"})
        pieces = [json.dumps(line).encode() + b"\n" for line in lines]
        await asyncio.sleep(self.pull_s)
        done = await self.streamed(exchange, "application/x-ndjson", pieces, told.behaviour)
        if name in self.registry:
            self.models[name] = ["completion"]
        return done

    def _other(self, exchange: Exchange, kind: str, content: Any) -> object:
        if kind == "show":
            capabilities = self._known(content)
            info = {"general.architecture": "llama", "llama.context_length": CONTEXT}
            return {"details": {"family": "llama"}, "model_info": info, "capabilities": capabilities}
        if kind == "embed":
            self._known(content)
            texts = content["input"] if isinstance(content["input"], list) else [content["input"]]
            vectors = [[len(text) / 100, 0.5, -0.25] for text in texts]
            return {"model": content["model"], "embeddings": vectors, "prompt_eval_count": len(texts)}
        if kind == "models":
            return {"models": [{"model": f"{name}:latest", "name": f"{name}:latest"} for name in self.models]}
        if kind == "version":
            return {"version": "0.17.4"}
        raise Refused(404, f"no {exchange.path}")

    def _known(self, content: dict[str, Any]) -> list[str]:
        name = str(content.get("model", "")).removesuffix(":latest")
        if name not in self.models:
            raise Refused(404, f"model '{name}' not found")
        return self.models[name]


def _line(model: str, words: str, more: dict[str, object] | None = None) -> bytes:
    value = {
        "model": model,
        "created_at": datetime.now(UTC).isoformat(),
        "message": {"role": "assistant", "content": words},
        "done": False,
        **(more or {}),
    }
    return json.dumps(value, ensure_ascii=False).encode() + b"\n"


def main() -> None:
    """Start from the command line; prints one line of JSON with the address when it listens."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--log", type=Path, required=True)
    parser.add_argument("--log-bodies", action="store_true")
    options = parser.parse_args()
    log = RequestLog(options.log, bodies=options.log_bodies)
    serve(OllamaStandin(log), options.port, {}, None, None)
    log.close()


if __name__ == "__main__":
    main()
