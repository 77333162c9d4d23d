"""``task_outcomes``: the terminal events of runs, asked for and written in groups, one statement each."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

import asyncpg

from llm_service.contract.record import Headers, Record
from llm_service.contract.status import Status
from llm_service.contract.strict_json import dumps, loads
from llm_service.contract.terminal import read_terminal
from llm_service.ledger.database import Connection
from llm_service.ledger.migrations import query
from llm_service.tasks.ports import Entry

FIND: Final = query("find_outcomes")
INSERT: Final = query("insert_outcomes")
REPLACE: Final = query("replace_outcome")

Key = tuple[str, str]
"""Task id and run."""

# A B-tree takes 2,700 bytes a row; whoever sends longer ids has Kafka's promise for them and not the ledger's.
_KEY_BYTES = 2_000


def is_storable(task_id: str, run: str) -> bool:
    """Whether PostgreSQL can hold the key as it is: no NUL, no half of a surrogate pair, not too long."""
    try:
        return "\0" not in task_id + run and len((task_id + run).encode()) <= _KEY_BYTES
    except UnicodeEncodeError:
        return False


async def find(connection: Connection, keys: Sequence[Key]) -> list[Entry | None]:
    """For each key its row, else the first success of its id. Raises DATABASE_ERRORS."""
    rows = await connection.fetch(FIND, [task for task, _ in keys], [run for _, run in keys])
    found = {row["n"]: _entry(row) for row in rows}
    return [found.get(number) for number in range(1, len(keys) + 1)]


async def record(connection: Connection, entries: Sequence[Entry]) -> Mapping[Key, Entry]:
    """Write those whose run has no row; the row of each run. Raises DATABASE_ERRORS."""
    first: dict[Key, Entry] = {}
    for entry in entries:
        first.setdefault((entry.task_id, entry.run), entry)
    written = await insert(connection, first.values())
    lost = [key for key in first if key not in written]
    if lost:
        # In a statement of its own: the winner may have been committed after the insert began to look.
        kept = zip(lost, await find(connection, lost), strict=True)
        first |= {key: entry for key, entry in kept if entry is not None and entry.run == key[1]}
    return first


async def insert(connection: Connection, entries: Iterable[Entry]) -> set[Key]:
    """Write entries of different runs; those that had no row before. Raises DATABASE_ERRORS."""
    rows = [_row(entry) for entry in entries]
    if not rows:
        return set()
    written = await connection.fetch(INSERT, *map(list, zip(*rows, strict=True)))
    return {(row["task_id"], row["run"]) for row in written}


async def replace(connection: Connection, entry: Entry, refused: Record) -> None:
    """Put the entry in the place of an event that no topic takes. Raises DATABASE_ERRORS."""
    task_id, run, *rest = _row(entry)
    await connection.execute(REPLACE, task_id, run, _event_id(refused), *rest)


def is_fault_of_rows(error: BaseException) -> bool:
    """Whether the database is well and will never take these rows."""
    return isinstance(error, asyncpg.DataError | asyncpg.IntegrityConstraintViolationError)


def _row(entry: Entry) -> tuple[object, ...]:
    event = entry.event
    return (
        entry.task_id,
        entry.run,
        (Status.SUCCESS if entry.succeeded else Status.FAILED).value,
        _event_id(event),
        entry.digest,
        event.key,
        event.value,
        _packed(event.headers),
    )


def _entry(row: asyncpg.Record) -> Entry:
    event = Record(row["event_key"], row["event_value"], _unpacked(row["event_headers"]))
    return Entry(row["task_id"], row["run"], row["status"] == Status.SUCCESS, event, row["digest"])


def _event_id(event: Record) -> str:
    terminal = read_terminal(event)
    return terminal.event_id if terminal is not None else ""


def _packed(headers: Headers) -> bytes:
    return dumps([[name, None if raw is None else base64.b64encode(raw).decode()] for name, raw in headers])


def _unpacked(raw: bytes) -> Headers:
    found = loads(raw)
    pairs = found if isinstance(found, list) else []
    return tuple((str(name), None if text is None else base64.b64decode(text)) for name, text in pairs)
