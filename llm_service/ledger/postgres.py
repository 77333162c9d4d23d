"""The operation log's table in PostgreSQL: one pool, one table, errors that say what to do."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC
from importlib.resources import files
from typing import Final

import asyncpg
from asyncpg.pool import PoolConnectionProxy

from llm_service.contract.strict_json import dumps
from llm_service.errors import DependencyUnavailable
from llm_service.ledger.diagnosis import DATABASE_ERRORS, diagnose, excerpt
from llm_service.ledger.operation import Operation

_ROOM: Final = files("llm_service.ledger")
CREATE_TABLE: Final = _ROOM.joinpath("migrations/0001_operation_logs.sql").read_text(encoding="utf-8")
HAS_TABLE: Final = _ROOM.joinpath("queries/has_operation_logs.sql").read_text(encoding="utf-8")
INSERT: Final = _ROOM.joinpath("queries/insert_operations.sql").read_text(encoding="utf-8")
LOCK: Final = _ROOM.joinpath("queries/lock_migrations.sql").read_text(encoding="utf-8")


@dataclass(frozen=True, slots=True)
class PostgresConfig:
    """Where the database is and how long it may take."""

    host: str
    port: int
    database: str
    user: str
    password: str = field(repr=False)
    pool_min_size: int = 1
    pool_max_size: int = 20
    connect_timeout_s: float = 10.0
    statement_timeout_s: float = 10.0


class RowsRefused(Exception):
    """The database is well, and will never take these rows as they are."""


class PostgresTable:
    """``operation_logs`` behind a pool. Its errors are OSError, TimeoutError or asyncpg's unless named."""

    def __init__(self, config: PostgresConfig) -> None:
        self._config = config
        self._pool: asyncpg.Pool[asyncpg.Record] | None = None

    async def open(self) -> None:
        """Connect, make the table if there is none, and try a write that is rolled back.

        Raises DependencyUnavailable that tells a host that does not answer from a wrong password, a missing
        database, and a table that can't be written.
        """
        try:
            self._pool = await self._connect()
            await self._prepare(self._pool)
        except DATABASE_ERRORS as error:
            await self.close()
            raise DependencyUnavailable(str(diagnose(error, self._config))) from None

    async def write(self, rows: Sequence[Operation]) -> None:
        """Append the rows, all or none. Raises RowsRefused when the rows themselves are at fault."""
        if self._pool is None:
            raise ConnectionError("the pool is closed")
        try:
            async with self._pool.acquire(timeout=self._config.connect_timeout_s) as connection:
                await connection.execute(INSERT, _as_json(rows))
        except (asyncpg.DataError, asyncpg.IntegrityConstraintViolationError) as error:
            raise RowsRefused(excerpt(error)) from None

    async def close(self) -> None:
        """Give the connections back; those that do not leave within the connect timeout are cut."""
        pool, self._pool = self._pool, None
        if pool is None:
            return
        try:
            async with asyncio.timeout(self._config.connect_timeout_s):
                await pool.close()
        except DATABASE_ERRORS:
            pool.terminate()

    async def _connect(self) -> asyncpg.Pool[asyncpg.Record]:
        config = self._config
        pool = asyncpg.create_pool(
            host=config.host,
            port=config.port,
            database=config.database,
            user=config.user,
            password=config.password,
            min_size=config.pool_min_size,
            max_size=config.pool_max_size,
            timeout=config.connect_timeout_s,
            command_timeout=config.statement_timeout_s,
            server_settings={"application_name": "llm-service"},
        )
        # Known before it has connected, so that close() reaches it whatever happens next.
        self._pool = pool
        async with asyncio.timeout(config.connect_timeout_s):
            await pool
        return pool

    async def _prepare(self, pool: asyncpg.Pool[asyncpg.Record]) -> None:
        async with pool.acquire(timeout=self._config.connect_timeout_s) as connection:
            # Asked first: IF NOT EXISTS wants the right to create also where there is nothing to create.
            if not await connection.fetchval(HAS_TABLE):
                async with connection.transaction():
                    await connection.execute(LOCK)
                    if not await connection.fetchval(HAS_TABLE):
                        await connection.execute(CREATE_TABLE)
            await try_insert(connection)


async def try_insert(
    connection: asyncpg.Connection[asyncpg.Record] | PoolConnectionProxy[asyncpg.Record],
) -> None:
    """Write a row and take it back: the one proof that rows are taken. Raises what the server says."""
    trial = connection.transaction()
    await trial.start()
    try:
        await connection.execute(INSERT, TRIAL_ROW)
    finally:
        await trial.rollback()


def _as_json(rows: Sequence[Operation]) -> str:
    """The batch as one JSON array; PostgreSQL has no NUL in text, so one becomes a replacement character."""
    found = [
        {
            "task_id": row.task_id,
            "trace_id": row.trace_id,
            "operation": row.operation,
            "metadata": row.metadata,
            # UTC, since a column without a zone takes the digits and drops the offset.
            "timestamp": row.timestamp.astimezone(UTC).isoformat(),
        }
        for row in rows
    ]
    return dumps(_without_nul(found)).decode()


def _without_nul(value: object) -> object:
    if isinstance(value, str):
        return value.replace("\0", "\ufffd")
    if isinstance(value, list):
        return [_without_nul(item) for item in value]
    if isinstance(value, dict):
        return {name: _without_nul(item) for name, item in value.items()}
    return value


TRIAL_ROW: Final = (
    '[{"task_id":"00000000-0000-0000-0000-000000000000","trace_id":"00000000-0000-0000-0000-000000000000",'
    '"operation":"task_received","metadata":{},"timestamp":"2026-01-01T00:00:00+00:00"}]'
)
