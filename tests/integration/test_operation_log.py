"""The operation log on a real PostgreSQL: what it writes, what it survives, and what it says when it can't start."""

from __future__ import annotations

import asyncio
import json
import random
import socket
import time
import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime
from typing import Self
from urllib.parse import unquote, urlsplit

import asyncpg
import pytest

from llm_service.errors import DependencyUnavailable
from llm_service.events import FileLoaded, TaskReceived, TaskRef, TaskSettled
from llm_service.ledger.database import PostgresConfig
from llm_service.ledger.operation_log import LogPolicy, OperationLog
from llm_service.resilience.clock import SystemClock
from tests.services.postgres import Postgres

POLICY = LogPolicy(linger_s=0.02, backoff_initial_s=0.05, backoff_max_s=0.2)
SELECT = "SELECT * FROM operation_logs ORDER BY id"

# As services that keep this log through an ORM have it: other types, other defaults.
LEGACY = """
CREATE TABLE operation_logs (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    task_id uuid NOT NULL,
    trace_id uuid,
    operation varchar(64) NOT NULL,
    metadata jsonb,
    timestamp timestamp without time zone NOT NULL,
    created_at timestamp without time zone DEFAULT now(),
    comment text
)
"""


def config_of(dsn: str) -> PostgresConfig:
    parts = urlsplit(dsn)
    return PostgresConfig(
        host=parts.hostname or "",
        port=parts.port or 5432,
        database=parts.path.removeprefix("/"),
        user=unquote(parts.username or ""),
        password=unquote(parts.password or ""),
        pool_min_size=1,
        pool_max_size=2,
        connect_timeout_s=3.0,
        statement_timeout_s=1.0,
    )


def log_of(config: PostgresConfig) -> OperationLog:
    return OperationLog(config, "LLM_worker_1", SystemClock(), random.Random(1), policy=POLICY)


def task(offset: int = 1, task_id: str | None = None) -> TaskRef:
    return TaskRef(task_id or str(uuid.uuid4()), str(uuid.uuid4()), "tasks_llm", 0, offset)


@asynccontextmanager
async def running(config: PostgresConfig) -> AsyncIterator[OperationLog]:
    log = log_of(config)
    await log.start()
    try:
        yield log
    finally:
        await log.close()


class Line:
    """A line to the server that can fall silent: connections stay, what is sent is lost, nothing answers."""

    def __init__(self, config: PostgresConfig) -> None:
        self._config = config
        self._tasks: set[asyncio.Task[None]] = set()
        self.silent = False
        self.port = 0

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        for pipe in self._tasks:
            pipe.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_connection(self._config.host, self._config.port)
        for source, sink in ((reader, back), (there, writer)):
            self._tasks.add(asyncio.create_task(self._pipe(source, sink)))

    async def _pipe(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        try:
            while data := await source.read(65_536):
                if not self.silent:
                    sink.write(data)
                    await sink.drain()
        finally:
            sink.transport.abort()


async def ask(dsn: str, statement: str) -> list[asyncpg.Record]:
    connection = await asyncpg.connect(dsn, timeout=5)
    try:
        return list(await connection.fetch(statement))
    finally:
        await connection.close(timeout=5)


async def until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < end, "it did not happen within 20 s"
        await asyncio.sleep(0.02)


async def refusal(config: PostgresConfig) -> str:
    log = log_of(config)
    with pytest.raises(DependencyUnavailable) as caught:
        await log.start()
    await log.close()
    assert not log.up
    assert config.password not in caught.value.message
    assert "\n" not in caught.value.message
    return caught.value.message


async def test_rows_of_a_task_in_order(postgres: Postgres) -> None:
    dsn = postgres.database()
    ref = task()
    before = datetime.now(UTC)
    async with running(config_of(dsn)) as log:
        log(TaskReceived(ref))
        log(FileLoaded(ref, "documents/Письмо\0.pdf", 17))
        log(TaskSettled(ref, 3, "success", "", "ollama", "tiny", 1.5, 10, 5, dead_letter=False))
    assert log.dropped == 0
    rows = await ask(dsn, SELECT)
    assert [row["operation"] for row in rows] == ["task_received", "file_loaded", "llm_processing_success"]
    assert {(row["task_id"], row["trace_id"]) for row in rows} == {(ref.task_id, ref.trace_id)}
    loaded = json.loads(rows[1]["metadata"])
    assert loaded == {"path": "documents/Письмо\ufffd.pdf", "size": 17, "worker_id": "LLM_worker_1"}
    assert all(before <= row["timestamp"] <= datetime.now(UTC) for row in rows)
    assert all(row["created_at"] >= before for row in rows)


async def test_a_start_leaves_no_row_and_a_second_one_takes_the_table_as_it_is(postgres: Postgres) -> None:
    dsn = postgres.database()
    for _ in range(2):
        async with running(config_of(dsn)) as log:
            assert log.up
    assert await ask(dsn, SELECT) == []


async def test_workers_that_start_at_once_make_one_table(postgres: Postgres) -> None:
    dsn = postgres.database()
    # One makes it and seven wait for that one's lock, on whatever machine this is.
    logs = [log_of(replace(config_of(dsn), statement_timeout_s=10.0)) for _ in range(8)]
    try:
        await asyncio.gather(*(log.start() for log in logs))
        assert all(log.up for log in logs)
    finally:
        await asyncio.gather(*(log.close() for log in logs))


async def test_a_table_of_other_types_is_used_and_an_id_it_can_not_hold_is_dropped_alone(
    postgres: Postgres,
) -> None:
    dsn = postgres.database()
    await ask(dsn, LEGACY)
    good = [task(1), task(2)]
    async with running(config_of(dsn)) as log:
        for ref in (good[0], task(3, "no uuid"), good[1]):
            log(TaskReceived(ref))
        await until(lambda: log.queued == 0 and log.dropped == 1)
        assert log.up
    rows = await ask(dsn, SELECT)
    assert {row["task_id"] for row in rows} == {uuid.UUID(ref.task_id) for ref in good}
    age = datetime.now(UTC).replace(tzinfo=None) - rows[0]["timestamp"]
    assert abs(age.total_seconds()) < 60


async def test_ten_thousand_rows_arrive(postgres: Postgres) -> None:
    dsn = postgres.database()
    async with running(config_of(dsn)) as log:
        for offset in range(10_000):
            log(TaskReceived(task(offset)))
    assert log.dropped == 0
    rows = await ask(dsn, "SELECT count(DISTINCT task_id) AS n FROM operation_logs")
    assert rows[0]["n"] == 10_000


async def test_a_killed_server_costs_no_row(postgres: Postgres) -> None:
    dsn = postgres.database()
    async with running(config_of(dsn)) as log:
        log(TaskReceived(task(1)))
        await until(lambda: log.queued == 0)
        try:
            await asyncio.to_thread(postgres.kill)
            log(TaskReceived(task(2)))
            await until(lambda: not log.up)
            log(TaskReceived(task(3)))
        finally:
            await asyncio.to_thread(postgres.ensure_up)
        await until(lambda: log.up and log.queued == 0)
        assert log.dropped == 0
    rows = await ask(dsn, SELECT)
    assert [json.loads(row["metadata"])["offset"] for row in rows] == [1, 2, 3]


async def test_a_silent_server_is_an_outage_and_close_does_not_wait_for_it(postgres: Postgres) -> None:
    config = config_of(postgres.database())
    async with Line(config) as line:
        log = log_of(replace(config, host="127.0.0.1", port=line.port))
        await log.start()
        line.silent = True
        log(TaskReceived(task(1)))
        await until(lambda: not log.up)
        before = time.monotonic()
        await log.close()
        # The flush, the goodbye of the driver, the pool's close, and again the goodbye.
        assert time.monotonic() - before < POLICY.flush_s + 1.0 + config.connect_timeout_s + 1.0 + 1.0
        assert log.dropped == 1


async def test_a_server_that_was_silent_gets_its_rows(postgres: Postgres) -> None:
    dsn = postgres.database()
    config = config_of(dsn)
    async with Line(config) as line, running(replace(config, host="127.0.0.1", port=line.port)) as log:
        line.silent = True
        log(TaskReceived(task(1)))
        await until(lambda: not log.up)
        line.silent = False
        await until(lambda: log.up and log.queued == 0)
    assert [json.loads(row["metadata"])["offset"] for row in await ask(dsn, SELECT)] == [1]


async def test_a_locked_table_is_an_outage_until_it_is_free(postgres: Postgres) -> None:
    dsn = postgres.database()
    async with running(config_of(dsn)) as log:
        holder = await asyncpg.connect(dsn, timeout=5)
        try:
            async with holder.transaction():
                await holder.execute("LOCK TABLE operation_logs")
                log(TaskReceived(task(1)))
                await until(lambda: not log.up)
            await until(lambda: log.up and log.queued == 0)
        finally:
            await holder.close(timeout=5)
    assert len(await ask(dsn, SELECT)) == 1


async def test_ended_sessions_are_replaced(postgres: Postgres) -> None:
    dsn = postgres.database()
    async with running(config_of(dsn)) as log:
        await ask(
            dsn,
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()",
        )
        log(TaskReceived(task(1)))
        await until(lambda: log.up and log.queued == 0)
    assert len(await ask(dsn, SELECT)) == 1


async def test_a_host_that_does_not_answer(postgres: Postgres) -> None:
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        message = await refusal(
            replace(config_of(postgres.dsn), host="127.0.0.1", port=held.getsockname()[1])
        )
    assert "does not answer" in message
    assert "POSTGRES_HOST" in message


async def test_a_host_that_accepts_and_says_nothing(postgres: Postgres) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        config = replace(config_of(postgres.dsn), port=silent.getsockname()[1], connect_timeout_s=0.3)
        before = time.monotonic()
        message = await refusal(replace(config, host="127.0.0.1"))
    assert "does not answer within 0.3 s" in message
    assert time.monotonic() - before < 5


async def test_a_wrong_password(postgres: Postgres) -> None:
    message = await refusal(replace(config_of(postgres.dsn), password="canary-secret"))
    assert "POSTGRES_PASSWORD" in message
    assert "refuses user" in message


async def test_a_missing_database(postgres: Postgres) -> None:
    message = await refusal(replace(config_of(postgres.dsn), database="not_there"))
    assert "has no database 'not_there'" in message
    assert "CREATE DATABASE" in message


async def test_a_user_who_may_not_write(postgres: Postgres) -> None:
    dsn = postgres.database()
    role = f"reader_{uuid.uuid4().hex[:8]}"
    await ask(dsn, f"CREATE ROLE {role} LOGIN PASSWORD 'pw-canary'")
    config = replace(config_of(dsn), user=role, password="pw-canary")
    assert "CREATE on its schema" in await refusal(config)
    async with running(config_of(dsn)):
        pass
    assert "Grant INSERT" in await refusal(config)
    # With the rights of a worker that can't change tables it works; reading is for the type of the row.
    await ask(dsn, f"GRANT INSERT ON operation_logs TO {role}")
    async with running(config) as log:
        log(TaskReceived(task(1)))
    assert len(await ask(dsn, SELECT)) == 1


async def test_a_table_that_lacks_a_column(postgres: Postgres) -> None:
    dsn = postgres.database()
    await ask(dsn, "CREATE TABLE operation_logs (id serial, task_id text)")
    message = await refusal(config_of(dsn))
    assert "trace_id" in message
    assert "operation_logs" in message
