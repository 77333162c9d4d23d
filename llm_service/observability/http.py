"""The answers over HTTP: ``/health`` and ``/status`` as dashboards know them, ``/live``, ``/ready``, ``/metrics``."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeAlias

from prometheus_client.exposition import choose_encoder
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from llm_service.observability.metrics import Metrics
from llm_service.observability.state import ServiceState

CONSUMER_SILENCE_LIMIT_S = 60.0
"""The consumer's thread steps every poll timeout (1 s), and its longest honest wait is a rebalance callback of a few
seconds; a minute of silence is a thread that hangs, and only a new process helps."""

_Endpoint: TypeAlias = Callable[[Request], Awaitable[Response]]


def create_app(service: str, state: ServiceState, metrics: Metrics) -> Starlette:
    """The application; ``service`` is the name ``/status`` gives."""
    return Starlette(
        routes=[
            Route("/health", _health(state)),
            Route("/status", _status(service, state)),
            Route("/live", _live(state)),
            Route("/ready", _ready(state)),
            Route("/metrics", _metrics(metrics)),
        ]
    )


def _health(state: ServiceState) -> _Endpoint:
    async def health(request: Request) -> Response:
        # 200 whatever it says: existing dashboards read the word, and a probe that restarts belongs to /live.
        return JSONResponse({"status": _word(state), "uptime_seconds": _uptime(state), **state.notes()})

    return health


def _status(service: str, state: ServiceState) -> _Endpoint:
    async def status(request: Request) -> Response:
        workers, queues = state.workers(), state.queues()
        content: dict[str, object] = {
            "service": service,
            "uptime_seconds": _uptime(state),
            "workers": {"max": workers.max, "active": workers.active},
            "queues": {"processing": queues.processing, "deduplication": queues.deduplication},
            "shutdown_in_progress": state.shutting_down(),
        }
        ours = {"status": _word(state), "unready_reasons": list(state.unready_reasons()), **state.details()}
        return JSONResponse(
            {**content, **{name: value for name, value in ours.items() if name not in content}}
        )

    return status


def _live(state: ServiceState) -> _Endpoint:
    async def live(request: Request) -> Response:
        # That the loop turns is shown by answering; only the consumer's thread has to be asked for.
        silence = state.consumer_silence_s()
        if silence is None or silence <= CONSUMER_SILENCE_LIMIT_S:
            return JSONResponse({"live": True})
        reason = f"the Kafka consumer's thread has not moved for {silence:.0f} s"
        return JSONResponse({"live": False, "reasons": [reason]}, status_code=503)

    return live


def _ready(state: ServiceState) -> _Endpoint:
    async def ready(request: Request) -> Response:
        reasons = list(state.unready_reasons())
        if state.shutting_down():
            reasons.append("the service is shutting down")
        return JSONResponse({"ready": not reasons, "reasons": reasons}, status_code=503 if reasons else 200)

    return ready


def _metrics(metrics: Metrics) -> _Endpoint:
    async def scrape(request: Request) -> Response:
        encode, content_type = choose_encoder(request.headers.get("accept", ""))
        return Response(encode(metrics.registry), headers={"content-type": content_type})

    return scrape


def _word(state: ServiceState) -> str:
    if state.shutting_down():
        return "shutting_down"
    return "degraded" if state.unready_reasons() else "ok"


def _uptime(state: ServiceState) -> float:
    return round(state.uptime_s(), 1)
