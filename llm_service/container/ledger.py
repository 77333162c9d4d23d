"""The operation log, where PostgreSQL is configured."""

from __future__ import annotations

import random

from llm_service import events
from llm_service.ledger.operation_log import OperationLog
from llm_service.ledger.postgres import PostgresConfig
from llm_service.resilience.clock import Clock
from llm_service.settings import Settings


def build_operation_log(
    settings: Settings, clock: Clock, rng: random.Random, observe: events.Observer
) -> OperationLog | None:
    if not settings.postgres.enabled:
        return None
    return OperationLog(postgres_config(settings), settings.worker.worker_id, clock, rng, observe)


def postgres_config(settings: Settings) -> PostgresConfig:
    """Where the settings say that the database is."""
    postgres = settings.postgres
    return PostgresConfig(
        host=postgres.host,
        port=postgres.port,
        database=postgres.database,
        user=postgres.user,
        password=postgres.password.get_secret_value() if postgres.password is not None else "",
        pool_min_size=postgres.pool_min_size,
        pool_max_size=postgres.pool_max_size,
    )
