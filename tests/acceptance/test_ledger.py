"""The ledger with real Kafka and PostgreSQL: repeats of long ago, two workers with one message, and its own absence."""

from __future__ import annotations

import asyncio
from pathlib import Path

import asyncpg
import pytest

from tests.acceptance.bad_day import READY_LIMIT_S, failures, send_many, until
from tests.acceptance.scene import mark, new_id
from tests.acceptance.stage import Stage
from tests.acceptance.test_bad_days import at_work, settings_of
from tests.services.kafka import Kafka
from tests.services.minio import MinioServer
from tests.services.postgres import Postgres
from tests.standins.process import GigaChatProcess

MODES = ("at_least_once", "exactly_once")
HEADERS = {"status": "1", "prompt_id": "1"}


async def rows(dsn: str) -> dict[tuple[str, str], tuple[int, bytes]]:
    connection = await asyncpg.connect(dsn, timeout=5)
    try:
        found = await connection.fetch("SELECT task_id, run, status, event_value FROM task_outcomes")
    finally:
        await connection.close(timeout=5)
    return {(row["task_id"], row["run"]): (row["status"], row["event_value"]) for row in found}


@pytest.mark.parametrize("mode", MODES)
async def test_an_id_sent_again_long_after_gets_its_event_without_a_call(
    kafka: Kafka, minio: MinioServer, postgres: Postgres, standin: GigaChatProcess, tmp_path: Path, mode: str
) -> None:
    """The window is empty after the restart; what remembers is the database."""
    stage = Stage.build(kafka, minio, standin, tmp_path)
    database = settings_of(await asyncio.to_thread(postgres.database))
    task_id = new_id()
    body = {"text": mark(task_id)}
    async with at_work(stage, KAFKA_DELIVERY=mode, **database) as (_, here):
        await here.send(body, key=task_id, headers=HEADERS)
        (first,) = await here.ended(task_id)
    async with at_work(stage, KAFKA_DELIVERY=mode, **database) as (worker, here):
        await here.send(body, key=task_id, headers=HEADERS)
        await here.send({"text": "another body"}, key=task_id, headers=HEADERS)
        (again,) = await here.ended(task_id)
        assert again.value == first.value
        await here.until(lambda: len(here.letters) == 1, 10, "the conflict's letter")
        assert worker.metric("llm_service_tasks_repeated_total", how="conflict") == 1
    calls = [call for call in standin.requests() if call.marker == task_id]
    assert len(calls) == 1


@pytest.mark.parametrize("mode", MODES)
async def test_tasks_go_on_without_the_database_and_it_learns_of_them_from_the_status_topic(
    kafka: Kafka,
    minio: MinioServer,
    own_postgres: Postgres,
    standin: GigaChatProcess,
    tmp_path: Path,
    mode: str,
) -> None:
    stage = Stage.build(kafka, minio, standin, tmp_path)
    dsn = await asyncio.to_thread(own_postgres.database)
    async with at_work(stage, KAFKA_DELIVERY=mode, **settings_of(dsn)) as (worker, here):
        before = await send_many(here, 5)
        await here.ended(*before)
        own_postgres.kill()
        during = await send_many(here, 20)
        await here.ended(*during, seconds=10)
        assert failures(here, during) == []
        await until(
            lambda: worker.get("/status")[1]["ledger"]["up"] is False, READY_LIMIT_S, "/status says so"
        )
        assert "ledger" in worker.get("/health")[1]
        assert worker.get("/ready")[0] == 200
        assert worker.metric("llm_service_connection_up", component="ledger") == 0
        await asyncio.to_thread(own_postgres.start)
        said = {each: here.terminal(each)[0].value for each in [*before, *during]}

        def folded() -> bool:
            found = asyncio.run(rows(dsn))
            return {task_id: value for (task_id, _), (_, value) in found.items()} == said

        await until(folded, 30, "a row for every event, byte for byte")
        assert worker.metric("llm_service_connection_up", component="ledger") == 1
        assert "ledger" not in worker.get("/health")[1]


async def test_a_worker_starts_while_the_database_is_away(
    kafka: Kafka, minio: MinioServer, own_postgres: Postgres, standin: GigaChatProcess, tmp_path: Path
) -> None:
    stage = Stage.build(kafka, minio, standin, tmp_path)
    dsn = await asyncio.to_thread(own_postgres.database)
    await asyncio.to_thread(own_postgres.kill)
    async with at_work(stage, **settings_of(dsn)) as (worker, here):
        task_ids = await send_many(here, 3)
        await here.ended(*task_ids)
        assert worker.metric("llm_service_connection_up", component="postgres") == 0
        await asyncio.to_thread(own_postgres.start)
        await until(lambda: worker.get("/status")[1]["ledger"]["up"] is True, 30, "it comes up, migrated")
        await until(lambda: len(asyncio.run(rows(dsn))) == 3, 30, "the fold has the rows")
