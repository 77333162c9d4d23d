"""The ledger while its database hangs, dies, only reads or loses a reply: bounded, and right again by itself."""

from __future__ import annotations

import asyncio
import random
import time
import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace

import asyncpg
import pytest

from llm_service.contract.record import Record
from llm_service.ledger.database import Database, PostgresConfig
from llm_service.ledger.postgres_ledger import LedgerPolicy, PostgresLedger
from llm_service.resilience.clock import SystemClock
from llm_service.tasks.ports import Entry
from tests.integration.test_operation_log import Line, ask, config_of
from tests.services.postgres import Postgres

POLICY = LedgerPolicy(answer_s=0.5, retry_initial_s=0.05, retry_max_s=0.2)
COUNT = "SELECT count(*) FROM task_outcomes"


@asynccontextmanager
async def kept(config: PostgresConfig) -> AsyncIterator[PostgresLedger]:
    database = Database(config)
    ledger = PostgresLedger(database, SystemClock(), random.Random(1), lambda _: None, POLICY)
    await ledger.start()
    try:
        yield ledger
    finally:
        await ledger.close()
        await database.close()


@pytest.fixture
def dsn(postgres: Postgres) -> str:
    return postgres.database()


def entry(word: str = "a", task_id: str | None = None) -> Entry:
    known = task_id or str(uuid.uuid4())
    headers = (("status", b"3"), ("run", b"tasks/0/1"), ("event_id", word.encode()))
    return Entry(known, "tasks/0/1", succeeded=True, event=Record(known.encode(), word.encode(), headers))


async def until(true: Callable[[], bool], seconds: float = 10.0) -> None:
    for _ in range(int(seconds / 0.02)):
        if true():
            return
        await asyncio.sleep(0.02)
    pytest.fail(f"not within {seconds:g} s")


async def execute(dsn: str, *statements: str) -> None:
    connection = await asyncpg.connect(dsn, timeout=5)
    try:
        for statement in statements:
            await connection.execute(statement)
    finally:
        await connection.close(timeout=5)


async def test_a_database_that_hangs_costs_each_task_the_bound_once_and_later_ones_nothing(dsn: str) -> None:
    async with (
        Line(config_of(dsn)) as line,
        kept(replace(config_of(dsn), host="127.0.0.1", port=line.port)) as ledger,
    ):
        first = entry("first")
        await ledger.record(first)
        line.silent = True
        began = time.monotonic()
        others = [entry(str(number)) for number in range(50)]
        assert await asyncio.gather(*(ledger.record(each) for each in others)) == others
        assert time.monotonic() - began < POLICY.answer_s + 0.5
        began = time.monotonic()
        for each in others:
            assert await ledger.find(each.task_id, each.run) is None
        assert time.monotonic() - began < 0.2
        assert not ledger.up
        assert "does not answer" in ledger.reason
        line.silent = False
        await until(lambda: ledger.up)
        assert await ledger.find(first.task_id, first.run) == first


async def test_ended_sessions_are_not_noticed_by_a_task(dsn: str) -> None:
    async with kept(config_of(dsn)) as ledger:
        known = entry()
        await ledger.record(known)
        for _ in range(5):
            await ask(
                dsn,
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                "WHERE application_name = 'llm-service' AND datname = current_database()",
            )
            found = await asyncio.gather(*(ledger.find(known.task_id, known.run) for _ in range(20)))
            assert set(found) <= {known, None}
            await until(lambda: ledger.up)
            assert await ledger.find(known.task_id, known.run) == known


async def test_a_server_that_only_reads_is_stood_aside_from_until_it_writes(dsn: str) -> None:
    name = dsn.rpartition("/")[2]
    async with kept(config_of(dsn)) as ledger:
        await execute(dsn, f'ALTER DATABASE "{name}" SET default_transaction_read_only = on')
        await ask(
            dsn,
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'llm-service'"
            " AND datname = current_database()",
        )
        told = entry()
        assert await ledger.record(told) == told
        await until(lambda: not ledger.up)
        assert "only reads" in ledger.reason
        await execute(dsn, "SET default_transaction_read_only = off", f'ALTER DATABASE "{name}" RESET ALL')
        await ask(
            dsn,
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'llm-service'"
            " AND datname = current_database()",
        )
        await until(lambda: ledger.up)
        assert await ledger.record(told) == told
        assert (await ask(dsn, COUNT))[0][0] == 1


async def test_a_row_whose_reply_was_lost_is_found_to_be_ones_own(dsn: str) -> None:
    async with (
        Deaf(config_of(dsn)) as line,
        kept(replace(config_of(dsn), host="127.0.0.1", port=line.port)) as ledger,
    ):
        await ledger.record(entry("warm"))
        told = entry("told")
        line.deaf = 1
        assert await ledger.record(told) == told
        assert line.deaf == 0, "a reply was lost"
        assert ledger.up, "it was asked again"
        rival = entry("rival", told.task_id)
        assert await ledger.record(rival) == told
        assert (await ask(dsn, COUNT))[0][0] == 2


async def test_a_lock_that_is_held_costs_no_more_than_the_bound(dsn: str) -> None:
    async with kept(config_of(dsn)) as ledger:
        holder = await asyncpg.connect(dsn)
        await holder.execute("BEGIN; LOCK TABLE task_outcomes")
        began = time.monotonic()
        told = entry()
        assert await ledger.record(told) == told
        assert time.monotonic() - began < POLICY.answer_s + 0.5
        await holder.execute("COMMIT")
        await holder.close()
        await until(lambda: ledger.up)


async def test_many_tasks_share_their_statements(dsn: str) -> None:
    async with kept(config_of(dsn)) as ledger:
        counted = Counted(ledger)
        entries = [entry(str(number)) for number in range(500)]
        assert await asyncio.gather(*(ledger.find(e.task_id, e.run) for e in entries)) == [None] * 500
        assert await asyncio.gather(*(ledger.record(e) for e in entries)) == entries
        assert counted.statements < 20, "500 tasks"
        counted.statements = 0
        alone = entry()
        await ledger.find(alone.task_id, alone.run)
        await ledger.record(alone)
        assert counted.statements == 2


class Counted:
    """Counts the statements that the ledger sends."""

    def __init__(self, ledger: PostgresLedger) -> None:
        self.statements = 0
        database = ledger._database
        plain = database.connection

        @asynccontextmanager
        async def counting() -> AsyncIterator[object]:
            async with plain() as connection:
                connection.add_query_logger(self._count)
                try:
                    yield connection
                finally:
                    connection.remove_query_logger(self._count)

        database.connection = counting  # type: ignore[method-assign, assignment]

    def _count(self, _: object) -> None:
        self.statements += 1


class Deaf(Line):
    """Lets what is sent through; the next answers are lost with their connection, ``deaf`` times."""

    def __init__(self, config: PostgresConfig) -> None:
        super().__init__(config)
        self.deaf = 0

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_connection(self._config.host, self._config.port)
        self._tasks.add(asyncio.create_task(self._pipe(reader, back)))
        self._tasks.add(asyncio.create_task(self._answers(there, writer)))

    async def _answers(self, there: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while data := await there.read(65_536):
                # "C" begins CommandComplete: what was asked is done.
                if self.deaf and b"INSERT 0 1\0" in data:
                    self.deaf -= 1
                    return
                writer.write(data)
                await writer.drain()
        finally:
            writer.transport.abort()
