"""Looking at a database's migrations and applying them, over a connection of its own."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace

import asyncpg

from llm_service.errors import DependencyUnavailable, ServiceError
from llm_service.ledger import migrations
from llm_service.ledger.database import Connection, Database, PostgresConfig
from llm_service.ledger.diagnosis import DATABASE_ERRORS, diagnose, excerpt
from llm_service.ledger.migrations import Migration


class MigrationRefused(ServiceError):
    """The database answers, and does not let the migrations be made."""

    code = "migration_refused"


@dataclass(frozen=True, slots=True)
class Migrated:
    """What was found, and the numbers of those that were applied just now."""

    found: Sequence[Migration]
    applied: frozenset[int] = frozenset()


async def look(config: PostgresConfig) -> Migrated:
    """What is applied and what is missing. Raises DependencyUnavailable, MigrationRefused."""
    async with _connected(config) as connection:
        return Migrated(await migrations.status(connection))


async def apply(config: PostgresConfig) -> Migrated:
    """Apply what is missing. Raises DependencyUnavailable, MigrationRefused."""
    async with _connected(config) as connection:
        applied = await migrations.migrate(connection)
        return Migrated(await migrations.status(connection), frozenset(each.number for each in applied))


@asynccontextmanager
async def _connected(config: PostgresConfig) -> AsyncIterator[Connection]:
    database = Database(replace(config, pool_min_size=1, pool_max_size=1))
    try:
        async with database.connection() as connection:
            yield connection
    except DATABASE_ERRORS as error:
        raise _told(error, config) from None
    finally:
        await database.close()


def _told(error: Exception, config: PostgresConfig) -> ServiceError:
    place = f"database '{config.database}' at {config.host}:{config.port}"
    match error:
        case asyncpg.InsufficientPrivilegeError():
            return MigrationRefused(
                f"{place}: user '{config.user}' may not make the tables: {excerpt(error)}. Run `llm-service migrate` as "
                f"a user who may, or GRANT CREATE ON SCHEMA public TO {config.user}."
            )
        case asyncpg.ReadOnlySQLTransactionError() | asyncpg.InvalidCatalogNameError():
            return MigrationRefused(str(diagnose(error, config)))
        case asyncpg.InvalidAuthorizationSpecificationError() | asyncpg.InsufficientResourcesError():
            return DependencyUnavailable(str(diagnose(error, config)))
        case asyncpg.PostgresError():
            return MigrationRefused(
                f"{place}: a migration failed and left nothing of itself: {excerpt(error)}. Correct what it names and "
                "run `llm-service migrate` again; the worker answers tasks without its ledger until then."
            )
    return DependencyUnavailable(str(diagnose(error, config)))
