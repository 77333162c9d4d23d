"""Batching, outages and the stop, against a table that a test breaks and mends."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence

import pytest

from llm_service.errors import DependencyUnavailable
from llm_service.events import ConnectionChanged, Event, MessageSkipped, TaskReceived, TaskRef
from llm_service.ledger.database import PostgresConfig
from llm_service.ledger.operation import Operation
from llm_service.ledger.operation_log import LogPolicy, OperationLog
from llm_service.ledger.postgres import RowsRefused
from tests.manual_clock import ManualClock

CONFIG = PostgresConfig("localhost", 5444, "llm_worker", "postgres", "canary-secret")


class Table:
    """Keeps what it is given; fails when it is told to."""

    def __init__(self, clock: ManualClock) -> None:
        self.clock = clock
        self.takes_s = 0.0
        self.batches: list[list[str]] = []
        self.calls = 0
        self.failure: Exception | None = None
        self.hang = False
        self.refused: set[str] = set()
        self.is_open = False

    @property
    def written(self) -> list[str]:
        return [task_id for batch in self.batches for task_id in batch]

    async def open(self) -> None:
        if self.failure is not None:
            raise DependencyUnavailable(str(self.failure))
        self.is_open = True

    async def write(self, rows: Sequence[Operation]) -> None:
        self.calls += 1
        if self.takes_s:
            await self.clock.sleep(self.takes_s)
        if self.hang:
            await asyncio.Event().wait()
        if self.failure is not None:
            raise self.failure
        if any(row.task_id in self.refused for row in rows):
            raise RowsRefused("no")
        self.batches.append([row.task_id for row in rows])

    async def close(self) -> None:
        self.is_open = False


class Bench:
    """A log on a clock of the test's own."""

    def __init__(self, **policy: float) -> None:
        self.clock = ManualClock()
        self.table = Table(self.clock)
        self.seen: list[Event] = []
        given = {"capacity": 10, "batch": 4, "linger_s": 0.2, "flush_s": 0.05} | policy
        self.log = OperationLog(
            CONFIG,
            "LLM_worker_1",
            self.clock,
            random.Random(1),
            observe=self.seen.append,
            policy=LogPolicy(**given),  # type: ignore[arg-type]
            table=self.table,
        )

    def receive(self, *numbers: int) -> None:
        for number in numbers:
            self.log(TaskReceived(TaskRef(f"t{number}", "trace", "tasks_llm", 0, number)))

    def is_up(self) -> bool:
        return self.log.up

    async def wait(self, seconds: float) -> None:
        await self.clock.advance(seconds)


def ids(*numbers: int) -> list[str]:
    return [f"t{number}" for number in numbers]


async def test_rows_gather_for_the_linger_and_are_written_in_order() -> None:
    bench = Bench()
    await bench.log.start()
    bench.receive(1)
    await bench.wait(0.1)
    bench.receive(2, 3)
    assert bench.table.batches == []
    await bench.wait(0.15)
    assert bench.table.batches == [ids(1, 2, 3)]
    await bench.log.close()


async def test_no_batch_is_larger_than_the_limit() -> None:
    bench = Bench()
    await bench.log.start()
    bench.receive(*range(10))
    await bench.wait(0.3)
    assert bench.table.batches == [ids(0, 1, 2, 3), ids(4, 5, 6, 7), ids(8, 9)]
    await bench.log.close()


async def test_rows_that_come_one_by_one_are_not_written_one_by_one() -> None:
    bench = Bench(capacity=1_000, batch=500)
    bench.table.takes_s = 0.015
    await bench.log.start()
    for number in range(100):
        bench.receive(number)
        await bench.wait(0.01)
    await bench.wait(1)
    assert bench.table.written == ids(*range(100))
    assert len(bench.table.batches) <= 6
    await bench.log.close()


async def test_events_that_are_no_rows_wake_nobody() -> None:
    bench = Bench()
    await bench.log.start()
    bench.log(MessageSkipped("tasks_llm", 0, 0))
    await bench.wait(10)
    assert bench.table.calls == 0
    await bench.log.close()


async def test_an_outage_keeps_rows_and_says_so_once_each_way() -> None:
    bench = Bench()
    await bench.log.start()
    bench.table.failure = ConnectionError("refused")
    bench.receive(1, 2)
    await bench.wait(20)
    assert not bench.is_up()
    assert (bench.log.queued, bench.log.dropped) == (2, 0)
    assert bench.table.calls > 2
    bench.table.failure = None
    await bench.wait(30)
    assert bench.is_up()
    assert bench.table.written == ids(1, 2)
    ups = [event.up for event in bench.seen if isinstance(event, ConnectionChanged)]
    assert ups == [True, False, True]
    await bench.log.close()


async def test_a_long_outage_is_asked_at_a_bounded_rate() -> None:
    bench = Bench()
    await bench.log.start()
    bench.table.failure = TimeoutError()
    bench.receive(1)
    await bench.wait(3_600)
    # Full jitter below 30 s is 15 s at the mean: 240 an hour.
    assert 120 < bench.table.calls < 480
    await bench.log.close()


async def test_beyond_the_capacity_the_oldest_rows_go_and_are_counted() -> None:
    bench = Bench()
    await bench.log.start()
    bench.table.failure = ConnectionError("refused")
    bench.receive(*range(4))
    await bench.wait(1)
    bench.receive(*range(4, 13))
    await bench.wait(20)
    assert (bench.log.queued, bench.log.dropped) == (10, 3)
    bench.table.failure = None
    await bench.wait(30)
    assert bench.table.written == ids(*range(3, 13))
    await bench.log.close()


async def test_rows_that_are_refused_do_not_take_their_batch_along() -> None:
    bench = Bench()
    bench.table.refused = {"t2"}
    await bench.log.start()
    bench.receive(1, 2, 3)
    await bench.wait(1)
    assert bench.table.written == ids(1, 3)
    assert (bench.log.dropped, bench.log.up) == (1, True)
    await bench.log.close()


async def test_close_writes_what_is_queued_without_waiting_out_a_backoff() -> None:
    bench = Bench(flush_s=5)
    await bench.log.start()
    bench.table.failure = ConnectionError("refused")
    bench.receive(1, 2)
    await bench.wait(60)
    bench.table.failure = None
    await bench.log.close()
    assert bench.table.written == ids(1, 2)
    assert bench.log.dropped == 0
    assert not bench.table.is_open


async def test_close_with_a_hanging_database_ends_and_counts_what_was_not_written() -> None:
    bench = Bench()
    await bench.log.start()
    bench.table.hang = True
    bench.receive(*range(6))
    await bench.wait(1)
    await bench.log.close()
    assert (bench.log.dropped, bench.log.queued) == (6, 0)
    assert not bench.table.is_open
    bench.receive(7)
    assert bench.log.queued == 0


async def test_close_leaves_no_task_behind() -> None:
    bench = Bench()
    await bench.log.start()
    bench.receive(1)
    await bench.wait(0.1)
    await bench.log.close()
    assert asyncio.all_tasks() == {asyncio.current_task()}
    assert bench.table.written == ids(1)


async def test_start_says_why_it_can_not() -> None:
    bench = Bench()
    bench.table.failure = ConnectionError("no route")
    with pytest.raises(DependencyUnavailable, match="no route"):
        await bench.log.start()
    assert not bench.is_up()
    await bench.log.close()


def test_the_password_is_in_no_repr() -> None:
    assert "canary-secret" not in repr(CONFIG)
