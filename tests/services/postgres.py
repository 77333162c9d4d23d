"""PostgreSQL: one server, a database for each test that asks."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Coroutine
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar
from urllib.parse import urlsplit, urlunsplit

import asyncpg

from tests.services.runtime import Runtime
from tests.services.service import Service

T = TypeVar("T")
_CONNECT_LIMIT_S = 5


class Postgres(Service):
    """A real database server."""

    def __init__(self, dsn: str, runtime: Runtime, how: str) -> None:
        super().__init__(how, runtime)
        self.dsn = dsn
        """Of the server's own database; its user may create others."""

    def database(self) -> str:
        """Create an empty database that no other test has and return its DSN."""
        name = f"test_{uuid.uuid4().hex[:12]}"
        _apart(self._execute(f'CREATE DATABASE "{name}"'))
        return urlunsplit(urlsplit(self.dsn)._replace(path=f"/{name}"))

    def version(self) -> str:
        return str(_apart(self._execute("SHOW server_version"))).partition(" ")[0]

    def _serves(self) -> bool:
        try:
            return _apart(self._execute("SELECT 1")) == 1
        except (OSError, TimeoutError, asyncpg.PostgresError):
            return False

    async def _execute(self, statement: str) -> object:
        connection = await asyncpg.connect(self.dsn, timeout=_CONNECT_LIMIT_S)
        try:
            return await connection.fetchval(statement)
        finally:
            await connection.close(timeout=_CONNECT_LIMIT_S)


def _apart(work: Coroutine[Any, Any, T]) -> T:
    """Run it in a loop of a thread of its own: the caller may be inside a loop, or a fixture between two."""
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(asyncio.run, work).result()
