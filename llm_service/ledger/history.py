"""What the tables say of one task."""

from __future__ import annotations

import json
from dataclasses import dataclass
from importlib.resources import files
from typing import Any, Final

import asyncpg

from llm_service.errors import DependencyUnavailable
from llm_service.ledger.database import PostgresConfig
from llm_service.ledger.diagnosis import DATABASE_ERRORS, diagnose

_TABLES: Final = (
    files("llm_service.ledger").joinpath("queries/tables_of_tasks.sql").read_text(encoding="utf-8")
)
# A task has a handful of rows; a log that holds more of one is no timeline.
_MOST: Final = 200


@dataclass(frozen=True, slots=True)
class LedgerRow:
    """One row, of whichever table keeps something about tasks."""

    table: str
    columns: dict[str, Any]


async def history(config: PostgresConfig, task_id: str) -> list[LedgerRow]:
    """The rows of that id in the tables that are there. Raises DependencyUnavailable."""
    try:
        connection = await asyncpg.connect(
            host=config.host,
            port=config.port,
            database=config.database,
            user=config.user,
            password=config.password,
            timeout=config.connect_timeout_s,
            command_timeout=config.statement_timeout_s,
            ssl=config.tls,
            server_settings={"application_name": "llm-service task"},
        )
        try:
            rows = []
            # The server's own quoting of the names that it gave: nothing of the user's is in the statement.
            for found in await connection.fetch(_TABLES):
                statement = f"SELECT to_jsonb(t) AS row FROM {found['quoted']} AS t WHERE task_id::text = $1 LIMIT {_MOST}"  # noqa: S608
                rows += [
                    LedgerRow(found["name"], json.loads(row["row"]))
                    for row in await connection.fetch(statement, task_id)
                ]
            return rows
        finally:
            await connection.close(timeout=config.connect_timeout_s)
    except DATABASE_ERRORS as error:
        raise DependencyUnavailable(str(diagnose(error, config))) from None
