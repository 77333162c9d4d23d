"""The services by Docker: the vendors' images, told the same as our own processes are."""

from __future__ import annotations

import secrets

from tests.services.containers import Container
from tests.services.kafka import PROPERTIES, VERSION, Kafka
from tests.services.minio import MinioServer
from tests.services.ollama import VERSION as OLLAMA_VERSION
from tests.services.ollama import Ollama
from tests.services.ports import free_port
from tests.services.postgres import Postgres

# The last image that MinIO published; later releases are source only.
_MINIO = "RELEASE.2025-09-07T16-13-09Z"
_POSTGRES = "17"


def kafka(containers: list[Container]) -> Kafka:
    port = free_port()
    own = {
        "listeners": "PLAINTEXT://:9092,CONTROLLER://:9093",
        "advertised.listeners": f"PLAINTEXT://127.0.0.1:{port}",
        "controller.quorum.voters": "1@localhost:9093",
    }
    # The image reads a property from its name in capitals with underscores.
    env = {f"KAFKA_{key.replace('.', '_').upper()}": value for key, value in {**PROPERTIES, **own}.items()}
    container = Container.of(f"apache/kafka:{VERSION}", {9092: port}, env)
    containers.append(container)
    service = Kafka(f"127.0.0.1:{port}", container, f"Kafka {VERSION}, Docker")
    service.start()
    return service


def minio(containers: list[Container]) -> MinioServer:
    port, secret = free_port(), secrets.token_hex(16)
    env = {"MINIO_ROOT_USER": "testbed", "MINIO_ROOT_PASSWORD": secret, "MINIO_UPDATE": "off"}
    container = Container.of(f"minio/minio:{_MINIO}", {9000: port}, env, "server /data")
    containers.append(container)
    service = MinioServer(f"http://127.0.0.1:{port}", "testbed", secret, container, f"MinIO {_MINIO}, Docker")
    service.start()
    return service


def postgres(containers: list[Container]) -> Postgres:
    port, secret = free_port(), secrets.token_hex(16)
    env = {"POSTGRES_USER": "testbed", "POSTGRES_PASSWORD": secret, "POSTGRES_DB": "postgres"}
    container = Container.of(f"postgres:{_POSTGRES}", {5432: port}, env)
    containers.append(container)
    dsn = f"postgresql://testbed:{secret}@127.0.0.1:{port}/postgres"
    service = Postgres(dsn, container, f"PostgreSQL {_POSTGRES}, Docker")
    service.start()
    return service


def ollama(containers: list[Container]) -> Ollama:
    port = free_port()
    container = Container.of(f"ollama/ollama:{OLLAMA_VERSION}", {11434: port}, {})
    containers.append(container)
    how = f"Ollama {OLLAMA_VERSION}, Docker, random-weight model"
    service = Ollama(f"http://127.0.0.1:{port}", container, how)
    service.start()
    service.create_model()
    return service
