"""Faults of what the workers depend on: F8, F9, F15, F17."""

from __future__ import annotations

import asyncio
import random

import asyncpg

from tests.chaos.proxy import Weather
from tests.chaos.scene import Scene
from tests.chaos.schedule import Strike
from tests.services.service import Service

_STORE_S = 6.0
# A second each way and 2 kB/s: a document of these takes two to four seconds, and none comes whole within the fault.
_SLOW = Weather(delay_s=1.0, jitter_s=0.5, bytes_a_second=2_000.0)


async def freeze_broker(scene: Scene, strike: Strike) -> None:
    """F8: connections stay open and nothing answers; every other time for longer than the session."""
    longest = scene.plan.session_s + 3.0 if strike.number % 2 else 4.0
    async with scene.lock("kafka"):
        await _frozen(scene, "F8", "broker", scene.stage.kafka, longest)


async def kill_broker(scene: Scene, strike: Strike) -> None:
    """F9: it comes back on its own log."""
    await _killed(scene, "F9", "kafka", scene.stage.kafka, random.Random(strike.seed).uniform(0.0, 2.0))


async def harm_database(scene: Scene, strike: Strike) -> None:
    """F15: killed, stopped, its sessions terminated, in turn."""
    postgres = scene.stage.postgres
    match strike.number % 3:
        case 0:
            await _killed(scene, "F15", "postgres", postgres, 3.0)
        case 1:
            async with scene.lock("postgres"):
                await _frozen(scene, "F15", "PostgreSQL", postgres, 5.0)
        case _:
            async with scene.lock("postgres"), scene.lasting("F15", "PostgreSQL's sessions terminated"):
                await _terminate_sessions(postgres.dsn)


async def harm_store(scene: Scene, strike: Strike) -> None:
    """F17: killed, stopped, 503, slow, in turn; the last two for those that reach it through the proxy."""
    minio = scene.stage.minio
    match strike.number % 4:
        case 0:
            await _killed(scene, "F17", "minio", minio, random.Random(strike.seed).uniform(1.0, 4.0))
        case 1:
            async with scene.lock("minio"):
                await _frozen(scene, "F17", "MinIO", minio, 4.0)
        case 2:
            await _store_under(scene, "MinIO answers 503", Weather(http_status=503))
        case _:
            await _store_under(scene, "MinIO is slow", _SLOW)


async def _store_under(scene: Scene, what: str, weather: Weather) -> None:
    links = scene.stage.links
    async with scene.lock("minio"), scene.lock("link minio"), scene.lasting("F17", what):
        links.change("minio", weather)
        try:
            await asyncio.sleep(_STORE_S)
        finally:
            links.change("minio")


async def _killed(scene: Scene, fault: str, name: str, service: Service, away_s: float) -> None:
    async with scene.lock(name), scene.lasting(fault, f"SIGKILL to {name}, back after {away_s:.0f} s"):
        await asyncio.to_thread(service.kill)
        await asyncio.sleep(away_s)
        await asyncio.to_thread(service.start)


async def _frozen(scene: Scene, fault: str, name: str, service: Service, seconds: float) -> None:
    async with scene.lasting(fault, f"SIGSTOP to {name} for {seconds:.0f} s"):
        await asyncio.to_thread(service.pause)
        try:
            await asyncio.sleep(seconds)
        finally:
            await asyncio.to_thread(service.resume)


async def _terminate_sessions(dsn: str) -> None:
    connection = await asyncpg.connect(dsn, timeout=10)
    try:
        await connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE pid <> pg_backend_pid() AND backend_type = 'client backend'"
        )
    finally:
        await connection.close(timeout=5)
