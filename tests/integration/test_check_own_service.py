"""``check --live`` and ``--ready``: what the worker says over HTTP, and what stands in its place."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence

import pytest

from llm_service.cli.checking.finding import Finding, Verdict
from llm_service.cli.checking.own_service import ANSWER_S, live, ready
from llm_service.observability.http import create_app
from llm_service.observability.metrics import Metrics
from llm_service.observability.server import HttpServer
from llm_service.observability.state import Queues, Workers
from llm_service.resilience.clock import SystemClock
from llm_service.settings import Settings, load
from tests.integration.checked import answering, http, silent
from tests.services.ports import free_port
from tests.unit.observability.samples import BUILD

Question = Callable[[Settings, SystemClock], Awaitable[Finding]]


class State:
    """A worker's state, as the test sets it."""

    def __init__(self) -> None:
        self.reasons: Sequence[str] = ()
        self.silence: float | None = 0.0

    def uptime_s(self) -> float:
        return 1.0

    def workers(self) -> Workers:
        return Workers(10, 0)

    def queues(self) -> Queues:
        return Queues(0, 0)

    def shutting_down(self) -> bool:
        return False

    def unready_reasons(self) -> Sequence[str]:
        return self.reasons

    def consumer_silence_s(self) -> float | None:
        return self.silence

    def notes(self) -> Mapping[str, str]:
        return {}

    def details(self) -> Mapping[str, object]:
        return {}


def has_ipv6() -> bool:
    try:
        with socket.create_server(("::1", 0), family=socket.AF_INET6):
            return True
    except OSError:
        return False


async def ask(question: Question, port: int, host: str = "127.0.0.1", **more: str) -> Finding:
    values = {"HTTP_HOST": host, "HTTP_PORT": str(port), **more}
    finding = await question(load(None, values), SystemClock())
    assert finding.component == "worker"
    assert bool(finding.remedy) == (finding.verdict is not Verdict.OK)
    return finding


@pytest.mark.parametrize("host", ["127.0.0.1", "0.0.0.0", "localhost", "::1", "::"])
async def test_a_worker_that_is_well(host: str) -> None:
    if ":" in host and not has_ipv6():
        pytest.skip("this machine has no IPv6")
    server = HttpServer(create_app("llm-service", State(), Metrics.create(BUILD)), host, 0)
    await server.start()
    try:
        for question in (live, ready):
            finding = await ask(question, server.port, host)
            assert finding.verdict is Verdict.OK, finding
            assert finding.seconds is not None
    finally:
        await server.close()


async def test_its_reasons_are_told() -> None:
    state = State()
    server = HttpServer(create_app("llm-service", state, Metrics.create(BUILD)), "127.0.0.1", 0)
    await server.start()
    try:
        state.reasons = ("kafka: no broker answers at kafka:9092", "starting")
        state.silence = 61.0
        unready, dead = await ask(ready, server.port), await ask(live, server.port)
    finally:
        await server.close()
    assert unready.verdict is dead.verdict is Verdict.FAILED
    assert unready.seen == "kafka: no broker answers at kafka:9092; starting"
    assert "llm-service check" in str(unready.remedy)
    assert "has not moved for 61 s" in dead.seen
    assert "Start it again" in str(dead.remedy)


async def test_no_worker() -> None:
    port = free_port()
    finding = await ask(live, port)
    assert finding.verdict is Verdict.FAILED
    assert finding.seen == f"no worker answers at 127.0.0.1:{port}"
    assert finding.remedy == "Is it running, is HTTP_ENABLED=True there, is HTTP_PORT the same?"


async def test_a_worker_that_hangs() -> None:
    async with silent() as port:
        began = time.monotonic()
        finding = await ask(live, port)
        assert time.monotonic() - began < ANSWER_S + 1
    assert "is silent for 3 s" in finding.seen


@pytest.mark.parametrize(
    "answer",
    [
        http(200, "<html/>", "text/html"),
        http(404, '{"detail": "Not Found"}'),
        http(200, "{}"),
        b"SSH-2.0-OpenSSH_9.2\r\n",
        b"",
        b"HTTP/1.1\r\n\r\n",
        b"x" * 200_000,
    ],
    ids=["a page", "not found", "an object", "no HTTP", "nothing", "half a line", "endless"],
)
async def test_something_else_answers(answer: bytes) -> None:
    async with answering(answer) as port:
        finding = await ask(ready, port)
    assert finding.verdict is Verdict.FAILED
    assert "is not this service" in finding.seen
    assert "HTTP_PORT" in str(finding.remedy)


async def test_nobody_can_be_asked() -> None:
    off = await ask(live, 8081, HTTP_ENABLED="False")
    assert off.verdict is Verdict.FAILED
    assert "HTTP_ENABLED=True" in str(off.remedy)
    anywhere = await ask(live, 0)
    assert anywhere.verdict is Verdict.FAILED
    assert "HTTP_PORT" in str(anywhere.remedy)


def test_it_starts_quickly() -> None:
    """A container's health check runs it every few seconds beside the work: nothing heavy is imported."""
    loaded = subprocess.run(
        [
            sys.executable,
            "-c",
            "import llm_service.cli.checking.own_service, json, sys; print(json.dumps([*sys.modules]))",
        ],
        stdout=subprocess.PIPE,
        timeout=30,
        check=True,
    ).stdout
    heavy = {
        "httpx",
        "aiokafka",
        "confluent_kafka",
        "asyncpg",
        "minio",
        "starlette",
        "rich",
        "gigachat",
        "ollama",
    }
    assert not heavy & set(json.loads(loaded))
