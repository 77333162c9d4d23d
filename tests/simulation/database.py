"""A simulated PostgreSQL: the ledger's own statements, each told by its text, over tables that outlive the workers."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Generator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from llm_service.contract.record import Record
from llm_service.contract.status import Status
from llm_service.kafka.port import TopicPartition
from llm_service.ledger import fold, migrations, outcome_table
from llm_service.ledger.database import PostgresConfig
from llm_service.ledger.fold import Chunk, Extent
from tests.simulation.calls import Calls
from tests.simulation.cluster import Cluster
from tests.simulation.faults import CallFailed
from tests.simulation.world import World

Row = dict[str, Any]
_COLUMNS = ("task_id", "run", "status", "event_id", "digest", "event_key", "event_value", "event_headers")
_CHUNK = 50


@dataclass(slots=True)
class Tables:
    """What the database holds."""

    world: World
    rows: dict[outcome_table.Key, Row] = field(default_factory=dict)
    positions: dict[tuple[str, int], int] = field(default_factory=dict)
    lease: tuple[str, float] = ("", -1.0)
    away_until: float = 0.0


class SimulatedDatabase:
    """See ``llm_service.ledger.database.Database``: one worker's way to it."""

    config = PostgresConfig("simulated", 5432, "ledger", "worker", "")

    def __init__(self, tables: Tables, calls: Calls) -> None:
        self._tables = tables
        self._calls = calls

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[SimulatedConnection]:
        connection = SimulatedConnection(self._tables, self._calls)
        self._calls.process.on_death.append(connection.undo)
        try:
            yield connection
        finally:
            self._calls.process.on_death.remove(connection.undo)
            connection.undo()

    def reset(self) -> None:
        """A connection here is as long as its use."""

    async def close(self) -> None:
        """Nothing is kept."""


class SimulatedConnection:
    """A statement by itself is done at once; what a transaction did is undone where it is not committed."""

    def __init__(self, tables: Tables, calls: Calls) -> None:
        self._tables = tables
        self._calls = calls
        self._undo: list[Callable[[], object]] = []
        self._is_in_transaction = False
        self._inserted = 0
        """Rows of the transaction under way."""
        self._statements: Mapping[str, Callable[..., Any]] = {
            migrations._HAS: lambda _: True,
            migrations._LIST: _applied,
            outcome_table.FIND: self._find,
            outcome_table.INSERT: self._insert,
            outcome_table.REPLACE: self._replace,
            fold._TAKE_LEASE: self._take_lease,
            fold._POSITIONS: self._positions,
            fold._FORGET: self._forget,
            fold._MOVE: self._move,
        }

    async def fetch(self, statement: str, *values: Any) -> Any:
        def do() -> Any:
            answer = self._statements[statement](*values)
            if not self._is_in_transaction:
                self._commit()
            return answer

        return await self._ask(do)

    async def _ask(self, do: Callable[[], Any]) -> Any:
        def if_there() -> Any:
            if self._tables.away_until > self._tables.world.now:
                raise ConnectionRefusedError("the stand-in database is away")
            return do()

        try:
            return await self._calls.make_async("ledger", if_there)
        except CallFailed as error:
            raise ConnectionResetError("the stand-in database does not answer") from error

    fetchval = execute = fetch

    def transaction(self) -> SimulatedConnection:
        return self

    async def __aenter__(self) -> None:
        self._is_in_transaction = True

    async def __aexit__(self, kind: object, *_: object) -> None:
        if kind is None:
            await self._ask(self._commit)  # it takes its time, and may fail, too
        self._is_in_transaction = False

    def _commit(self) -> None:
        self._tables.world.hits["a row by the fold alone"] += self._inserted * self._is_in_transaction
        self._inserted = 0
        self._undo.clear()

    async def start(self) -> None:
        self._is_in_transaction = True

    async def rollback(self) -> None:
        self._is_in_transaction = False
        self.undo()

    def undo(self) -> None:
        while self._undo:
            self._undo.pop()()

    # --- statements -----------------------------------------------------------------------------

    def _find(self, tasks: Sequence[str], runs: Sequence[str]) -> list[Row]:
        found = []
        for number, (task, run) in enumerate(zip(tasks, runs, strict=True), 1):
            own = self._tables.rows.get((task, run))
            row = own or next((row for row in self._of(task) if row["status"] == Status.SUCCESS), None)
            if row is not None:
                found.append({"n": number, **row})
        return found

    def _of(self, task: str) -> list[Row]:
        return [row for row in self._tables.rows.values() if row["task_id"] == task]

    def _insert(self, *columns: Sequence[Any]) -> list[Row]:
        written = []
        for values in zip(*columns, strict=True):
            row = dict(zip(_COLUMNS, values, strict=True))
            key = row["task_id"], row["run"]
            kept = self._tables.rows.setdefault(key, row)
            if kept is row:
                written.append(row)
                self._inserted += 1
                self._undo.append(lambda key=key: self._tables.rows.pop(key, None))  # type: ignore[misc]
            elif kept["digest"] is None and kept["event_id"] == row["event_id"]:
                kept["digest"] = row["digest"]
        return written

    def _replace(self, task: str, run: str, refused: str, status: int, *rest: Any) -> None:
        kept = self._tables.rows.get((task, run))
        if kept is not None and kept["event_id"] == refused:
            digest = kept["digest"]
            kept |= dict(zip(_COLUMNS[2:], (status, *rest), strict=True))
            kept["digest"] = kept["digest"] or digest

    def _take_lease(self, topic: str, holder: str, seconds: float) -> str | None:
        del topic
        now, (held_by, until) = self._tables.world.now, self._tables.lease
        if held_by not in ("", holder) and until >= now:
            return None
        self._tables.lease = holder, now + seconds
        return holder

    def _positions(self, topic: str) -> list[Row]:
        return [
            {"partition": number, "next_offset": offset}
            for (name, number), offset in self._tables.positions.items()
            if name == topic
        ]

    def _forget(self, topic: str, numbers: Sequence[int]) -> None:
        for number in numbers:
            del self._tables.positions[topic, number]

    def _move(self, topic: str, numbers: Sequence[int], offsets: Sequence[int]) -> None:
        positions = self._tables.positions
        for number, offset in zip(numbers, offsets, strict=True):
            before = positions.get((topic, number), 0)
            positions[topic, number] = max(before, offset)
            self._undo.append(lambda at=(topic, number), before=before: positions.update({at: before}))  # type: ignore[misc]


class StatusReader:
    """See ``llm_service.ledger.fold.StatusEvents``: the status topic as read_committed sees it."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster

    def extents(self, topic: str) -> Mapping[int, Extent]:
        partitions = self._cluster.topics[topic].partitions
        return {number: Extent(0, log.stable) for number, log in enumerate(partitions)}

    def chunks(self, topic: str, starts: Mapping[int, Extent]) -> Generator[Chunk, None, None]:
        for number, extent in starts.items():
            log, position = self._cluster.log(TopicPartition(topic, number)), extent.first
            records: list[Record] = []
            while (entry := log.next_visible(position)) is not None and entry.offset < extent.end:
                position = entry.offset + 1
                records.append(Record(entry.key, entry.value, entry.headers))
                if len(records) >= _CHUNK:
                    yield Chunk(tuple(records), {number: position})
                    records = []
            if records:
                yield Chunk(tuple(records), {number: position})


def _applied() -> list[Row]:
    at = datetime(2026, 1, 1, tzinfo=UTC)
    return [{"number": n, "name": name, "applied_at": at} for n, (name, _) in migrations._texts().items()]
