"""``check postgres`` on a real server: each way it can be wrong is named, with what to do."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path
from urllib.parse import urlsplit

import asyncpg
import pytest

from llm_service.cli.checking.finding import Verdict
from llm_service.cli.checking.postgres import probe
from tests.integration.checked import checked, silent
from tests.services.ports import free_port
from tests.services.postgres import Postgres
from tests.services.postgres_tls import execute, speaking_tls
from tests.standins.certificates import make_certificates

CREATE_TABLE = files("llm_service.ledger").joinpath("migrations/0001_operation_logs.sql").read_text("utf-8")
USER_KEY = "canary-of-the-user"


def values_of(dsn: str, **more: str) -> dict[str, str]:
    parts = urlsplit(dsn)
    return {
        "POSTGRES_ENABLED": "True",
        "POSTGRES_HOST": parts.hostname or "",
        "POSTGRES_PORT": str(parts.port),
        "POSTGRES_DATABASE": parts.path.lstrip("/"),
        "POSTGRES_USER": parts.username or "",
        "POSTGRES_PASSWORD": parts.password or "",
        "POSTGRES_POOL_MAX_SIZE": "5",
        **more,
    }


@pytest.fixture
def values(postgres: Postgres) -> dict[str, str]:
    """Settings of a database that is empty and all right."""
    return values_of(postgres.database())


async def test_a_database_that_is_all_right(values: Mapping[str, str]) -> None:
    found = await checked(probe, values)
    assert set(found.verdicts().values()) == {Verdict.OK}, found.text()
    connection = found.about("connection")
    assert connection.seconds is not None
    assert connection.seen.startswith("PostgreSQL 1")
    assert "creates it at its start, in schema public" in found.about("table operation_logs").seen
    assert "of 100" in found.about("connections").seen


async def test_nothing_is_left_behind(postgres: Postgres) -> None:
    dsn = postgres.database()
    await execute(dsn, CREATE_TABLE)
    found = await checked(probe, values_of(dsn))
    assert "takes rows, in schema public" in found.about("table operation_logs").seen
    connection = await asyncpg.connect(dsn)
    try:
        assert await connection.fetchval("SELECT count(*) FROM operation_logs") == 0
        others = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'llm-service check' AND datname = $1"
        assert await connection.fetchval(others, urlsplit(dsn).path.lstrip("/")) == 0
    finally:
        await connection.close()


async def test_not_used_is_no_failure() -> None:
    found = await checked(probe, {"POSTGRES_ENABLED": "False"})
    assert set(found.verdicts().values()) == {Verdict.SKIPPED}


@pytest.mark.parametrize(
    ("change", "seen", "remedy"),
    [
        ({"POSTGRES_HOST": "nobody.invalid"}, "'nobody.invalid' is not known", "POSTGRES_HOST"),
        ({"POSTGRES_PASSWORD": "canary-wrong"}, "refuses user", "POSTGRES_PASSWORD"),
        ({"POSTGRES_USER": "nobody"}, "refuses user 'nobody'", "POSTGRES_USER"),
        ({"POSTGRES_DATABASE": "not_there"}, "no database 'not_there'", "CREATE DATABASE not_there"),
    ],
)
async def test_each_wrong_setting_is_told_apart(
    values: dict[str, str], change: dict[str, str], seen: str, remedy: str
) -> None:
    failed = (await checked(probe, values | change)).failed()
    assert failed.subject == "connection"
    assert seen in failed.seen
    assert remedy in str(failed.remedy)


async def test_a_port_where_nothing_listens(values: dict[str, str]) -> None:
    failed = (await checked(probe, values | {"POSTGRES_PORT": str(free_port())})).failed()
    assert "refuses connections" in failed.seen
    assert "POSTGRES_HOST and POSTGRES_PORT" in str(failed.remedy)


async def test_a_port_where_something_else_is_silent(values: dict[str, str]) -> None:
    async with silent() as port:
        failed = (await checked(probe, values | {"POSTGRES_PORT": str(port)})).failed()
    assert "says nothing that PostgreSQL would say" in failed.seen


async def role(dsn: str, *grants: str) -> dict[str, str]:
    """Settings of a user of this database alone, with just these rights."""
    name = f"role_{urlsplit(dsn).path.lstrip('/')}"
    await execute(
        dsn,
        f"CREATE ROLE {name} LOGIN PASSWORD '{USER_KEY}'",
        *(grant.replace("$role", name) for grant in grants),
    )
    return values_of(dsn, POSTGRES_USER=name, POSTGRES_PASSWORD=USER_KEY)


async def test_a_user_that_may_not_create_the_table(postgres: Postgres) -> None:
    values = await role(postgres.database(), "REVOKE CREATE ON SCHEMA public FROM PUBLIC")
    failed = (await checked(probe, values)).failed()
    assert failed.subject == "table operation_logs"
    assert "may not create it in schema public" in failed.seen
    assert f"GRANT CREATE ON SCHEMA public TO {values['POSTGRES_USER']}" in str(failed.remedy)


async def test_a_user_that_may_not_write_the_table(postgres: Postgres) -> None:
    values = await role(postgres.database(), CREATE_TABLE)
    failed = (await checked(probe, values)).failed()
    assert failed.subject == "table operation_logs"
    assert "may not use operation_logs" in failed.seen
    assert "Grant INSERT" in str(failed.remedy)


async def test_a_table_of_another_form(postgres: Postgres) -> None:
    dsn = postgres.database()
    await execute(dsn, "CREATE TABLE operation_logs (task_id text)")
    failed = (await checked(probe, values_of(dsn))).failed()
    assert "trace_id" in failed.seen


async def test_a_search_path_to_nowhere(postgres: Postgres) -> None:
    values = await role(postgres.database(), "ALTER ROLE $role SET search_path = not_there")
    failed = (await checked(probe, values)).failed()
    assert "no schema of the search path" in failed.seen


async def test_a_server_that_only_reads(postgres: Postgres) -> None:
    values = await role(postgres.database(), "ALTER ROLE $role SET default_transaction_read_only = on")
    failed = (await checked(probe, values)).failed()
    assert "only reads" in failed.seen
    assert "primary" in str(failed.remedy)


async def test_fewer_connections_than_the_pool_wants(postgres: Postgres) -> None:
    values = await role(
        postgres.database(), "ALTER ROLE $role CONNECTION LIMIT 3", "GRANT ALL ON SCHEMA public TO $role"
    )
    warned = (await checked(probe, values)).about("connections")
    assert warned.verdict is Verdict.WARNING
    assert "3 left for this user" in warned.seen
    assert "POSTGRES_POOL_MAX_SIZE" in str(warned.remedy)


async def test_no_connection_left(postgres: Postgres) -> None:
    values = await role(postgres.database(), "ALTER ROLE $role CONNECTION LIMIT 0")
    failed = (await checked(probe, values)).failed()
    assert "takes no more connections" in failed.seen
    assert "max_connections" in str(failed.remedy)


async def test_a_database_that_wants_a_certificate_of_its_clients(
    own_postgres: Postgres, tmp_path: Path
) -> None:
    """The refusal by TLS is what is told, not that of the second try without, which would send one the wrong way."""
    dsn = own_postgres.database()
    database = urlsplit(dsn).path.lstrip("/")
    access = f"hostssl {database} all all scram-sha-256 clientcert=verify-ca\\nhostnossl {database} all all reject\\n"
    async with speaking_tls(own_postgres.dsn, make_certificates(tmp_path), access):
        failed = (await checked(probe, values_of(dsn))).failed()
        other = await checked(probe, values_of(own_postgres.dsn))
    assert "certificate" in failed.seen
    assert "encryption" not in failed.seen
    assert "pg_hba.conf" in str(failed.remedy)
    assert "with TLS, unverified" in other.about("connection").seen
