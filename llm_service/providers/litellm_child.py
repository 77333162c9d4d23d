"""What runs in LiteLLM's process: the library imported once, and any number of calls at a time until the socket ends.

The library takes 200 MB and seconds to import, and its hundred vendors' code whatever it likes: here it can neither hold
up nor end the service, and reads none of its environment.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any

from llm_service.engine.upkeep import belong_to
from llm_service.providers import litellm_frames as frames
from llm_service.providers.compatible.options import tls

_MESSAGE_CHARS = 2_000
_DEEPEST = 10


def main(control_fd: int, parent: int, _setup: str) -> None:
    """Serve until the socket ends. ``parent``: the process that started this one; without it, it ends."""
    belong_to(parent)
    asyncio.run(_serve(socket.socket(fileno=control_fd)))


async def _serve(control: socket.socket) -> None:
    control.setblocking(False)  # noqa: FBT003 - the socket's own signature
    reader, writer = await asyncio.open_connection(sock=control)
    with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
        setup = await frames.read(reader)
        library = await asyncio.to_thread(_imported)
        if setup.get("ca_bundle"):
            library.ssl_verify = tls(Path(setup["ca_bundle"]))
        writer.write(frames.pack({"kind": "hello"}))
        beating = asyncio.create_task(_beat(writer))
        await _Calls(library, setup, writer).take(reader)
        beating.cancel()


def _imported() -> Any:
    library: Any = import_module("litellm")
    library.suppress_debug_info = True
    library.telemetry = False
    library.drop_params = False
    return library


async def _beat(writer: asyncio.StreamWriter) -> None:
    while True:
        writer.write(frames.pack({"kind": "beat"}))
        await asyncio.sleep(frames.BEAT_S)


class _Calls:
    """Calls in progress, by id."""

    def __init__(self, library: Any, setup: dict[str, Any], writer: asyncio.StreamWriter) -> None:
        self._library = library
        # Nothing of a task's own gets between these: it may name neither a key nor an address.
        self._fixed = {"num_retries": 0, "max_retries": 0, "timeout": setup["timeout_s"]}
        self._fixed |= {name: setup[name] for name in ("api_key", "api_base") if setup.get(name)}
        self._writer = writer
        self._running: dict[int, asyncio.Task[None]] = {}

    async def take(self, reader: asyncio.StreamReader) -> None:
        while True:
            frame = await frames.read(reader)
            call_id = int(frame["id"])
            if frame["kind"] == "cancel":
                if (running := self._running.get(call_id)) is not None:
                    running.cancel()
                continue
            act = self._chat if frame["kind"] == "chat" else self._embed
            task = asyncio.create_task(self._guarded(call_id, act(call_id, frame["request"])))
            self._running[call_id] = task
            task.add_done_callback(partial(self._forget, call_id))

    def _forget(self, call_id: int, _task: asyncio.Task[None]) -> None:
        self._running.pop(call_id, None)

    async def _guarded(self, call_id: int, act: Any) -> None:
        try:
            await act
        except Exception as error:
            self._tell(call_id, "error", **_told(error))

    async def _chat(self, call_id: int, request: dict[str, Any]) -> None:
        stream = await self._library.acompletion(**request, **self._fixed)
        reason, model, usage = None, "", None
        try:
            async for chunk in stream:
                model, usage = chunk.model or model, getattr(chunk, "usage", None) or usage
                for choice in chunk.choices[:1]:
                    reason = choice.finish_reason or reason
                    if text := choice.delta.content:
                        self._tell(call_id, "piece", text=text)
        finally:
            await _closed(stream)
        # The library makes up a finish reason for a stream that has none; what came is noted beside it.
        if getattr(stream, "received_finish_reason", reason) is None:
            reason = None
        cost = self._cost(request["model"], usage)
        self._tell(call_id, "end", reason=reason, model=model, usage=_counts(usage), cost=cost)

    async def _embed(self, call_id: int, request: dict[str, Any]) -> None:
        found = await self._library.aembedding(**request, **self._fixed)
        entries = sorted(found.data, key=lambda entry: entry["index"])
        vectors = [entry["embedding"] for entry in entries]
        self._tell(call_id, "vectors", vectors=vectors, model=found.model, usage=_counts(found.usage))

    def _cost(self, model: str, usage: Any) -> float | None:
        """The vendor's own figure, else by the library's table; None where neither knows."""
        if isinstance(own := getattr(usage, "cost", None), int | float):
            return float(own)
        counts = _counts(usage)
        try:
            both = self._library.cost_per_token(
                model=model,
                prompt_tokens=counts["prompt_tokens"] or 0,
                completion_tokens=counts["completion_tokens"] or 0,
            )
        except Exception:  # a model that the table does not have, in whatever way it says so
            return None
        return sum(both) or None

    def _tell(self, call_id: int, kind: str, **more: object) -> None:
        self._writer.write(frames.pack({"kind": kind, "id": call_id, **more}))


async def _closed(stream: Any) -> None:
    """End the request at the vendor, where it has not ended."""
    for one in (stream, getattr(stream, "completion_stream", None)):
        close = getattr(one, "aclose", None) or getattr(one, "close", None)
        if close is not None:
            with contextlib.suppress(Exception):
                await close()


def _counts(usage: Any) -> dict[str, int | None]:
    details = getattr(usage, "prompt_tokens_details", None)
    return {
        "prompt_tokens": getattr(usage, "prompt_tokens", None),
        "completion_tokens": getattr(usage, "completion_tokens", None),
        "cached_tokens": getattr(details, "cached_tokens", None),
    }


def _told(error: Exception) -> dict[str, object]:
    """The library's exception, and what those it was made from know: it drops the vendor's code and its headers."""
    behind: list[BaseException] = [error]
    while len(behind) < _DEEPEST and (cause := behind[-1].__cause__ or behind[-1].__context__) is not None:
        behind.append(cause)
    headers = [getattr(getattr(one, "response", None), "headers", None) or {} for one in behind]
    codes = [getattr(one, name, None) for one in behind for name in ("code", "type")]
    return {
        "error": type(error).__name__,
        "behind": [type(one).__name__ for one in behind],
        "codes": [code for code in codes if isinstance(code, str)],
        "message": str(error)[:_MESSAGE_CHARS],
        "retry_after": next((each["retry-after"] for each in headers if each.get("retry-after")), None),
    }
