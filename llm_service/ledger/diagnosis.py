"""What a database's refusal means, and what is to be done about it."""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from typing import TYPE_CHECKING

import asyncpg

if TYPE_CHECKING:
    from llm_service.ledger.database import PostgresConfig

# The server's own sentence, without a DETAIL that may quote the row.
_EXCERPT = 200

# X509_V_ERR_CERT_HAS_EXPIRED; X509_V_ERR_HOSTNAME_MISMATCH and X509_V_ERR_IP_ADDRESS_MISMATCH.
_EXPIRED = 10
_OTHER_NAME = frozenset({62, 64})
# The driver has no class for it; the words are its own, not the server's.
_NO_TLS = "rejected SSL upgrade"

DATABASE_ERRORS = (
    OSError,
    TimeoutError,
    asyncpg.PostgresError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
)
"""What the driver raises when server, network or rights are in the way."""


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """Two halves of one sentence to whoever runs this; no secret is in them."""

    seen: str
    remedy: str

    def __str__(self) -> str:
        return f"{self.seen}. {self.remedy}"


def diagnose(error: Exception, config: PostgresConfig) -> Diagnosis:
    """Told apart by the error's SQLSTATE or class: the sentences of a server may be in any language."""
    place = f"PostgreSQL at {config.host}:{config.port}"
    match error:
        case ssl.SSLCertVerificationError():
            return _distrusted(error, place, config)
        case asyncpg.InvalidPasswordError():
            return Diagnosis(
                f"{place} refuses user '{config.user}': {excerpt(error)}",
                "Correct POSTGRES_USER and POSTGRES_PASSWORD.",
            )
        case asyncpg.InvalidAuthorizationSpecificationError():
            return Diagnosis(
                f"{place} refuses user '{config.user}' before asking for a password: {excerpt(error)}",
                "Correct POSTGRES_USER, or let this user in from here, by TLS and password, in the server's pg_hba.conf.",
            )
        case asyncpg.InvalidCatalogNameError():
            return Diagnosis(
                f"{place} has no database '{config.database}'",
                f"Create it (CREATE DATABASE {config.database}) or correct POSTGRES_DATABASE.",
            )
        case asyncpg.TooManyConnectionsError() | asyncpg.CannotConnectNowError():
            return Diagnosis(
                f"{place} takes no more connections for now: {excerpt(error)}",
                "Wait until it is up, raise its max_connections, or lower POSTGRES_POOL_MAX_SIZE of all workers.",
            )
    return _diagnose_rest(error, place, config)


def _diagnose_rest(error: Exception, place: str, config: PostgresConfig) -> Diagnosis:
    match error:
        case asyncpg.InsufficientPrivilegeError():
            return Diagnosis(
                f"{place}: user '{config.user}' may not use operation_logs in '{config.database}': {excerpt(error)}",
                "Grant INSERT on it, and CREATE on its schema if it is to be made.",
            )
        case asyncpg.ReadOnlySQLTransactionError():
            return Diagnosis(
                f"{place} only reads: {excerpt(error)}",
                "Let POSTGRES_HOST name the primary, or make the server writable again.",
            )
        case ConnectionError() if _NO_TLS in str(error):
            return Diagnosis(
                f"{place} speaks no TLS, and POSTGRES_USE_SSL=True wants it",
                "Set ssl = on in the server's postgresql.conf, or POSTGRES_USE_SSL=False.",
            )
        case OSError() | TimeoutError():
            return Diagnosis(
                f"{place} does not answer within {config.connect_timeout_s:g} s ({excerpt(error)})",
                "Start it, correct POSTGRES_HOST and POSTGRES_PORT, or set POSTGRES_ENABLED=False.",
            )
    return Diagnosis(
        f"{place}, database '{config.database}', does not take rows for operation_logs: {excerpt(error)}",
        "Correct the table or the server, or set POSTGRES_ENABLED=False.",
    )


def _distrusted(error: ssl.SSLCertVerificationError, place: str, config: PostgresConfig) -> Diagnosis:
    if error.verify_code == _EXPIRED:
        return Diagnosis(
            f"the certificate of {place} has expired", "Renew it, or set this machine's clock right."
        )
    if error.verify_code in _OTHER_NAME:
        return Diagnosis(
            f"the certificate of {place} is for another host ({error.verify_message.rstrip('.')})",
            f"Have one made for {config.host}, or use the name that it is for in POSTGRES_HOST.",
        )
    return Diagnosis(
        f"the certificate of {place} is not trusted ({error.verify_message})",
        "Set POSTGRES_CA_BUNDLE to a PEM file with the certificate of its issuer.",
    )


def is_outage(error: BaseException) -> bool:
    """Whether nothing answers there, and may later; else somebody has refused, and will again."""
    refused = isinstance(error, ssl.SSLCertVerificationError) or _NO_TLS in str(error)
    return isinstance(error, OSError | TimeoutError) and not refused


def excerpt(error: BaseException) -> str:
    """The error's own words on one bounded line."""
    text = " ".join((str(error) or type(error).__name__).split())
    return text.rstrip(".")[:_EXCERPT]
