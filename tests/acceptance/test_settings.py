"""The env block of existing deployments starts the real worker unchanged, both ways it is given, and a task is done.

What the test bed has elsewhere than a deployment (addresses and the keys to them) is said in the environment, as
``docker run -e`` does it: the environment goes before the file, and of two ``-e`` the last counts.
"""

from __future__ import annotations

import asyncio
import io
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from confluent_kafka.admin import AdminClient

from tests.acceptance.bad_day import started
from tests.acceptance.platform import platform
from tests.acceptance.worker import Worker, workers
from tests.services.kafka import Kafka
from tests.services.minio import MinioServer
from tests.services.postgres import Postgres
from tests.standins.process import GigaChatProcess, gigachat
from tests.unit.settings.test_deployment_env import DEPLOYMENT, as_docker_passes_it

TOPICS = ("tasks_llm", "tasks_llm_status")


@pytest.fixture(scope="module")
def topics(own_kafka: Kafka) -> Iterator[Kafka]:
    """The topics of the names that a deployment has, on a Kafka of this run alone; gone again at the end."""
    known = AdminClient({"bootstrap.servers": own_kafka.bootstrap}).list_topics(timeout=5).topics
    for topic in TOPICS:
        if topic not in known:
            own_kafka.create_topic(topic, 3)
    yield own_kafka
    for topic in (*TOPICS, "tasks_llm_dlq"):
        own_kafka.delete_topic(topic)
    admin = AdminClient({"bootstrap.servers": own_kafka.bootstrap})
    while set(TOPICS) & set(admin.list_topics(timeout=5).topics):
        time.sleep(0.05)


@dataclass(frozen=True, slots=True)
class Bed:
    """Where everything is here."""

    kafka: Kafka
    minio: MinioServer
    database: str
    gigachat: GigaChatProcess
    folder: Path

    def addresses(self) -> dict[str, str]:
        """What a deployment has elsewhere, and nothing else."""
        parts = urlsplit(self.database)
        return {
            "KAFKA_BOOTSTRAP_SERVERS": self.kafka.bootstrap,
            "MINIO_ENDPOINT": self.minio.endpoint,
            "MINIO_ACCESS_KEY": self.minio.access_key,
            "MINIO_SECRET_KEY": self.minio.secret_key,
            "POSTGRES_HOST": parts.hostname or "",
            "POSTGRES_PORT": str(parts.port),
            "POSTGRES_DATABASE": parts.path.lstrip("/"),
            "POSTGRES_USER": parts.username or "",
            "POSTGRES_PASSWORD": parts.password or "",
            "GIGACHAT_ACCESS_TOKEN": self.gigachat.authorization_key,
            "GIGACHAT_SCOPE": self.gigachat.scope,
            "BASE_URL": self.gigachat.base_url,
            "OAUTH_URL": self.gigachat.oauth_url,
        }

    def keys_by_file(self) -> dict[str, str]:
        """The same, with the keys in files."""
        environment = self.addresses()
        for name in ("MINIO_SECRET_KEY", "POSTGRES_PASSWORD", "GIGACHAT_ACCESS_TOKEN"):
            file = self.folder / name.lower()
            file.write_text(environment.pop(name) + "\n")
            environment[f"{name}_FILE"] = str(file)
        return environment


@pytest.fixture
def bed(topics: Kafka, minio: MinioServer, postgres: Postgres, tmp_path: Path) -> Iterator[Bed]:
    minio.bucket("documents")
    with gigachat(folder=tmp_path) as standin:
        yield Bed(topics, minio, postgres.database(), standin, tmp_path)


def through_docker(bed: Bed) -> Mapping[str, str]:
    """``docker run --env-file .env -e …``: comments behind values and all else as it stands."""
    return {**as_docker_passes_it(DEPLOYMENT), **bed.addresses()}


def as_a_file(bed: Bed) -> Mapping[str, str]:
    """``.env`` in the working folder, byte for byte, and the secrets out of files."""
    (bed.folder / ".env").write_bytes(DEPLOYMENT.read_bytes())
    return {
        **bed.keys_by_file(),
        # Seen from outside below: the brokers know a member by it.
        "KAFKA_CONSUMER_EXTRA": "client.id=a-deployments-own",
    }


@pytest.mark.parametrize("given", [through_docker, as_a_file])
async def test_the_env_block_of_deployments_starts_the_worker_and_a_task_is_done(
    bed: Bed, given: Callable[[Bed], Mapping[str, str]]
) -> None:
    worker = Worker(given(bed), bed.folder / "worker.log")
    async with platform(bed.kafka.bootstrap, *TOPICS, None) as here:
        with workers(worker):
            await started(worker)
            task_id = str(uuid.uuid4())
            text = f"[[task:{task_id}]] Договор № 17.".encode()
            key = f"documents/{task_id}/contract.txt"
            bed.minio.client().put_object("documents", key, io.BytesIO(text), len(text), "text/plain")
            await here.send({"storage_path": key}, key=task_id, headers={"status": "1", "prompt_id": "1"})
            (ended,) = await here.ended(task_id)
            clients = await asyncio.to_thread(client_ids, bed.kafka.bootstrap)
            status = worker.get("/status")[1]
            assert worker.terminate() == 0
    assert ended.status == "3", ended.value
    assert status["workers"]["max"] == 10
    assert clients == {"a-deployments-own" if given is as_a_file else "rdkafka"}
    output = worker.output()
    assert "GIGACHAT_VERIFY_SSL=False" in output, "said loudly at every start"
    assert "is no setting" not in output, "every name of the block is one"
    for secret in (bed.minio.secret_key, bed.gigachat.authorization_key):
        assert secret not in output


def client_ids(bootstrap: str) -> set[str]:
    """By what the members of the deployment's group call themselves."""
    admin = AdminClient({"bootstrap.servers": bootstrap})
    described = admin.describe_consumer_groups(["llm-worker-group"])["llm-worker-group"].result(10)
    return {member.client_id for member in described.members}
