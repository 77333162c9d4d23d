"""PostgreSQL: reached, the log's table there or to be made, rows taken, clocks agreeing, connections left."""

from __future__ import annotations

import ssl
import struct
from collections.abc import Sequence
from dataclasses import replace

from llm_service.cli.checking.address import Address, Unreached, reach
from llm_service.cli.checking.collection import Collection
from llm_service.cli.checking.finding import Finding
from llm_service.cli.checking.trust import NoTls, Trust, look_at_certificate
from llm_service.container.ledger import postgres_config
from llm_service.errors import SettingsInvalid
from llm_service.ledger.database import PostgresConfig
from llm_service.ledger.diagnosis import DATABASE_ERRORS, diagnose
from llm_service.ledger.survey import DatabaseFacts, survey
from llm_service.resilience.clock import Clock
from llm_service.settings import Settings

_SETTINGS = "POSTGRES_HOST and POSTGRES_PORT"
# https://www.postgresql.org/docs/current/protocol-message-formats.html: SSLRequest, its length and its number.
_SSL_REQUEST = struct.pack("!II", 8, 80_877_103)
_CONNECT_S = 3.0
_STATEMENT_S = 2.0

# Machines that keep time by NTP agree within 0.1 s; beyond seconds the log's rows and the workers' lines no longer
# tell in which order things happened.
_CLOCKS_AGREE_S = 5.0


async def probe(settings: Settings, clock: Clock) -> Sequence[Finding]:
    """What is found at POSTGRES_HOST, within 8 s."""
    found = Collection("postgres")
    if not settings.postgres.enabled:
        found.skipped(
            "connection",
            "not configured: set POSTGRES_ENABLED=True and POSTGRES_HOST to keep a log of tasks there",
        )
        return found.findings
    try:
        usual = postgres_config(settings)
    except SettingsInvalid as error:
        found.failed("connection", error.message, "Name a PEM file that can be read.")
        return found.findings
    config = replace(usual, connect_timeout_s=_CONNECT_S, statement_timeout_s=_STATEMENT_S)
    remedy = f"See whether the server hangs or is overloaded, and that {_SETTINGS} name it."
    return await found.within(_look(config, clock, found), remedy)


async def _look(config: PostgresConfig, clock: Clock, found: Collection) -> None:
    try:
        address = Address(config.host, config.port, _SETTINGS)
        await reach(address, clock)
        if config.tls is not None:
            await _look_at_tls(address, config.tls, clock, found)
        facts = await survey(config, clock)
    except Unreached as error:
        found.failed("connection", error.seen, error.remedy)
    except TimeoutError:
        found.failed(
            "connection",
            f"{config.host}:{config.port} takes the connection and says nothing that PostgreSQL would say",
            f"See whether the server hangs, or something else has that port: correct {_SETTINGS}.",
        )
    except DATABASE_ERRORS as error:
        diagnosis = diagnose(error, config)
        found.failed("connection", diagnosis.seen, diagnosis.remedy)
    else:
        version = facts.version.partition(" ")[0]
        found.ok(
            "connection",
            f"PostgreSQL {version}, database {config.database}, {_tls_in_words(facts, config)}",
            facts.seconds,
        )
        _look_at_table(facts, config, found)
        _look_at_migrations(facts, found)
        _look_at_clock(facts, found)
        _look_at_connections(facts, config, found)


async def _look_at_tls(address: Address, tls: ssl.SSLContext, clock: Clock, found: Collection) -> None:
    """Raises Unreached."""
    if tls.verify_mode is ssl.CERT_NONE:
        found.warning(
            "TLS verification",
            "off: anyone on the way can read and change the ledger",
            "Set POSTGRES_VERIFY_SSL=True and POSTGRES_CA_BUNDLE to a file with the certificate of its issuer.",
        )
    try:
        await look_at_certificate(address, Trust(tls, "POSTGRES_CA_BUNDLE", _SSL_REQUEST), clock, found)
    except NoTls:
        raise Unreached(
            f"{address} speaks no TLS, and POSTGRES_USE_SSL=True wants it",
            f"Set ssl = on in the server's postgresql.conf, or correct {_SETTINGS}.",
        ) from None


def _tls_in_words(facts: DatabaseFacts, config: PostgresConfig) -> str:
    if not facts.encrypted:
        return "without TLS"
    return "with TLS" if config.tls is not None else "with TLS, unverified: POSTGRES_USE_SSL is not set"


def _look_at_table(facts: DatabaseFacts, config: PostgresConfig, found: Collection) -> None:
    subject = "table operation_logs"
    if facts.refusal is not None:
        found.failed(subject, facts.refusal.seen, facts.refusal.remedy)
    elif facts.table_schema is not None:
        found.ok(subject, f"takes rows, in schema {facts.table_schema}")
    elif facts.read_only:
        found.failed(
            subject,
            "not there, and the server only reads",
            "Let POSTGRES_HOST name the primary, or make the server writable again.",
        )
    elif facts.schema is None:
        found.failed(
            subject,
            f"not there, and no schema of the search path of '{config.user}' exists",
            f"CREATE SCHEMA AUTHORIZATION {config.user}, or set the user's search_path to a schema that exists.",
        )
    elif not facts.may_create:
        found.failed(
            subject,
            f"not there, and '{config.user}' may not create it in schema {facts.schema}",
            f"GRANT CREATE ON SCHEMA {facts.schema} TO {config.user}, or let its owner create the table.",
        )
    else:
        found.ok(subject, f"not there yet: the worker creates it at its start, in schema {facts.schema}")


def _look_at_migrations(facts: DatabaseFacts, found: Collection) -> None:
    subject = "migrations"
    if facts.newer:
        found.warning(
            subject, "the database is newer than this version", "Upgrade the workers to the newer version."
        )
    elif not facts.missing:
        found.ok(subject, "all are applied")
    elif facts.may_create and not facts.read_only:
        found.ok(subject, f"the worker applies them at its start: {', '.join(facts.missing)}")
    else:
        found.warning(
            subject,
            f"missing, so there is no ledger: {', '.join(facts.missing)}",
            "Run `llm-service migrate` as a user who may make tables; tasks are answered without.",
        )


def _look_at_clock(facts: DatabaseFacts, found: Collection) -> None:
    ahead = facts.clock_ahead_s
    if abs(ahead) > _CLOCKS_AGREE_S:
        way = "ahead of" if ahead > 0 else "behind"
        found.warning(
            "clock",
            f"the server is {abs(ahead):.0f} s {way} this machine",
            "Set both clocks by NTP: times in the log and in the database tell different orders.",
        )
    else:
        found.ok("clock", f"agrees with this machine to {abs(ahead):.1f} s")


def _look_at_connections(facts: DatabaseFacts, config: PostgresConfig, found: Collection) -> None:
    # This look's own connection is free again when it is over.
    free = facts.free_connections + 1
    seen = f"{facts.connections - 1} in use, {free} left for this user of {facts.max_connections}"
    if free < config.pool_max_size:
        found.warning(
            "connections",
            f"{seen}, fewer than POSTGRES_POOL_MAX_SIZE={config.pool_max_size}",
            "Lower POSTGRES_POOL_MAX_SIZE, or raise max_connections of the server or the limit of the user.",
        )
    else:
        found.ok("connections", f"{seen}; a worker takes up to {config.pool_max_size}")
