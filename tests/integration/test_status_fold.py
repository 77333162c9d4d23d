"""The fold on real Kafka and PostgreSQL: what was committed becomes rows, once, whoever folds and however often."""

from __future__ import annotations

import asyncio
import uuid

import asyncpg
from confluent_kafka import Producer

from llm_service.container.folding import StatusTopic
from llm_service.ledger.database import Database
from llm_service.ledger.fold import Fold
from llm_service.ledger.migrating import apply
from llm_service.resilience.clock import SystemClock
from llm_service.settings import Settings
from tests.integration.test_operation_log import ask, config_of
from tests.services.kafka import Kafka
from tests.services.postgres import Postgres

ROWS = (
    "SELECT task_id, run, status, convert_from(event_value, 'UTF8') AS said FROM task_outcomes ORDER BY run"
)
HEADERS = {"status": b"3", "trace_id": b"t"}


def say(producer: Producer, topic: str, task_id: str, word: str, **headers: str) -> None:
    told = HEADERS | {name: value.encode() for name, value in headers.items()}
    producer.produce(topic, key=task_id, value=f'{{"result": "{word}"}}', headers=list(told.items()))


async def test_a_transaction_that_is_open_is_waited_for_and_an_aborted_one_is_nothing(
    kafka: Kafka, postgres: Postgres
) -> None:
    topic = kafka.topic("status", 1)
    dsn = await asyncio.to_thread(postgres.database)
    await apply(config_of(dsn))
    producer = Producer(
        {"bootstrap.servers": kafka.bootstrap, "transactional.id": uuid.uuid4().hex, "log_level": 0}
    )
    await asyncio.to_thread(producer.init_transactions, 10.0)
    settings = Settings.model_validate({"kafka": {"KAFKA_BOOTSTRAP_SERVERS": kafka.bootstrap}})
    databases = [Database(config_of(dsn)) for _ in range(2)]
    first, second = (
        Fold(database, StatusTopic(settings), name, SystemClock(), lambda _: None, lambda: True)
        for name, database in zip(("first", "second"), databases, strict=True)
    )
    try:
        producer.begin_transaction()
        say(producer, topic, "a", "aborted", run="tasks/0/1")
        await asyncio.to_thread(producer.flush, 10.0)
        await asyncio.to_thread(producer.abort_transaction, 10.0)
        producer.begin_transaction()
        say(producer, topic, "a", "kept", run="tasks/0/1")
        say(producer, topic, "a", "second", run="tasks/0/1")
        say(producer, topic, "a", "begun", run="tasks/0/2", status="2")
        say(producer, topic, "b", "failed", run="tasks/0/3", status="4")
        await asyncio.to_thread(producer.flush, 10.0)
        await first.step(topic)
        assert await ask(dsn, ROWS) == [], "it is not committed"
        await asyncio.to_thread(producer.commit_transaction, 10.0)
        await second.step(topic)
        assert (second.lag, await ask(dsn, ROWS)) == (None, []), "it is the other's turn"
        await first.step(topic)
        wanted = [("a", "tasks/0/1", 3, '{"result": "kept"}'), ("b", "tasks/0/3", 4, '{"result": "failed"}')]
        assert [tuple(row) for row in await ask(dsn, ROWS)] == wanted
        assert (first.lag, first.repaired) == (0, 2)
        await execute(dsn, "DELETE FROM status_fold_leases")
        await execute(dsn, "DELETE FROM status_fold_positions")
        await second.step(topic)
        assert (second.lag, second.repaired) == (0, 0), "all of it again adds nothing"
        assert [tuple(row) for row in await ask(dsn, ROWS)] == wanted
    finally:
        for database in databases:
            await database.close()


async def execute(dsn: str, statement: str) -> None:
    connection = await asyncpg.connect(dsn, timeout=5)
    try:
        await connection.execute(statement)
    finally:
        await connection.close(timeout=5)
