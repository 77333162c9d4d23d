"""The operation log: an observer that writes what happened to tasks, behind the tasks' backs.

Nothing waits for it and nothing depends on it. Rows gather in a bounded queue and one owned task writes them in
batches. While the database is away rows are kept up to the bound, then the oldest are dropped and counted. A batch whose
answer was lost is written again, so a row may appear twice: it is a log, and nobody decides by it.
"""

from __future__ import annotations

import asyncio
import random
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from llm_service.events import ConnectionChanged, Event, Observer
from llm_service.ledger.database import Database, PostgresConfig
from llm_service.ledger.operation import Operation, operation_of
from llm_service.ledger.postgres import PostgresTable, RowsRefused
from llm_service.resilience.clock import Clock

# Seconds for a cancelled write to end: it needs none but what its driver takes for a goodbye.
_LEAVE_S = 1.0


class OperationTable(Protocol):
    """Where the rows go."""

    async def open(self) -> None:
        """Raises DependencyUnavailable."""
        ...

    async def write(self, rows: Sequence[Operation]) -> None:
        """All or none. Raises RowsRefused when the rows are at fault; anything else is an outage."""
        ...

    async def close(self) -> None: ...


@dataclass(frozen=True, slots=True)
class LogPolicy:
    """How the queue is kept; times are seconds."""

    # A row takes about 1 kB here: 20,000 are 20 MB at worst, the rows of some 6,000 tasks.
    capacity: int = 20_000
    # One statement's worth: beyond some hundred rows a longer statement is no faster a row.
    batch: int = 500
    # Gathers a batch where tasks come quickly, and is soon enough for who reads the log.
    linger_s: float = 0.2
    backoff_initial_s: float = 0.5
    backoff_max_s: float = 30.0
    # What a stop may wait for the last rows: well within a drain.
    flush_s: float = 5.0


class OperationLog:
    """Call it with events, on the event loop; ``start`` before, ``close`` after."""

    def __init__(
        self,
        config: PostgresConfig,
        worker_id: str,
        clock: Clock,
        rng: random.Random,
        observe: Observer = lambda _: None,
        policy: LogPolicy | None = None,
        table: OperationTable | None = None,
    ) -> None:
        self._table = table or PostgresTable(Database(config))
        self._worker_id = worker_id
        self._clock = clock
        self._rng = rng
        self._observe = observe
        self._policy = policy or LogPolicy()
        self._rows: deque[Operation] = deque()
        self._wake = asyncio.Event()
        self._writer: asyncio.Task[None] | None = None
        self._closing = asyncio.Event()
        self.up = False
        """Whether the last thing asked of the database worked."""
        self.dropped = 0
        """Rows that were never written: beyond the capacity, refused, or left at the stop."""

    def __call__(self, event: Event) -> None:
        """Queue the row this event becomes, if any; quick, and never raises."""
        row = operation_of(event, self._worker_id, self._clock.now())
        if row is None or self._closing.is_set():
            return
        self._rows.append(row)
        self._shed()
        self._wake.set()

    @property
    def queued(self) -> int:
        """Rows that wait to be written."""
        return len(self._rows)

    async def start(self) -> None:
        """Connect, make the table if it is missing, and begin to write.

        Raises DatabaseAway when nothing answers, else DependencyUnavailable.
        """
        await self._table.open()
        self._say(up=True, reason="")
        self.begin()

    def begin(self) -> None:
        """Write what comes as soon as the database takes it; it may be away still."""
        self._writer = asyncio.create_task(self._write_all(), name="operation-log")

    async def close(self) -> None:
        """Write what is queued within ``flush_s``, count the rest as dropped, and disconnect."""
        self._closing.set()
        self._wake.set()
        if self._writer is not None:
            await asyncio.wait({self._writer}, timeout=self._policy.flush_s)
            self._writer.cancel()
            # A driver may try to take its leave of a silent server; closing the table cuts that short.
            await asyncio.wait({self._writer}, timeout=_LEAVE_S)
        await self._table.close()
        if self._writer is not None:
            await asyncio.wait({self._writer}, timeout=_LEAVE_S)
            self._writer = None
        self.dropped += len(self._rows)
        self._rows.clear()

    async def _write_all(self) -> None:
        while self._rows or not self._closing.is_set():
            await self._wake.wait()
            self._wake.clear()
            if not self._closing.is_set():
                await self._pause(self._policy.linger_s)
            await self._drain()

    async def _drain(self) -> None:
        """Write until little is left; what came meanwhile has set the wake and gathers for the next time."""
        failures = 0
        while self._rows:
            was_full = len(self._rows) >= self._policy.batch
            if not await self._write_batch():
                failures += 1
                await self._pause(self._backoff(failures))
            elif was_full:
                failures = 0
            else:
                return

    async def _write_batch(self) -> bool:
        batch = [self._rows.popleft() for _ in range(min(len(self._rows), self._policy.batch))]
        try:
            await self._write(batch)
        except Exception as error:
            # Whatever a driver can raise here, the rows are kept and the writer lives on.
            self._rows.extendleft(reversed(batch))
            self._shed()
            self._say(up=False, reason=str(error) or type(error).__name__)
            return False
        except asyncio.CancelledError:
            self._rows.extendleft(reversed(batch))
            raise
        self._say(up=True, reason="")
        return True

    async def _write(self, batch: list[Operation]) -> None:
        try:
            await self._table.write(batch)
        except RowsRefused:
            await self._write_singly(batch)

    async def _write_singly(self, batch: list[Operation]) -> None:
        """One bad row must not take its batch along; what an outage leaves of it is kept by the caller."""
        while batch:
            try:
                await self._table.write(batch[:1])
            except RowsRefused:
                self.dropped += 1
            del batch[0]

    async def _pause(self, seconds: float) -> None:
        """Wait on the clock; a stop ends the wait, for the rows are to be written before it does."""
        if self._closing.is_set():
            # A database that fails during the flush is asked again soon, yet not in a spin.
            await self._clock.sleep(min(seconds, self._policy.linger_s))
            return
        waits = {
            asyncio.ensure_future(self._clock.sleep(seconds)),
            asyncio.ensure_future(self._closing.wait()),
        }
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()
            await asyncio.gather(*waits, return_exceptions=True)

    def _backoff(self, failures: int) -> float:
        """Full jitter, so that workers do not come back all at once to a database that just did."""
        policy = self._policy
        ceiling = min(policy.backoff_max_s, policy.backoff_initial_s * 2.0 ** min(failures - 1, 32))
        return self._rng.uniform(0, ceiling)

    def _shed(self) -> None:
        while len(self._rows) > self._policy.capacity:
            self._rows.popleft()
            self.dropped += 1

    def _say(self, *, up: bool, reason: str) -> None:
        if self.up is not up:
            self.up = up
            self._observe(ConnectionChanged("postgres", up, reason[:200]))
