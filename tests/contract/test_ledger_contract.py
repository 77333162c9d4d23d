"""What a ledger promises, over memory and PostgreSQL alike."""

from __future__ import annotations

import asyncio
import random
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest

from llm_service.contract.record import Record
from llm_service.ledger.database import Database
from llm_service.ledger.postgres_ledger import PostgresLedger
from llm_service.resilience.clock import SystemClock
from llm_service.tasks.ports import Entry, Ledger
from tests.integration.test_operation_log import config_of
from tests.services.postgres import Postgres
from tests.standins.memory_ledger import MemoryLedger


@pytest.fixture(params=["memory", "postgres"])
async def ledger(request: pytest.FixtureRequest) -> AsyncIterator[Ledger]:
    if request.param == "memory":
        yield MemoryLedger()
        return
    postgres: Postgres = request.getfixturevalue("postgres")
    database = Database(config_of(await asyncio.to_thread(postgres.database)))
    kept = PostgresLedger(database, SystemClock(), random.Random(1), lambda _: None)
    await kept.start()
    assert kept.up, kept.reason
    try:
        yield kept
    finally:
        await kept.close()
        await database.close()


def entry(
    task_id: str, offset: int, *, succeeded: bool = True, word: str = "a", digest: str | None = "d"
) -> Entry:
    run = f"tasks/0/{offset}"
    headers = (
        ("status", b"3" if succeeded else b"4"),
        ("run", run.encode()),
        ("event_id", word.encode()),
        ("odd", b"\xff\x00"),
        ("none", None),
    )
    return Entry(
        task_id, run, succeeded, Record(task_id.encode(), f'"{word}\u0436"'.encode(), headers), digest
    )


async def until(ask: Callable[[], Awaitable[object]], wanted: object) -> None:
    for _ in range(500):
        if await ask() == wanted:
            return
        await asyncio.sleep(0.01)
    pytest.fail(f"never became {wanted}")


@pytest.fixture
def task_id() -> str:
    return str(uuid.uuid4())


async def test_nothing_is_known_of_what_nobody_told(ledger: Ledger, task_id: str) -> None:
    assert await ledger.find(task_id, "tasks/0/1") is None


async def test_the_first_entry_of_a_run_stays_byte_for_byte(ledger: Ledger, task_id: str) -> None:
    first, second = entry(task_id, 1, word="first"), entry(task_id, 1, succeeded=False, word="second")
    assert await ledger.record(first) == first
    assert await ledger.record(second) == first
    assert await ledger.find(task_id, "tasks/0/1") == first


async def test_of_many_at_once_one_wins_and_all_learn_it(ledger: Ledger, task_id: str) -> None:
    rivals = [entry(task_id, 1, word=f"word {number}") for number in range(20)]
    kept = await asyncio.gather(*(ledger.record(each) for each in rivals))
    assert len({each.event.value for each in kept}) == 1


async def test_another_run_is_told_of_a_success_and_not_of_a_failure(ledger: Ledger, task_id: str) -> None:
    await ledger.record(entry(task_id, 1, succeeded=False))
    assert await ledger.find(task_id, "tasks/0/9") is None
    second, third = entry(task_id, 2, word="2"), entry(task_id, 3, word="3")
    await ledger.record(second)
    await ledger.record(third)
    assert await ledger.find(task_id, "tasks/0/9") == second
    assert await ledger.find(task_id, "tasks/0/3") == third
    own = await ledger.find(task_id, "tasks/0/1")
    assert own is not None
    assert not own.succeeded, "the very message's outcome comes before another's success"


async def test_a_refused_event_gives_way_and_another_does_not(ledger: Ledger, task_id: str) -> None:
    large, small, other = (entry(task_id, 1, word=word) for word in ("large", "small", "other"))
    await ledger.record(large)
    assert await ledger.record(small, refused=large.event) == small
    assert await ledger.record(other, refused=large.event) == small
    assert await ledger.find(task_id, "tasks/0/1") == small


async def test_what_is_noted_is_there_soon(ledger: Ledger, task_id: str) -> None:
    noted = entry(task_id, 1)
    ledger.note(noted)
    await until(lambda: ledger.find(task_id, "tasks/0/1"), noted)


@pytest.mark.parametrize("odd", ["a\0b", "\ud800", "x" * 5_000])
async def test_ids_that_a_database_can_not_hold_break_nothing(ledger: Ledger, odd: str) -> None:
    event = Record(b"k", b"v", (("status", b"3"),))
    told = Entry(odd, "tasks/0/1", succeeded=True, event=event)
    good = entry("good", 2)
    assert tuple(await asyncio.gather(ledger.record(told), ledger.record(good))) == (told, good)
    await ledger.find(odd, "tasks/0/1")
    assert await ledger.find("good", "tasks/0/2") == good
