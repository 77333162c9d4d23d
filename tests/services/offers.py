"""The ways to each service: by address, in Docker, as a process; in that order of choice."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from tests.services import at_address, in_docker, kafka_own, minio_own, ollama_own, postgres_own
from tests.services.cache import Cache
from tests.services.containers import Container
from tests.services.reaper import Reaper
from tests.services.service import Service


@dataclass(frozen=True, slots=True)
class Offer:
    """One service. Every way raises Unavailable when it is not open here."""

    name: str
    at_address: Callable[[str], Service]
    in_docker: Callable[[list[Container]], Service]
    """Adds its container to the list before it starts it."""
    as_process: Callable[[Cache, Reaper, Path], Service]
    """The folder is for its data and log, and goes with the run."""
    prepare: Callable[[Cache], object]
    """What ``as_process`` builds once."""


OFFERS: Mapping[str, Offer] = MappingProxyType(
    {
        offer.name: offer
        for offer in (
            Offer("kafka", at_address.kafka, in_docker.kafka, kafka_own.start, kafka_own.prepare),
            Offer("minio", at_address.minio, in_docker.minio, minio_own.start, minio_own.prepare),
            Offer(
                "postgres", at_address.postgres, in_docker.postgres, postgres_own.start, postgres_own.prepare
            ),
            Offer("ollama", at_address.ollama, in_docker.ollama, ollama_own.start, ollama_own.prepare),
        )
    }
)
