"""Services that somebody else runs, given by their addresses; started and stopped by nobody here."""

from __future__ import annotations

from urllib.parse import unquote, urlsplit

from tests.services.kafka import Kafka
from tests.services.minio import MinioServer
from tests.services.ollama import Ollama
from tests.services.postgres import Postgres
from tests.services.runtime import Foreign, Unavailable


def kafka(address: str) -> Kafka:
    service = Kafka(address, Foreign(address), f"Kafka at {address}")
    service.start()
    return service


def minio(address: str) -> MinioServer:
    parts = urlsplit(address)
    if parts.hostname is None or parts.username is None or parts.password is None:
        raise Unavailable("TEST_S3 must look like http://access:secret@host:port")
    endpoint = f"{parts.scheme}://{parts.hostname}{f':{parts.port}' if parts.port else ''}"
    access, secret = unquote(parts.username), unquote(parts.password)
    service = MinioServer(endpoint, access, secret, Foreign(endpoint), f"S3 store at {endpoint}")
    service.start()
    return service


def postgres(address: str) -> Postgres:
    parts = urlsplit(address)
    service = Postgres(
        address, Foreign("the Postgres of TEST_POSTGRES"), f"PostgreSQL at {parts.hostname}:{parts.port}"
    )
    service.start()
    service.how = f"PostgreSQL {service.version()} at {parts.hostname}:{parts.port or 5432}"
    return service


def ollama(address: str) -> Ollama:
    service = Ollama(address.rstrip("/"), Foreign(address), f"Ollama at {address}")
    service.start()
    service.how = f"Ollama {service.version()} at {address}, random-weight model"
    service.create_model()
    return service
