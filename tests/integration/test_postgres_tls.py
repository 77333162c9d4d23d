"""POSTGRES_USE_SSL on a real server: whoever connects verifies it, nothing falls back, and each refusal is a sentence."""

from __future__ import annotations

import asyncio
import random
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import timedelta
from pathlib import Path

import asyncpg
import pytest
from cryptography.x509 import DNSName

from llm_service.cli.checking.finding import Verdict
from llm_service.cli.checking.postgres import probe
from llm_service.container.ledger import postgres_config
from llm_service.errors import DependencyUnavailable, SettingsInvalid
from llm_service.ledger.database import Database, PostgresConfig
from llm_service.ledger.history import history
from llm_service.ledger.migrating import apply
from llm_service.ledger.operation_log import OperationLog
from llm_service.ledger.postgres import DatabaseAway
from llm_service.ledger.survey import survey
from llm_service.resilience.clock import SystemClock
from llm_service.settings import load
from tests.integration.checked import checked
from tests.integration.test_check_postgres import values_of
from tests.services.postgres import Postgres
from tests.services.postgres_tls import speaking_tls
from tests.standins.certificates import Certificates, make_certificates

ENCRYPTED = """
SELECT bool_and(s.ssl) FROM pg_stat_ssl s JOIN pg_stat_activity a USING (pid) WHERE a.datname = current_database()
"""


@pytest.fixture
def folder(tmp_path: Path) -> Callable[[str], Path]:
    def made(name: str) -> Path:
        (tmp_path / name).mkdir()
        return tmp_path / name

    return made


@pytest.fixture
async def trusted(own_postgres: Postgres, folder: Callable[[str], Path]) -> AsyncIterator[Certificates]:
    """Those that the server shows while the test lasts."""
    certificates = make_certificates(folder("ours"))
    async with speaking_tls(own_postgres.dsn, certificates):
        yield certificates


def wanting(dsn: str, bundle: Path | None, **more: str) -> dict[str, str]:
    bundles = {} if bundle is None else {"POSTGRES_CA_BUNDLE": str(bundle)}
    return values_of(dsn, POSTGRES_USE_SSL="True", **bundles, **more)


def config_of(values: dict[str, str]) -> PostgresConfig:
    return postgres_config(load(None, values))


async def log_starts(config: PostgresConfig) -> None:
    log = OperationLog(config, "worker-1", SystemClock(), random.Random(1))
    try:
        await log.start()
    finally:
        await log.close()


async def history_is_read(config: PostgresConfig) -> None:
    await history(config, str(uuid.uuid4()))


async def migrations_are_made(config: PostgresConfig) -> None:
    await apply(config)


CONNECTING: list[Callable[[PostgresConfig], Awaitable[None]]] = [
    log_starts,
    history_is_read,
    migrations_are_made,
]


async def test_connections_are_encrypted_by_the_bundle(own_postgres: Postgres, trusted: Certificates) -> None:
    config = config_of(wanting(own_postgres.database(), trusted.ca_bundle))
    database = Database(config)
    try:
        async with database.connection() as connection:
            assert await connection.fetchval(ENCRYPTED) is True
    finally:
        await database.close()
    assert (await survey(config, SystemClock())).encrypted
    for connects in CONNECTING:
        await connects(config)


@pytest.mark.parametrize("connects", CONNECTING)
async def test_an_unknown_issuer_is_refused_by_whoever_connects(
    own_postgres: Postgres,
    trusted: Certificates,
    folder: Callable[[str], Path],
    connects: Callable[[PostgresConfig], Awaitable[None]],
) -> None:
    other = make_certificates(folder("other"))
    for bundle in (other.ca_bundle, None):
        with pytest.raises(DependencyUnavailable, match=r"is not trusted .*Set POSTGRES_CA_BUNDLE") as caught:
            await connects(config_of(wanting(own_postgres.dsn, bundle)))
        assert not isinstance(caught.value, DatabaseAway), "a wrong setting is no outage that is waited for"


async def test_another_host_and_an_end_are_told_apart(
    own_postgres: Postgres, folder: Callable[[str], Path]
) -> None:
    shown = {
        "for another host": make_certificates(folder("named"), names=[DNSName("db.invalid")]),
        "has expired": make_certificates(folder("ended"), ends_in=timedelta(hours=-1)),
    }
    for said, certificates in shown.items():
        values = wanting(own_postgres.dsn, certificates.ca_bundle)
        async with speaking_tls(own_postgres.dsn, certificates):
            with pytest.raises(DependencyUnavailable, match=said):
                await log_starts(config_of(values))
            failed = (await checked(probe, values)).failed()
        assert said in failed.seen


async def test_a_server_without_tls_is_refused_and_never_asked_without(own_postgres: Postgres) -> None:
    values = wanting(own_postgres.dsn, None)
    for off in ({}, {"POSTGRES_VERIFY_SSL": "False"}):
        with pytest.raises(DependencyUnavailable, match="speaks no TLS, and POSTGRES_USE_SSL=True wants it"):
            await log_starts(config_of(values | off))
        failed = (await checked(probe, values | off)).failed()
        assert "speaks no TLS" in failed.seen
        assert "ssl = on" in str(failed.remedy)


async def test_nothing_is_written_before_the_server_is_known(
    own_postgres: Postgres, folder: Callable[[str], Path]
) -> None:
    """Whoever answers by a certificate of his own sees a handshake, and no user and no password."""
    seen, over = bytearray(), asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        seen.extend(await reader.read(8))
        writer.write(b"N")
        seen.extend(await reader.read())
        writer.transport.abort()
        over.set()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    certificates = make_certificates(folder("ours"))
    values = wanting(own_postgres.dsn, certificates.ca_bundle) | {"POSTGRES_PORT": str(port)}
    async with server:
        with pytest.raises(DependencyUnavailable, match="speaks no TLS"):
            await log_starts(config_of(values))
        async with asyncio.timeout(10):
            await over.wait()
    assert bytes(seen) == b"\x00\x00\x00\x08\x04\xd2\x16\x2f"


async def test_verification_that_is_off_connects_and_is_told(
    own_postgres: Postgres, trusted: Certificates
) -> None:
    values = wanting(own_postgres.database(), None, POSTGRES_VERIFY_SSL="False")
    await log_starts(config_of(values))
    found = await checked(probe, values)
    off = found.about("TLS verification")
    assert off.verdict is Verdict.WARNING
    assert "off: anyone on the way" in off.seen
    assert "POSTGRES_CA_BUNDLE" in str(off.remedy)
    assert "with TLS" in found.about("connection").seen


async def test_check_shows_the_certificate(own_postgres: Postgres, trusted: Certificates) -> None:
    found = await checked(probe, wanting(own_postgres.database(), trusted.ca_bundle))
    certificate = found.about("certificate")
    # Those of the tests end in two days.
    assert certificate.verdict is Verdict.WARNING
    assert "issued by 'Stand-in authority'" in certificate.seen
    assert found.about("connection").verdict is Verdict.OK
    assert found.about("connection").seen.endswith("with TLS")
    failed = (await checked(probe, wanting(own_postgres.dsn, None))).failed()
    assert "is not trusted, issued by 'Stand-in authority'" in failed.seen
    assert "Set POSTGRES_CA_BUNDLE" in str(failed.remedy)


async def test_without_the_setting_tls_is_taken_where_it_is_offered(
    own_postgres: Postgres, trusted: Certificates
) -> None:
    connection = await asyncpg.connect(own_postgres.database(), timeout=5)
    await connection.close()
    values = values_of(own_postgres.database())
    found = await checked(probe, values)
    assert "with TLS, unverified: POSTGRES_USE_SSL is not set" in found.about("connection").seen


def test_a_bundle_that_is_gone_is_a_sentence(tmp_path: Path) -> None:
    values = wanting("postgresql://user:secret@db:5432/x", tmp_path / "ca.pem")
    with pytest.raises(SettingsInvalid, match=r"POSTGRES_CA_BUNDLE: .*ca\.pem can't be read as certificates"):
        config_of(values)
