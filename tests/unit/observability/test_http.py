"""The answers over HTTP, asked through a real socket."""

from __future__ import annotations

import asyncio
import json
import signal
import socket
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import httpx
import pytest

from llm_service.errors import BootstrapFailed
from llm_service.observability.http import create_app
from llm_service.observability.metrics import Metrics
from llm_service.observability.server import HttpServer
from llm_service.observability.state import Queues, Workers
from tests.unit.observability.samples import BUILD


@dataclass
class State:
    """A service of which the test says how it is."""

    reasons: list[str] = field(default_factory=list)
    stopping: bool = False
    silence: float | None = 0.5

    def uptime_s(self) -> float:
        return 12.34

    def workers(self) -> Workers:
        return Workers(max=10, active=3)

    def queues(self) -> Queues:
        return Queues(processing=3, deduplication=17)

    def shutting_down(self) -> bool:
        return self.stopping

    def unready_reasons(self) -> Sequence[str]:
        return self.reasons

    def consumer_silence_s(self) -> float | None:
        return self.silence

    def notes(self) -> Mapping[str, str]:
        return {}

    def details(self) -> Mapping[str, object]:
        return {"worker_id": "LLM_worker_1", "service": "not mine to say"}


@asynccontextmanager
async def serving(state: State) -> AsyncIterator[httpx.AsyncClient]:
    server = HttpServer(create_app("llm-service", state, Metrics.create(BUILD)), "127.0.0.1", 0)
    await server.start()
    try:
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{server.port}", trust_env=False) as client:
            yield client
    finally:
        await server.close()


async def test_status_as_dashboards_read_it() -> None:
    async with serving(State()) as client:
        answer = await client.get("/status")

    assert answer.status_code == 200
    assert answer.json() == {
        "service": "llm-service",
        "uptime_seconds": 12.3,
        "workers": {"max": 10, "active": 3},
        "queues": {"processing": 3, "deduplication": 17},
        "shutdown_in_progress": False,
        "status": "ok",
        "unready_reasons": [],
        "worker_id": "LLM_worker_1",
    }


@pytest.mark.parametrize(
    ("state", "word"),
    [
        (State(), "ok"),
        (State(reasons=["kafka: silent"]), "degraded"),
        (State(reasons=["kafka: silent"], stopping=True), "shutting_down"),
    ],
)
async def test_health_in_a_word(state: State, word: str) -> None:
    async with serving(state) as client:
        answer = await client.get("/health")
    assert answer.status_code == 200
    assert answer.json() == {"status": word, "uptime_seconds": 12.3}


async def test_ready_follows_the_reasons() -> None:
    state = State()
    async with serving(state) as client:
        before = await client.get("/ready")
        state.reasons.append("kafka: no broker answers")
        during = await client.get("/ready")
        state.reasons.clear()
        after = await client.get("/ready")
        state.stopping = True
        last = await client.get("/ready")

    assert (before.status_code, after.status_code) == (200, 200)
    assert during.status_code == 503
    assert during.json() == {"ready": False, "reasons": ["kafka: no broker answers"]}
    assert last.json()["reasons"] == ["the service is shutting down"]


@pytest.mark.parametrize(("silence", "code"), [(None, 200), (0.0, 200), (59.0, 200), (61.0, 503)])
async def test_live_unless_the_consumers_thread_hangs(silence: float | None, code: int) -> None:
    async with serving(State(reasons=["store: away"], silence=silence)) as client:
        answer = await client.get("/live")
    assert answer.status_code == code
    if code == 503:
        assert "61 s" in answer.json()["reasons"][0]


async def test_metrics_in_the_form_that_is_asked_for() -> None:
    async with serving(State()) as client:
        plain = await client.get("/metrics")
        open_metrics = await client.get(
            "/metrics", headers={"accept": "application/openmetrics-text; version=1.0.0"}
        )

    assert plain.headers["content-type"].startswith("text/plain")
    assert 'version="1.2.3"' in plain.text
    assert open_metrics.headers["content-type"].startswith("application/openmetrics-text")
    assert open_metrics.text.endswith("# EOF\n")


async def test_other_paths_and_methods_tell_nothing() -> None:
    async with serving(State()) as client:
        assert (await client.get("/")).status_code == 404
        assert (await client.post("/status", json={})).status_code == 405
        assert "server" not in (await client.get("/health")).headers


async def test_a_port_that_is_taken_is_said_with_the_way_out() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        server = HttpServer(create_app("s", State(), Metrics.create(BUILD)), "127.0.0.1", port)
        with pytest.raises(BootstrapFailed) as caught:
            await server.start()
        await server.close()
    assert f"127.0.0.1:{port}" in caught.value.message
    assert "set HTTP_PORT" in caught.value.message


@pytest.mark.parametrize("host", ["192.0.2.1", "::2", "no.such.host.invalid"])
async def test_a_host_that_is_not_ours_is_said_with_the_way_out(host: str) -> None:
    server = HttpServer(create_app("s", State(), Metrics.create(BUILD)), host, 0)
    with pytest.raises(BootstrapFailed, match="HTTP_HOST"):
        await server.start()


async def test_the_processs_signals_stay_the_processs() -> None:
    before = [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)]
    async with serving(State()):
        assert [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)] == before


async def test_the_address_is_free_again_and_nothing_is_left_running() -> None:
    state, metrics = State(), Metrics.create(BUILD)
    tasks = asyncio.all_tasks()
    first = HttpServer(create_app("s", state, metrics), "127.0.0.1", 0)
    await first.start()
    second = HttpServer(create_app("s", state, metrics), "127.0.0.1", first.port)
    await first.close()
    await first.close()
    await second.start()
    await second.close()
    assert asyncio.all_tasks() == tasks


async def test_a_client_that_keeps_its_connection_does_not_hold_the_stop_up() -> None:
    server = HttpServer(create_app("s", State(), Metrics.create(BUILD)), "127.0.0.1", 0)
    await server.start()
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    writer.write(b"GET /health HTTP/1.1\r\nhost: x\r\n\r\n")
    head = await reader.readuntil(b"\r\n\r\n")
    length = next(
        int(line.split(b":")[1]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length")
    )
    assert json.loads(await reader.readexactly(length))["status"] == "ok"

    async with asyncio.timeout(5):
        await server.close()
        assert await reader.read() == b""
    writer.close()
    await writer.wait_closed()
