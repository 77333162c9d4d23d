"""The operation log's table in PostgreSQL: errors that say what to do."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC
from typing import Final

import asyncpg

from llm_service.contract.strict_json import dumps
from llm_service.errors import DependencyUnavailable
from llm_service.ledger.database import Connection, Database
from llm_service.ledger.diagnosis import DATABASE_ERRORS, diagnose, excerpt, is_outage
from llm_service.ledger.migrations import migrate, query
from llm_service.ledger.operation import Operation

INSERT: Final = query("insert_operations")
_HAS: Final = query("has_table")


class DatabaseAway(DependencyUnavailable):
    """Nothing answers there: an outage, which no task waits for."""


class RowsRefused(Exception):
    """The database is well, and will never take these rows as they are."""


class PostgresTable:
    """``operation_logs`` behind a pool. Its errors are OSError, TimeoutError or asyncpg's unless named."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def open(self) -> None:
        """Connect, bring the tables up to date, and try a write that is rolled back.

        Raises DatabaseAway when nothing answers, else DependencyUnavailable that tells a wrong password, a missing
        database, and a table that can't be written from one another.
        """
        try:
            async with self._database.connection() as connection:
                await _prepare(connection)
        except DATABASE_ERRORS as error:
            self._database.reset()
            said = str(diagnose(error, self._database.config))
            kind = DatabaseAway if is_outage(error) else DependencyUnavailable
            raise kind(said) from None

    async def write(self, rows: Sequence[Operation]) -> None:
        """Append the rows, all or none. Raises RowsRefused when the rows themselves are at fault."""
        try:
            async with self._database.connection() as connection:
                await connection.execute(INSERT, _as_json(rows))
        except (asyncpg.DataError, asyncpg.IntegrityConstraintViolationError) as error:
            raise RowsRefused(excerpt(error)) from None

    async def close(self) -> None:
        """Give the connections back; those that do not leave within the connect timeout are cut."""
        await self._database.close()


async def _prepare(connection: Connection) -> None:
    try:
        await migrate(connection)
    except asyncpg.InsufficientPrivilegeError:
        # Where tables are made by somebody else, rows are all that this user needs to write.
        if not await connection.fetchval(_HAS, "operation_logs"):
            raise
    await try_insert(connection)


async def try_insert(connection: Connection) -> None:
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
