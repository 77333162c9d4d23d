"""Numbered migrations: each in a transaction of its own, one migrator at a time, none applied twice.

They only add: the version of the code before goes on working on what a newer one has made, for as long as both run.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from importlib.resources import files
from typing import Final

from llm_service.ledger.database import Connection

_ROOM: Final = files("llm_service.ledger")
# Rows of the service before are brought over in one of them: some 10,000 a second on a small machine.
_APPLY_S: Final = 600.0
_TABLE: Final = "ledger_migrations"
_LIST: Final = "SELECT number, name, applied_at FROM ledger_migrations ORDER BY number"
_NOTE: Final = "INSERT INTO ledger_migrations (number, name) VALUES ($1, $2)"


def query(name: str) -> str:
    """The text of a query of this room."""
    return _ROOM.joinpath(f"queries/{name}.sql").read_text(encoding="utf-8")


_LOCK: Final = query("lock_migrations")
_HAS: Final = query("has_table")
_CREATE: Final = query("create_migrations")


@dataclass(frozen=True, slots=True)
class Migration:
    """One step, as the code has it or as the database names it."""

    number: int
    name: str
    applied_at: datetime | None = None
    """None where it is not applied."""
    known: bool = True
    """False for one that a newer version of the code has made."""


@cache
def _texts() -> dict[int, tuple[str, str]]:
    folder = _ROOM.joinpath("migrations")
    found = sorted(entry.name for entry in folder.iterdir() if entry.name.endswith(".sql"))
    return {
        int(name[:4]): (name[5:].removesuffix(".sql"), folder.joinpath(name).read_text(encoding="utf-8"))
        for name in found
    }


async def status(connection: Connection) -> Sequence[Migration]:
    """All that are known here or there, by their numbers. Raises DATABASE_ERRORS."""
    applied = await connection.fetch(_LIST) if await connection.fetchval(_HAS, _TABLE) else []
    there = {
        row["number"]: Migration(row["number"], row["name"], row["applied_at"], row["number"] in _texts())
        for row in applied
    }
    here = {number: Migration(number, name) for number, (name, _) in _texts().items()}
    return [each for _, each in sorted({**here, **there}.items())]


def pending(found: Sequence[Migration]) -> list[Migration]:
    return [each for each in found if each.applied_at is None]


def newer(found: Sequence[Migration]) -> list[Migration]:
    """Those that a newer version of the code has made."""
    return [each for each in found if not each.known]


async def migrate(connection: Connection) -> list[Migration]:
    """Apply what is missing, in order; those that were applied here. Raises DATABASE_ERRORS.

    From many at once each is applied once: the others wait, and find it done. One that fails leaves nothing of itself.
    """
    if not pending(await status(connection)):
        return []
    return [
        Migration(number, name)
        for number, (name, text) in _texts().items()
        if await _apply(connection, number, name, text)
    ]


async def _apply(connection: Connection, number: int, name: str, text: str) -> bool:
    async with connection.transaction():
        await connection.execute(_LOCK, timeout=_APPLY_S)
        if not await connection.fetchval(_HAS, _TABLE):
            await connection.execute(_CREATE)
        if await connection.fetchval(f"SELECT EXISTS (SELECT FROM {_TABLE} WHERE number = $1)", number):  # noqa: S608
            return False
        await connection.execute(text, timeout=_APPLY_S)
        await connection.execute(_NOTE, number, name)
    return True
