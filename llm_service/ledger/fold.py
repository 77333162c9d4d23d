"""The fold: terminal events of the status topic become rows of the ledger, whoever published them, whatever was down.

It makes the ledger whole after an outage, and after a crash between a commit and its row. The first event of a run, by
its offset, is the row, unless the run has one. Rows are written before the position, in one transaction: what is folded
twice adds nothing, and nothing is left out.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Generator, Mapping, Sequence
from contextlib import aclosing, suppress
from dataclasses import dataclass
from typing import Final, Protocol

from llm_service.contract.record import Record
from llm_service.contract.status import Status
from llm_service.contract.terminal import read_terminal
from llm_service.events import Observer, Trouble
from llm_service.ledger import outcome_table
from llm_service.ledger.database import Database
from llm_service.ledger.diagnosis import excerpt
from llm_service.ledger.migrations import query
from llm_service.resilience.clock import Clock
from llm_service.tasks.ports import Entry

_TAKE_LEASE: Final = query("take_lease")
_MOVE: Final = query("move_positions")
_POSITIONS: Final = "SELECT partition, next_offset FROM status_fold_positions WHERE topic = $1"
_FORGET: Final = "DELETE FROM status_fold_positions WHERE topic = $1 AND partition = ANY($2::int[])"

# A row that was missed is missed by a repeat that comes within so long, and no sooner.
_EVERY_S: Final = 2.0
# Beyond a chunk's worst case, some seconds of silence of Kafka; then another worker goes on.
_LEASE_S: Final = 30.0


@dataclass(frozen=True, slots=True)
class Extent:
    """Offsets of a partition, from the first to behind the last."""

    first: int
    end: int


@dataclass(frozen=True, slots=True)
class Chunk:
    """Messages in their order, and behind which offset of each partition they end."""

    records: Sequence[Record]
    reached: Mapping[int, int]


class StatusEvents(Protocol):
    """The status topic as readers of committed transactions see it. Blocks, so off the event loop."""

    def extents(self, topic: str) -> Mapping[int, Extent]:
        """By partition. Raises DependencyUnavailable."""
        ...

    def chunks(self, topic: str, starts: Mapping[int, Extent]) -> Generator[Chunk, None, None]:
        """What lies within. Raises DependencyUnavailable."""
        ...


class Fold:
    """Runs in every worker and folds in one: who holds the lease."""

    def __init__(
        self,
        database: Database,
        source: StatusEvents,
        holder: str,
        clock: Clock,
        observe: Observer,
        is_up: Callable[[], bool],
    ) -> None:
        """``is_up``: whether the ledger's tables take rows."""
        self._database = database
        self._source = source
        self._holder = holder
        self._clock = clock
        self._observe = observe
        self._is_up = is_up
        self._task: asyncio.Task[None] | None = None
        self.lag: int | None = None
        """Messages of the status topic that were not folded at the last look; None where another worker folds."""
        self.repaired = 0
        """Rows that only the fold has written."""

    def start(self, topic: str) -> None:
        self._task = asyncio.create_task(self._run(topic), name="status fold")

    async def close(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task], timeout=1.0)

    async def _run(self, topic: str) -> None:
        while True:
            if self._is_up():
                try:
                    await self.step(topic)
                except Exception as error:
                    # Whatever Kafka's or the database's client raises, the next look begins where this one was.
                    self._observe(
                        Trouble("ledger", f"the status topic could not be folded: {excerpt(error)}")
                    )
            await self._clock.sleep(_EVERY_S)

    async def step(self, topic: str) -> None:
        """Fold up to the topic's end as it is now, if it is this worker's turn.

        Raises DATABASE_ERRORS, DependencyUnavailable; what was folded until then stays.
        """
        if not await self._is_mine(topic):
            self.lag = None
            return
        extents = await asyncio.to_thread(self._source.extents, topic)
        starts = await self._starts(topic, extents)
        self.lag = sum(extent.end - extent.first for extent in starts.values())
        if not starts:
            return
        async with aclosing(_read(self._source.chunks(topic, starts))) as chunks:
            async for chunk in chunks:
                await self._write(topic, chunk)
                self.lag -= len(chunk.records)
                if not await self._is_mine(topic):
                    return
        # Markers of transactions lie behind the last message and are nobody's.
        await self._write(topic, Chunk((), {number: extent.end for number, extent in starts.items()}))
        self.lag = 0

    async def _is_mine(self, topic: str) -> bool:
        async with self._database.connection() as connection:
            return await connection.fetchval(_TAKE_LEASE, topic, self._holder, _LEASE_S) is not None

    async def _starts(self, topic: str, extents: Mapping[int, Extent]) -> dict[int, Extent]:
        """Where to go on, in the partitions that have more."""
        async with self._database.connection() as connection:
            rows = await connection.fetch(_POSITIONS, topic)
            positions = {row["partition"]: row["next_offset"] for row in rows}
            # A topic that ends before it was left is another one of that name.
            anew = [n for n, extent in extents.items() if positions.get(n, 0) > extent.end]
            if anew:
                await connection.execute(_FORGET, topic, anew)
        starts = {
            number: max(extent.first, 0 if number in anew else positions.get(number, 0))
            for number, extent in extents.items()
        }
        return {n: Extent(start, extents[n].end) for n, start in starts.items() if start < extents[n].end}

    async def _write(self, topic: str, chunk: Chunk) -> None:
        entries: dict[outcome_table.Key, Entry] = {}
        for record in chunk.records:
            terminal = read_terminal(record)
            if terminal is not None and outcome_table.is_storable(terminal.task_id, terminal.run):
                succeeded = terminal.status is Status.SUCCESS
                entry = Entry(terminal.task_id, terminal.run, succeeded, record)
                entries.setdefault((entry.task_id, entry.run), entry)
        async with self._database.connection() as connection, connection.transaction():
            self.repaired += len(await outcome_table.insert(connection, entries.values()))
            await connection.execute(_MOVE, topic, list(chunk.reached), list(chunk.reached.values()))


async def _read(chunks: Generator[Chunk, None, None]) -> AsyncGenerator[Chunk, None]:
    try:
        while (chunk := await asyncio.to_thread(next, chunks, None)) is not None:
            yield chunk
    finally:
        # Whoever was cancelled has left a thread in there, which ends by itself.
        with suppress(ValueError):
            await asyncio.to_thread(chunks.close)
