"""TLS of a PostgreSQL that is the test's own, turned on and off by SQL, wherever the server runs."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg

from tests.standins.certificates import Certificates

_RELOADED_S = 10.0
_NOTHING = "cat > /dev/null"


@asynccontextmanager
async def speaking_tls(dsn: str, certificates: Certificates, access: str = "") -> AsyncIterator[None]:
    """It shows this certificate for the time of the context; ``access`` are lines before those of its pg_hba.conf."""
    texts = {
        "ca.pem": certificates.ca_bundle,
        "server.pem": certificates.certificate,
        "server.key": certificates.key,
    }
    await execute(
        dsn,
        *(_written(name, path.read_text()) for name, path in texts.items()),
        f"COPY (SELECT 1) TO PROGRAM '{_NOTHING}; cp pg_hba.conf pg_hba.kept'",
        f"COPY (SELECT 1) TO PROGRAM $${_NOTHING}; printf '{access}' | cat - pg_hba.kept > pg_hba.conf$$",
        "ALTER SYSTEM SET ssl_cert_file = 'server.pem'",
        "ALTER SYSTEM SET ssl_key_file = 'server.key'",
        "ALTER SYSTEM SET ssl_ca_file = 'ca.pem'",
        "ALTER SYSTEM SET ssl = on",
        "SELECT pg_reload_conf()",
    )
    try:
        await _offers(dsn, tls=True)
        yield
    finally:
        await execute(
            dsn,
            f"COPY (SELECT 1) TO PROGRAM '{_NOTHING}; cp pg_hba.kept pg_hba.conf'",
            "ALTER SYSTEM RESET ALL",
            "SELECT pg_reload_conf()",
        )
        await _offers(dsn, tls=False)


async def execute(dsn: str, *statements: str) -> None:
    connection = await asyncpg.connect(dsn, timeout=5)
    try:
        for statement in statements:
            await connection.execute(statement)
    finally:
        await connection.close()


async def _offers(dsn: str, *, tls: bool) -> None:
    """A reload reaches the process that takes connections after the answer to whoever asked for it."""
    end = time.monotonic() + _RELOADED_S
    while True:
        connection = await asyncpg.connect(dsn, timeout=5)
        try:
            if await connection.fetchval("SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()") is tls:
                return
        finally:
            await connection.close()
        assert time.monotonic() < end, (
            f"PostgreSQL has not reloaded its configuration within {_RELOADED_S:g} s"
        )
        await asyncio.sleep(0.05)


def _written(name: str, text: str) -> str:
    return f"COPY (SELECT 1) TO PROGRAM $${_NOTHING}; umask 077; printf '%s' '{text}' > {name}$$"
