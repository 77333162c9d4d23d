"""The ledger in PostgreSQL: answers within a bounded time, and stands aside while the database is away."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from llm_service.contract.record import Record
from llm_service.events import ConnectionChanged, Observer
from llm_service.ledger import outcome_table
from llm_service.ledger.database import Connection, Database
from llm_service.ledger.diagnosis import DATABASE_ERRORS, diagnose
from llm_service.ledger.groups import Groups
from llm_service.ledger.migrations import migrate
from llm_service.ledger.outcome_table import Key
from llm_service.resilience.clock import Clock
from llm_service.tasks.ports import Entry

COMPONENT = "ledger"
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class LedgerPolicy:
    """Times are seconds."""

    # A look into an index and an insert take milliseconds. A task meets a hung database at most once in each of the
    # two, and then nobody asks until it answers again.
    answer_s: float = 2.0
    # So long the first tries of a database that is back may be off.
    retry_initial_s: float = 0.5
    retry_max_s: float = 5.0
    # Beyond some hundred rows a longer statement is no faster a row.
    group: int = 200
    group_bytes: int = 4_000_000
    # Rows that nobody waits for: what exceeds this is left to the fold.
    noted_bytes: int = 8_000_000


class PostgresLedger:
    """See ``Ledger``. ``start`` before, ``close`` after; the database is its owner's to close."""

    def __init__(
        self,
        database: Database,
        clock: Clock,
        rng: random.Random,
        observe: Observer,
        policy: LedgerPolicy = LedgerPolicy(),
    ) -> None:
        self._database = database
        self._clock = clock
        self._rng = rng
        self._observe = observe
        self._policy = policy
        self._finds: Groups[Key, Entry | None] = Groups(self._find_all, policy.group, lambda _: 0, 1)
        self._records: Groups[Entry, Entry] = Groups(
            self._record_all, policy.group, lambda entry: entry.event.size, policy.group_bytes
        )
        self._noted: set[asyncio.Task[Entry]] = set()
        self._noted_bytes = 0
        self._down = asyncio.Event()
        self._keeper: asyncio.Task[None] | None = None
        self.up = False
        self.reason = "not asked yet"
        """Why it is not up; without a secret."""
        self.written = 0
        """Rows of this worker's that were the first of their run."""

    async def start(self) -> None:
        """Look whether it is there; if not, go on looking, and let tasks go on without it."""
        await self._look()
        self._keeper = asyncio.create_task(self._keep(), name="ledger")

    async def close(self, flush_s: float = 1.0) -> None:
        """Rows that nobody waits for get ``flush_s`` seconds; the fold has the rest."""
        if self._noted:
            await asyncio.wait(self._noted, timeout=flush_s)
        for task in (self._keeper, *self._noted):
            if task is not None:
                task.cancel()
        await self._finds.close()
        await self._records.close()
        if self._keeper is not None:
            await asyncio.wait([self._keeper], timeout=1.0)

    # --- what tasks ask -------------------------------------------------------------------------

    async def find(self, task_id: str, run: str) -> Entry | None:
        if not self.up or not outcome_table.is_storable(task_id, run):
            return None
        return await self._answered(self._finds.ask((task_id, run)), None)

    async def record(self, entry: Entry, refused: Record | None = None) -> Entry:
        if not self.up or not outcome_table.is_storable(entry.task_id, entry.run):
            return entry
        if refused is not None:
            await self._answered(self._replace(entry, refused), None)
        return await self._answered(self._records.ask(entry), entry)

    def note(self, entry: Entry) -> None:
        size = entry.event.size
        if not self.up or self._noted_bytes + size > self._policy.noted_bytes:
            return
        self._noted_bytes += size
        task = asyncio.create_task(self.record(entry), name="ledger note")
        self._noted.add(task)
        task.add_done_callback(lambda done: self._forget(done, size))

    def _forget(self, task: asyncio.Task[Entry], size: int) -> None:
        self._noted.discard(task)
        self._noted_bytes -= size

    async def _answered(self, answer: Awaitable[T], without: T) -> T:
        """The answer, or what holds without one when there is none in time."""
        try:
            async with asyncio.timeout(self._policy.answer_s):
                return await answer
        except Exception as error:
            # A driver may break in ways of its own, and no task is lost by that.
            self._stand_aside(error)
        return without

    # --- what the database is asked -------------------------------------------------------------

    async def _find_all(self, keys: Sequence[Key]) -> list[Entry | None]:
        return await self._asked(lambda connection: outcome_table.find(connection, keys))

    async def _record_all(self, entries: Sequence[Entry]) -> list[Entry]:
        try:
            kept = await self._asked(lambda connection: outcome_table.record(connection, entries))
        except DATABASE_ERRORS as error:
            if not outcome_table.is_fault_of_rows(error):
                raise
            return [await self._alone(entry) for entry in entries]
        self.written += sum(kept[entry.task_id, entry.run] is entry for entry in entries)
        return [kept[entry.task_id, entry.run] for entry in entries]

    async def _alone(self, entry: Entry) -> Entry:
        """One that the table never takes must not take its group along."""
        try:
            kept = await self._asked(lambda connection: outcome_table.record(connection, [entry]))
        except DATABASE_ERRORS as error:
            if not outcome_table.is_fault_of_rows(error):
                raise
            return entry
        return kept[entry.task_id, entry.run]

    async def _replace(self, entry: Entry, refused: Record) -> None:
        await self._asked(lambda connection: outcome_table.replace(connection, entry, refused))

    async def _asked(self, ask: Callable[[Connection], Awaitable[T]]) -> T:
        """Asked a second time when a session died of it or lost a deadlock: a row written twice is one row."""
        try:
            return await self._once(ask)
        except DATABASE_ERRORS as error:
            if isinstance(error, TimeoutError) or outcome_table.is_fault_of_rows(error):
                raise
        return await self._once(ask)

    async def _once(self, ask: Callable[[Connection], Awaitable[T]]) -> T:
        async with asyncio.timeout(self._policy.answer_s):
            async with self._database.connection() as connection:
                return await ask(connection)

    # --- away and back --------------------------------------------------------------------------

    def _stand_aside(self, error: Exception) -> None:
        self.reason = str(diagnose(error, self._database.config))
        if isinstance(error, OSError | TimeoutError):
            # A session that hangs would be given to the next who asks, and its own goodbye would be waited for.
            self._database.reset()
        self._down.set()
        if self.up:
            self.up = False
            self._observe(ConnectionChanged(COMPONENT, up=False, reason=self.reason[:200]))

    async def _keep(self) -> None:
        """While it stands aside, look whether the database is back."""
        while True:
            await self._down.wait()
            failures = 0
            while not self.up:
                failures += 1
                ceiling = min(
                    self._policy.retry_max_s, self._policy.retry_initial_s * 2.0 ** min(failures, 32)
                )
                await self._clock.sleep(self._rng.uniform(ceiling / 2, ceiling))
                await self._look()
            self._down.clear()

    async def _look(self) -> None:
        """Whether rows can be written, after whatever migration is missing. Never raises."""
        try:
            async with self._database.connection() as connection:
                await migrate(connection)
                async with asyncio.timeout(self._policy.answer_s):
                    await _try(connection)
        except Exception as error:
            was_up = self.up
            self._stand_aside(error)
            if not was_up and not self._keeper:
                self._observe(ConnectionChanged(COMPONENT, up=False, reason=self.reason[:200]))
        else:
            self.up, self.reason = True, ""
            self._observe(ConnectionChanged(COMPONENT, up=True, reason=""))


_TRIAL = Entry(
    "00000000-0000-0000-0000-000000000000", "trial/0/0", succeeded=True, event=Record(None, None, ())
)


async def _try(connection: Connection) -> None:
    """Write a row and take it back: the one proof that rows are taken."""
    trial = connection.transaction()
    await trial.start()
    try:
        await outcome_table.insert(connection, [_TRIAL])
    finally:
        await trial.rollback()
