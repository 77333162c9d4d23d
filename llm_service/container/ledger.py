"""Ledger, its fold and the operation log, where PostgreSQL is configured."""

from __future__ import annotations

import random
from dataclasses import dataclass

from llm_service import events
from llm_service.container.bootstrap import Bootstrap
from llm_service.container.folding import StatusTopic
from llm_service.ledger.database import Database, PostgresConfig
from llm_service.ledger.fold import Fold
from llm_service.ledger.operation_log import OperationLog
from llm_service.ledger.postgres import DatabaseAway, PostgresTable
from llm_service.ledger.postgres_ledger import PostgresLedger
from llm_service.ledger.tls import tls
from llm_service.resilience.clock import Clock
from llm_service.settings import Settings

POSTGRES = "postgres"


@dataclass(frozen=True, slots=True)
class LedgerParts:
    """What shares the pool of connections."""

    database: Database
    log: OperationLog
    ledger: PostgresLedger
    fold: Fold
    observe: events.Observer

    async def start(self, bootstrap: Bootstrap, status_topic: str) -> None:
        """A database that refuses ends the start: a setting is wrong. One that does not answer is waited for.

        Raises BootstrapFailed.
        """
        away = await bootstrap.reach(POSTGRES, self._open)
        if away is not None:
            self.observe(events.ConnectionChanged(POSTGRES, up=False, reason=away.message))
        await self.ledger.start()
        self.fold.start(status_topic)

    async def _open(self) -> DatabaseAway | None:
        try:
            await self.log.start()
        except DatabaseAway as error:
            self.log.begin()
            return error
        return None

    async def close(self) -> None:
        await self.fold.close()
        await self.ledger.close()
        await self.log.close()


def build_ledger_parts(
    settings: Settings, clock: Clock, rng: random.Random, observe: events.Observer
) -> LedgerParts | None:
    if not settings.postgres.enabled:
        return None
    database = Database(postgres_config(settings))
    worker_id = settings.worker.worker_id
    log = OperationLog(database.config, worker_id, clock, rng, observe, table=PostgresTable(database))
    ledger = PostgresLedger(database, clock, rng, observe)
    holder = f"{worker_id}/{rng.getrandbits(64):016x}"
    fold = Fold(database, StatusTopic(settings), holder, clock, observe, lambda: ledger.up)
    return LedgerParts(database, log, ledger, fold, observe)


def postgres_config(settings: Settings) -> PostgresConfig:
    """Where the settings say that the database is. Raises SettingsInvalid."""
    postgres = settings.postgres
    return PostgresConfig(
        host=postgres.host,
        port=postgres.port,
        database=postgres.database,
        user=postgres.user,
        password=postgres.password.get_secret_value() if postgres.password is not None else "",
        pool_min_size=postgres.pool_min_size,
        pool_max_size=postgres.pool_max_size,
        tls=tls(postgres.ca_bundle, verify=postgres.verify_ssl) if postgres.use_ssl else None,
    )
