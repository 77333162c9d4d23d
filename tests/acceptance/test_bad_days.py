"""What the service needs goes away and comes back: it stays, says so, goes on; nothing lost, nothing FAILED for it."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from urllib.parse import urlsplit

import asyncpg
import pytest

from tests.acceptance.bad_day import (
    READY_LIMIT_S,
    becomes_ready,
    becomes_unready,
    calls,
    failures,
    send,
    send_many,
    started,
    until,
)
from tests.acceptance.judge import differing
from tests.acceptance.platform import Platform, platform
from tests.acceptance.stage import Stage
from tests.acceptance.worker import Worker, workers
from tests.services.kafka import Kafka
from tests.services.minio import MinioServer
from tests.services.postgres import Postgres
from tests.standins.process import GigaChatProcess

# Waits at a dependency that is away are doubled up to 10 s: so long, and the work itself, for what was waiting.
GOES_ON_S = 30.0


@contextlib.asynccontextmanager
async def at_work(stage: Stage, **settings: str) -> AsyncIterator[tuple[Worker, Platform]]:
    """A worker and the platform; at the end it stops as it should, whatever the day was like."""
    worker = stage.worker(**settings)
    async with platform(stage.kafka.bootstrap, stage.tasks, stage.status, stage.dead_letters) as here:
        with workers(worker):
            await started(worker)
            pid = worker.process.pid if worker.process is not None else 0
            yield worker, here
            assert worker.process is not None
            assert worker.process.pid == pid
            assert await asyncio.to_thread(worker.terminate) == 0, worker.output()[-3000:]


def pause(kafka: Kafka) -> Callable[[], None]:
    """SIGSTOP: connections stay open and nothing answers."""
    kafka.pause()
    return kafka.resume


def kill(kafka: Kafka) -> Callable[[], None]:
    """SIGKILL: it comes back on what it had written."""
    kafka.kill()
    return kafka.start


@pytest.mark.parametrize(("take_away", "away_s"), [(pause, 20.0), (kill, 5.0)])
async def test_kafka_is_away(
    own_kafka: Kafka,
    minio: MinioServer,
    standin: GigaChatProcess,
    tmp_path: Path,
    take_away: Callable[[Kafka], Callable[[], None]],
    away_s: float,
) -> None:
    """Away in the middle of the work, with tasks in every stage, for longer than the group's session."""
    stage = Stage.build(own_kafka, minio, standin, tmp_path)
    async with at_work(stage) as (worker, here):
        task_ids = await send_many(here, 80, delay=0.5)
        await here.until(lambda: len(here.ended_keys) >= 20, 30, "a quarter of the tasks")
        assert worker.get("/status")[1]["workers"]["active"] > 0
        bring_back = await asyncio.to_thread(take_away, own_kafka)
        fell = await becomes_unready(worker, "kafka")
        assert worker.get("/live")[0] == 200, "a restart would help nobody"
        assert worker.metric("llm_service_connection_up", component="kafka") == 0
        await asyncio.sleep(away_s - fell)
        assert worker.running
        await asyncio.to_thread(bring_back)
        rose = await becomes_ready(worker)
        assert worker.metric("llm_service_connection_up", component="kafka") == 1
        await here.ended(*task_ids, seconds=GOES_ON_S)
        after = await send(here)
        assert (await here.ended(after))[0].status == "3"
        assert failures(here, task_ids) == [], f"ready fell in {fell:.1f} s and rose in {rose:.1f} s"
        assert here.letters == []
        twice = [task_id for task_id in task_ids if differing(here.terminal(task_id))]
        # The partitions were lost and came back: what had been decided is said again as it was.
        assert twice == []
        assert "rdkafka#" not in worker.output(), "librdkafka's own lines, twenty a second, go past the log"
        # The pool, whose undecided work ended with the session, is all that was begun again.
        assert len(calls(standin, *task_ids)) <= 80 + 10


async def test_the_object_store_is_away(
    kafka: Kafka, own_minio: MinioServer, standin: GigaChatProcess, tmp_path: Path
) -> None:
    stage = Stage.build(kafka, own_minio, standin, tmp_path)
    paths = [stage.put(f"{stage.bucket}/{number}/письмо.txt", b"[[task:file]] 1") for number in range(12)]
    async with at_work(stage) as (worker, here):
        own_minio.kill()
        files = [await send(here, {"storage_path": path, "text": None}) for path in paths]
        fell = await becomes_unready(worker, "object store")
        assert worker.get("/status")[1]["tasks"]["waiting"] >= 12
        texts = await send_many(here, 10)
        await here.ended(*texts, seconds=10)
        assert failures(here, [*files, *texts]) == []
        await asyncio.to_thread(own_minio.start)
        rose = await becomes_ready(worker)
        await here.ended(*files, seconds=GOES_ON_S)
        assert failures(here, files) == [], f"ready fell in {fell:.1f} s and rose in {rose:.1f} s"
        assert [len(here.terminal(task_id)) for task_id in files] == [1] * 12


async def test_the_database_is_away(
    kafka: Kafka, minio: MinioServer, own_postgres: Postgres, standin: GigaChatProcess, tmp_path: Path
) -> None:
    """The log of tasks decides nothing: tasks go on, the service stays ready, and the rows catch up."""
    stage = Stage.build(kafka, minio, standin, tmp_path)
    database = await asyncio.to_thread(own_postgres.database)
    async with at_work(stage, **settings_of(database)) as (worker, here):
        before = await send_many(here, 5)
        await here.ended(*before)
        await until(lambda: worker.get("/status")[1]["operation_log"]["queued"] == 0, 10, "rows written")
        own_postgres.kill()
        during = await send_many(here, 20)
        await here.ended(*during, seconds=10)
        assert failures(here, during) == []

        def told() -> bool:
            log = worker.get("/status")[1]["operation_log"]
            return log["up"] is False and log["queued"] > 0

        await until(told, READY_LIMIT_S, "/status tells that the database is away")
        assert worker.metric("llm_service_connection_up", component="postgres") == 0
        assert worker.get("/ready")[0] == 200, "it is not needed for any task"
        await asyncio.to_thread(own_postgres.start)
        assert await written(database, [*before, *during]) == {
            task_id: ["llm_processing_success", "task_received"] for task_id in [*before, *during]
        }
        assert worker.metric("llm_service_connection_up", component="postgres") == 1


def settings_of(dsn: str) -> dict[str, str]:
    """The database as a deployment names it."""
    parts = urlsplit(dsn)
    return {
        "POSTGRES_ENABLED": "True",
        "POSTGRES_HOST": parts.hostname or "",
        "POSTGRES_PORT": str(parts.port),
        "POSTGRES_DATABASE": parts.path.lstrip("/"),
        "POSTGRES_USER": parts.username or "",
        "POSTGRES_PASSWORD": parts.password or "",
    }


async def written(dsn: str, task_ids: list[str]) -> dict[str, list[str]]:
    """The operations of each task in the table, as soon as all of them have two, or after the time to catch up."""
    connection = await asyncpg.connect(dsn, timeout=5)
    try:
        found: dict[str, list[str]] = {}
        async with asyncio.timeout(GOES_ON_S):
            while sum(map(len, found.values())) < 2 * len(task_ids):
                rows = await connection.fetch("SELECT DISTINCT task_id, operation FROM operation_logs")
                found = {task_id: [] for task_id in task_ids}
                for row in rows:
                    found[str(row["task_id"])].append(row["operation"])
                await asyncio.sleep(0.2)
    finally:
        await connection.close()
    return {task_id: sorted(operations) for task_id, operations in found.items()}
