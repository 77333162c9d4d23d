"""A look at the database that changes nothing: what it is, and whether the operation log could be kept there."""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from importlib.resources import files
from typing import Final, Literal, TypeAlias

import asyncpg

from llm_service.ledger.database import PostgresConfig
from llm_service.ledger.diagnosis import DATABASE_ERRORS, Diagnosis, diagnose
from llm_service.ledger.migrations import newer, pending, status
from llm_service.ledger.postgres import try_insert
from llm_service.resilience.clock import Clock

_SURVEY: Final = files("llm_service.ledger").joinpath("queries/survey.sql").read_text(encoding="utf-8")

# A round trip and a goodbye.
_LEAVE_S = 1.0

_Connection: TypeAlias = "asyncpg.Connection[asyncpg.Record]"


@dataclass(frozen=True, slots=True)
class DatabaseFacts:
    """What was seen. Durations are seconds."""

    version: str
    encrypted: bool
    seconds: float
    """From connecting to the first answer."""
    clock_ahead_s: float
    """The server's clock against ours; negative when it is behind."""
    read_only: bool
    schema: str | None
    """Where a new table would be made; None when the search path names no schema that is there."""
    may_create: bool
    table_schema: str | None
    """Where operation_logs is, None where it is not."""
    refusal: Diagnosis | None
    """Why operation_logs takes no row, None where it does or is not there."""
    missing: tuple[str, ...]
    """Names of migrations that are not applied."""
    newer: bool
    """Whether a newer version of the code has made some that this one does not know."""
    max_connections: int
    connections: int
    """Those in use, this look's own among them."""
    free_connections: int
    """What is left for this user in this database."""


async def survey(config: PostgresConfig, clock: Clock) -> DatabaseFacts:
    """Connect, ask, try a row that is taken back, and leave. Raises one of DATABASE_ERRORS, for ``diagnose``."""
    began = clock.monotonic()
    connection = await _connected(config)
    try:
        asked = clock.monotonic(), clock.now()
        row = await connection.fetchrow(_SURVEY)
        answered = clock.monotonic()
        if row is None:
            raise asyncpg.InterfaceError("the server answered without a row")
        found = dict(row)
        middle = asked[1].timestamp() + (answered - asked[0]) / 2
        ahead = found.pop("at").timestamp() - middle
        steps = await status(connection)
        refusal = await _refusal(connection, config) if found["table_schema"] is not None else None
    finally:
        await _left(connection)
    return DatabaseFacts(
        **found,
        seconds=answered - began,
        clock_ahead_s=ahead,
        refusal=refusal,
        missing=tuple(each.name for each in pending(steps)),
        newer=bool(newer(steps)),
    )


async def _connected(config: PostgresConfig) -> _Connection:
    try:
        return await _connection(config, config.tls)
    except asyncpg.InvalidPasswordError:
        raise
    except asyncpg.InvalidAuthorizationSpecificationError as error:
        if config.tls is not None:
            raise
        plain = error
    # The driver has tried without TLS after a refusal by TLS and tells of the second only; a server that offers TLS
    # gave its reason in the first.
    try:
        return await _connection(config, "require")
    except ConnectionError:
        raise plain from None


async def _connection(config: PostgresConfig, tls: ssl.SSLContext | Literal["require"] | None) -> _Connection:
    return await asyncpg.connect(
        host=config.host,
        port=config.port,
        database=config.database,
        user=config.user,
        password=config.password,
        timeout=config.connect_timeout_s,
        command_timeout=config.statement_timeout_s,
        server_settings={"application_name": "llm-service check"},
        ssl=tls,
    )


async def _refusal(connection: _Connection, config: PostgresConfig) -> Diagnosis | None:
    try:
        await try_insert(connection)
    except DATABASE_ERRORS as error:
        return diagnose(error, config)
    return None


async def _left(connection: _Connection) -> None:
    try:
        await connection.close(timeout=_LEAVE_S)
    except DATABASE_ERRORS:
        connection.terminate()
