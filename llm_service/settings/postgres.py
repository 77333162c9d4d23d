"""The ledger's database, which is optional."""

from __future__ import annotations

from collections.abc import Iterator, Set
from pathlib import Path

from pydantic import Field, SecretStr

from llm_service.settings.group import Group
from llm_service.settings.problem import Problem


class PostgresSettings(Group):
    """PostgreSQL (optional)."""

    enabled: bool = Field(
        default=False,
        validation_alias="POSTGRES_ENABLED",
        description="Whether answers and the log of tasks are kept in PostgreSQL.",
    )
    host: str = Field(
        default="localhost", validation_alias="POSTGRES_HOST", description="Host of the server."
    )
    port: int = Field(
        default=5432, validation_alias="POSTGRES_PORT", ge=1, le=65_535, description="Port of the server."
    )
    database: str = Field(
        default="llm_worker", validation_alias="POSTGRES_DATABASE", description="Name of the database."
    )
    user: str = Field(default="postgres", validation_alias="POSTGRES_USER", description="User name.")
    password: SecretStr | None = Field(
        default=None, validation_alias="POSTGRES_PASSWORD", description="Password."
    )
    use_ssl: bool = Field(
        default=False,
        validation_alias="POSTGRES_USE_SSL",
        description="Whether TLS is required and the server verified. False: TLS where the server offers it, its "
        "certificate unverified, else none.",
    )
    verify_ssl: bool = Field(
        default=True,
        validation_alias="POSTGRES_VERIFY_SSL",
        description="Whether POSTGRES_USE_SSL verifies certificate and host. False lets anyone on the way read and change "
        "the ledger; set POSTGRES_CA_BUNDLE instead.",
    )
    ca_bundle: Path | None = Field(
        default=None,
        validation_alias="POSTGRES_CA_BUNDLE",
        description="PEM file with the certificates the server is verified by; unset: the public ones.",
    )
    pool_min_size: int = Field(
        default=1,
        validation_alias="POSTGRES_POOL_MIN_SIZE",
        ge=0,
        le=1000,
        description="Connections that are kept open.",
    )
    pool_max_size: int = Field(
        default=20,
        validation_alias="POSTGRES_POOL_MAX_SIZE",
        ge=1,
        le=1000,
        description="Most connections at once.",
    )

    def conflicts(self, wrong: Set[str] = frozenset()) -> Iterator[Problem]:
        if self.pool_min_size > self.pool_max_size:
            yield Problem(
                ("POSTGRES_POOL_MIN_SIZE", "POSTGRES_POOL_MAX_SIZE"), "the least must not be above the most"
            )
        if self.enabled and self.ca_bundle is not None and not self.use_ssl and "use_ssl" not in wrong:
            yield Problem(
                ("POSTGRES_CA_BUNDLE", "POSTGRES_USE_SSL"),
                "nothing is verified by it without POSTGRES_USE_SSL=True",
            )
