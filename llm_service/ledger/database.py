"""The one pool of connections to PostgreSQL that all of a worker share."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TypeAlias

import asyncpg
from asyncpg.pool import PoolConnectionProxy

from llm_service.ledger.diagnosis import DATABASE_ERRORS

Connection: TypeAlias = "asyncpg.Connection[asyncpg.Record] | PoolConnectionProxy[asyncpg.Record]"


@dataclass(frozen=True, slots=True)
class PostgresConfig:
    """Where the database is and how long it may take."""

    host: str
    port: int
    database: str
    user: str
    password: str = field(repr=False)
    pool_min_size: int = 1
    pool_max_size: int = 20
    connect_timeout_s: float = 10.0
    statement_timeout_s: float = 10.0
    tls: ssl.SSLContext | None = field(default=None, repr=False)
    """Required, and verified as it says. None is the driver's own way: TLS that nobody verifies where the server offers it,
    else none, unless libpq's PGSSLMODE says otherwise."""


class Database:
    """A pool that is made when it is first needed. Its errors are ``DATABASE_ERRORS``."""

    def __init__(self, config: PostgresConfig) -> None:
        self.config = config
        self._pool: asyncpg.Pool[asyncpg.Record] | None = None
        self._opening = asyncio.Lock()
        self._closed = False

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[Connection]:
        """One of the pool, for as long as the context lasts."""
        try:
            pool = await self._opened()
            async with pool.acquire(timeout=self.config.connect_timeout_s) as connection:
                yield connection
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if task is not None and task.cancelling():
                raise
            # Nobody was asked to stop: the driver gives up what a pool was cut under.
            raise ConnectionError("the connection was cut") from None

    def reset(self) -> None:
        """Cut all connections: what they wait for may never come. The next who asks gets new ones."""
        pool, self._pool = self._pool, None
        if pool is not None:
            pool.terminate()

    async def close(self) -> None:
        """Give the connections back; those that do not leave within the connect timeout are cut."""
        self._closed = True
        pool, self._pool = self._pool, None
        if pool is None:
            return
        try:
            async with asyncio.timeout(self.config.connect_timeout_s):
                await pool.close()
        except DATABASE_ERRORS:
            pool.terminate()

    async def _opened(self) -> asyncpg.Pool[asyncpg.Record]:
        async with self._opening:
            if self._closed:
                raise ConnectionError("the pool is closed")
            if self._pool is None:
                self._pool = await self._made()
            return self._pool

    async def _made(self) -> asyncpg.Pool[asyncpg.Record]:
        config = self.config
        pool = asyncpg.create_pool(
            host=config.host,
            port=config.port,
            database=config.database,
            user=config.user,
            password=config.password,
            min_size=config.pool_min_size,
            max_size=config.pool_max_size,
            timeout=config.connect_timeout_s,
            command_timeout=config.statement_timeout_s,
            ssl=config.tls,
            server_settings={"application_name": "llm-service"},
        )
        try:
            async with asyncio.timeout(config.connect_timeout_s):
                await pool
        except BaseException:
            pool.terminate()
            raise
        return pool
