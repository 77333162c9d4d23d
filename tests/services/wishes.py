"""What the environment asks of the test bed, read once."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

_ADDRESSES = MappingProxyType(
    {"kafka": "TEST_KAFKA", "minio": "TEST_S3", "postgres": "TEST_POSTGRES", "ollama": "TEST_OLLAMA"}
)


@dataclass(frozen=True, slots=True)
class Wishes:
    """Addresses to use instead of own services, where to keep builds, and how strict to be."""

    addresses: Mapping[str, str]
    """By the service's name: TEST_KAFKA ``host:port[,host:port]``, TEST_S3
    ``http[s]://access:secret@host:port``, TEST_POSTGRES a DSN whose user may create databases, TEST_OLLAMA
    ``http://host:port``, where the tiny model is created under its own name."""
    required: bool
    """REQUIRE_REAL_SERVICES=1: a service that cannot be had is a failure, not a skip."""
    cache: Path
    """LLM_SERVICE_TESTBED."""

    @classmethod
    def read(cls, env: Mapping[str, str] | None = None) -> Wishes:
        env = os.environ if env is None else env
        user_cache = Path(env.get("XDG_CACHE_HOME") or Path.home() / ".cache")
        return cls(
            addresses={name: env[key] for name, key in _ADDRESSES.items() if env.get(key)},
            required=env.get("REQUIRE_REAL_SERVICES", "") not in {"", "0"},
            cache=Path(env.get("LLM_SERVICE_TESTBED") or user_cache / "llm-service-testbed").absolute(),
        )
