"""Migrations on a real PostgreSQL: from many at once, over the tables of the service before, half applied, refused."""

from __future__ import annotations

import asyncio
import json
import random
import uuid
from pathlib import Path
from urllib.parse import urlsplit

import asyncpg
import pytest

from llm_service.contract.status import Success
from llm_service.contract.terminal import read_event, read_terminal
from llm_service.ledger import migrations
from llm_service.ledger.database import Database
from llm_service.ledger.migrating import MigrationRefused, apply, look
from llm_service.ledger.postgres_ledger import PostgresLedger
from llm_service.resilience.clock import SystemClock
from tests.integration.command import run
from tests.integration.test_check_postgres import values_of
from tests.integration.test_operation_log import ask, config_of
from tests.services.postgres import Postgres

OLD = """
CREATE TABLE task_results (
    id serial PRIMARY KEY, task_id uuid UNIQUE NOT NULL, trace_id uuid, status varchar(20), result jsonb, error text,
    tokens_used int, processing_time_ms int, worker_id varchar(64), completed_at timestamp DEFAULT now()
);
CREATE TABLE worker_metrics (id serial PRIMARY KEY, worker_id text, value numeric);
INSERT INTO worker_metrics (worker_id, value) VALUES ('LLM_worker_1', 1);
"""


@pytest.fixture
def dsn(postgres: Postgres) -> str:
    return postgres.database()


async def test_many_at_once_apply_each_once(dsn: str) -> None:
    done = await asyncio.gather(*(apply(config_of(dsn)) for _ in range(12)))
    made = [number for each in done for number in each.applied]
    assert sorted(made) == [each.number for each in done[0].found] == [1, 2, 3]
    assert all(step.applied_at is not None for each in done for step in each.found)


async def test_what_the_service_before_has_answered_is_found_and_its_tables_stay(dsn: str) -> None:
    good, bad = str(uuid.uuid4()), str(uuid.uuid4())
    insert = (
        f"INSERT INTO task_results (task_id, trace_id, status, result, tokens_used) VALUES "
        f"""('{good}', '{good}', 'SUCCESS', '{{"Сумма": 5}}', 7), ('{bad}', NULL, 'FAILED', NULL, NULL)"""
    )
    for statement in (OLD, insert):
        await execute(dsn, statement)
    before = await ask(dsn, "SELECT * FROM task_results ORDER BY id")
    await apply(config_of(dsn))
    assert await ask(dsn, "SELECT * FROM task_results ORDER BY id") == before
    assert len(await ask(dsn, "SELECT * FROM worker_metrics")) == 1
    database = Database(config_of(dsn))
    ledger = PostgresLedger(database, SystemClock(), random.Random(1), lambda _: None)
    await ledger.start()
    try:
        found = await ledger.find(good, "tasks/0/1")
        assert await ledger.find(bad, "tasks/0/1") is None
    finally:
        await ledger.close()
        await database.close()
    assert found is not None
    terminal = read_terminal(found.event)
    assert terminal is not None
    assert terminal.task_id == good
    told = read_event(terminal)
    assert isinstance(told, Success)
    assert json.loads(told.text) == {"Сумма": 5}
    assert ("trace_id", good.encode()) in found.event.headers


async def test_one_that_fails_leaves_nothing_and_is_made_when_the_cause_is_gone(dsn: str) -> None:
    await execute(dsn, "CREATE TABLE status_fold_leases (something int)")
    with pytest.raises(MigrationRefused, match=r"left nothing of itself.*status_fold_leases.*migrate"):
        await apply(config_of(dsn))
    assert [step.number for step in (await look(config_of(dsn))).found if step.applied_at] == [1, 2]
    assert await ask(dsn, "SELECT 1 FROM pg_class WHERE relname = 'status_fold_positions'") == []
    await execute(dsn, "DROP TABLE status_fold_leases")
    assert (await apply(config_of(dsn))).applied == {3}


async def test_who_dies_in_the_middle_leaves_the_others_to_it(dsn: str) -> None:
    dying = await asyncpg.connect(dsn)
    await dying.execute("BEGIN")
    await dying.execute(migrations.query("lock_migrations"))
    await dying.execute("CREATE TABLE task_outcomes (half int)")
    waiting = asyncio.create_task(apply(config_of(dsn)))
    await asyncio.sleep(0.3)
    assert not waiting.done()
    dying.terminate()
    assert (await waiting).applied == {1, 2, 3}


async def test_without_the_right_it_is_a_sentence(dsn: str, tmp_path: Path) -> None:
    name = f"reader_{uuid.uuid4().hex[:8]}"
    await execute(dsn, f"CREATE ROLE {name} LOGIN PASSWORD 'canary-1'")
    await execute(dsn, "REVOKE CREATE ON SCHEMA public FROM PUBLIC")
    values = values_of(dsn, POSTGRES_USER=name, POSTGRES_PASSWORD="canary-1")
    found = await asyncio.to_thread(run, tmp_path, values, "migrate")
    assert found.code == 1
    assert f"user '{name}' may not make the tables" in found.err
    assert "canary-1" not in found.err + found.out


async def test_the_command_shows_and_does(dsn: str, tmp_path: Path) -> None:
    values = values_of(dsn)
    dry = await asyncio.to_thread(run, tmp_path, values, "migrate", "--dry-run", "--json")
    assert (dry.code, [json.loads(line)["state"] for line in dry.out.splitlines()]) == (1, ["missing"] * 3)
    assert await ask(dsn, "SELECT 1 FROM pg_class WHERE relname = 'task_outcomes'") == []
    done = await asyncio.to_thread(run, tmp_path, values, "migrate")
    assert (done.code, done.out.count(" made ")) == (0, 3)
    again = await asyncio.to_thread(run, tmp_path, values, "migrate", "--json")
    assert [json.loads(line)["state"] for line in again.out.splitlines()] == ["applied"] * 3
    await execute(dsn, "INSERT INTO ledger_migrations (number, name) VALUES (9999, 'of_tomorrow')")
    newer = await asyncio.to_thread(run, tmp_path, values, "migrate")
    assert (newer.code, "newer than this version" in newer.err, "of_tomorrow" in newer.out) == (1, True, True)


async def test_no_database_is_named(dsn: str, tmp_path: Path) -> None:
    port = urlsplit(dsn).port
    assert port
    found = await asyncio.to_thread(run, tmp_path, values_of(dsn, POSTGRES_PORT="1"), "migrate")
    assert (found.code, "127.0.0.1:1 does not answer" in found.err) == (69, True)


async def execute(dsn: str, statement: str) -> None:
    connection = await asyncpg.connect(dsn, timeout=5)
    try:
        await connection.execute(statement)
    finally:
        await connection.close(timeout=5)
