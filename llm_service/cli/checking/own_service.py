"""The worker that runs beside this command, asked over its own HTTP.

A container's health check runs this every few seconds, so it imports nothing that it does not need: no HTTP library,
none of the service's parts.
"""

from __future__ import annotations

import asyncio
import ipaddress
import json
from collections.abc import Mapping
from dataclasses import dataclass

from llm_service.cli.checking.finding import Finding, Verdict
from llm_service.resilience.clock import Clock
from llm_service.settings import Settings

COMPONENT = "worker"

ANSWER_S = 3.0
"""For the whole question: the worker answers in milliseconds, and one whose event loop hangs never does."""

_MOST_BYTES = 64 * 1024
"""The answer is a word and a few sentences; whoever sends more is not the worker."""


@dataclass(frozen=True, slots=True)
class _Question:
    """One of the two, with what to do when the answer is no."""

    path: str
    word: str
    remedy: str


_LIVE = _Question("/live", "live", "Start it again: only a new process helps a worker that hangs.")
_READY = _Question("/ready", "ready", "Run llm-service check: it looks at each of these and says what to do.")


@dataclass(frozen=True, slots=True)
class _Answer:
    status: int
    body: bytes


class _NotHttp(Exception):
    """Bytes came back that are no HTTP answer."""


async def live(settings: Settings, clock: Clock) -> Finding:
    """Whether the worker moves, asked at HTTP_HOST and HTTP_PORT; within 3 s."""
    return await _asked(_LIVE, settings, clock)


async def ready(settings: Settings, clock: Clock) -> Finding:
    """Whether the worker takes tasks; what keeps it from that is what is ``seen``; within 3 s."""
    return await _asked(_READY, settings, clock)


async def _asked(question: _Question, settings: Settings, clock: Clock) -> Finding:
    host, port = _reachable(settings.http.host), settings.http.port
    place = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    if not settings.http.enabled:
        return _no(question, "nobody can be asked: HTTP_ENABLED=False", "Set HTTP_ENABLED=True.")
    if port == 0:
        return _no(question, "HTTP_PORT=0 takes any free port, unknown here", "Set HTTP_PORT to a number.")
    began = clock.monotonic()
    try:
        async with asyncio.timeout(ANSWER_S):
            answer = await _get(host, port, question.path)
    except TimeoutError:
        return _no(
            question,
            f"the worker at {place} is silent for {ANSWER_S:g} s",
            "Its event loop hangs or its machine is overloaded: look at its log and start it again.",
        )
    except _NotHttp:
        return _stranger(question, place)
    except OSError:
        return _no(
            question,
            f"no worker answers at {place}",
            "Is it running, is HTTP_ENABLED=True there, is HTTP_PORT the same?",
        )
    return _understood(question, answer, place, clock.monotonic() - began)


def _understood(question: _Question, answer: _Answer, place: str, seconds: float) -> Finding:
    told = _object(answer.body)
    if question.word not in told:
        return _stranger(question, place)
    if answer.status == 200 and told[question.word] is True:
        return Finding(COMPONENT, question.word, Verdict.OK, f"yes, says {place}", None, seconds)
    reasons = told.get("reasons")
    said = "; ".join(map(str, reasons)) if isinstance(reasons, list) and reasons else "it gives no reason"
    return _no(question, said, question.remedy, seconds)


def _stranger(question: _Question, place: str) -> Finding:
    return _no(
        question,
        f"what answers at {place} is not this service",
        "Set HTTP_PORT to a port that nothing else has, for the worker and for this command.",
    )


def _no(question: _Question, seen: str, remedy: str, seconds: float | None = None) -> Finding:
    return Finding(COMPONENT, question.word, Verdict.FAILED, seen, remedy, seconds)


def _reachable(host: str) -> str:
    """Where to ask: an address that means all of this machine's can be listened on and not called."""
    try:
        number = ipaddress.ip_address(host)
    except ValueError:
        return host
    if not number.is_unspecified:
        return host
    return "::1" if number.version == 6 else "127.0.0.1"


async def _get(host: str, port: int, path: str) -> _Answer:
    """HTTP/1.0, whose answer ends with the connection. Raises OSError and _NotHttp."""
    reader, writer = await asyncio.open_connection(host, port)
    try:
        writer.write(f"GET {path} HTTP/1.0\r\nHost: {host}\r\nAccept: application/json\r\n\r\n".encode())
        await writer.drain()
        answer = b""
        while len(answer) < _MOST_BYTES and (part := await reader.read(_MOST_BYTES)):
            answer += part
    finally:
        writer.close()
    head, found, body = answer.partition(b"\r\n\r\n")
    words = head.split(maxsplit=2)
    if not found or not words[0].startswith(b"HTTP/1.") or not words[1:2] or not words[1].isdigit():
        raise _NotHttp
    return _Answer(int(words[1]), body)


def _object(body: bytes) -> Mapping[str, object]:
    try:
        value = json.loads(body)
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}
