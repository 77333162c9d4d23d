"""What a scenario plays on: fresh topics, a bucket, GigaChat's stand-in, and workers that know them."""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from minio import Minio

from tests.acceptance.worker import Worker
from tests.services.kafka import Kafka
from tests.services.minio import MinioServer
from tests.standins.process import GigaChatProcess


@dataclass(frozen=True, slots=True)
class Stage:
    """Everything a worker is pointed at."""

    kafka: Kafka
    minio: MinioServer
    store: Minio
    gigachat: GigaChatProcess
    tasks: str
    status: str
    dead_letters: str
    bucket: str
    group: str
    folder: Path

    @staticmethod
    def build(
        kafka: Kafka,
        minio: MinioServer,
        gigachat: GigaChatProcess,
        folder: Path,
        *,
        partitions: int = 12,
        shared: bool = False,
        config: Mapping[str, str] | None = None,
    ) -> Stage:
        """Fresh topics and a fresh bucket; ``shared`` puts tasks and statuses on one topic."""
        tasks = kafka.topic("tasks", partitions, config)
        return Stage(
            kafka=kafka,
            minio=minio,
            store=minio.client(),
            gigachat=gigachat,
            tasks=tasks,
            status=tasks if shared else kafka.topic("status", partitions, config),
            dead_letters=kafka.topic("dlq", partitions),
            bucket=minio.bucket(),
            group=kafka.unique("workers"),
            folder=folder,
        )

    def environment(self, **more: str) -> dict[str, str]:
        """The settings of a worker here, named as a deployment names them."""
        standin = self.gigachat
        return {
            "KAFKA_BOOTSTRAP_SERVERS": self.kafka.bootstrap,
            "KAFKA_TASKS_TOPIC": self.tasks,
            "KAFKA_STATUS_TOPIC": self.status,
            "KAFKA_DLQ_TOPIC": self.dead_letters,
            # What fails for the moment fails at once, unless a scenario is about going round.
            "KAFKA_RETRY_TOPIC": "none",
            "KAFKA_GROUP_ID": self.group,
            "KAFKA_SESSION_TIMEOUT_MS": "3000",
            "KAFKA_HEARTBEAT_INTERVAL_MS": "500",
            "MINIO_ENDPOINT": self.minio.endpoint,
            "MINIO_ACCESS_KEY": self.minio.access_key,
            "MINIO_SECRET_KEY": self.minio.secret_key,
            "MINIO_BUCKET_NAME": self.bucket,
            "GIGACHAT_ACCESS_TOKEN": standin.authorization_key,
            "GIGACHAT_SCOPE": standin.scope,
            "GIGACHAT_MAX_CONCURRENT": "100",
            "GIGACHAT_MAX_CONNECTIONS": "100",
            "GIGACHAT_CA_BUNDLE": str(standin.ca_bundle),
            "GIGACHAT_REQUEST_TIMEOUT_SECONDS": "5",
            "BASE_URL": standin.base_url,
            "OAUTH_URL": standin.oauth_url,
            "LLM_RETRY_INITIAL_DELAY": "0.2",
            "LLM_RETRY_MAX_DELAY": "1.0",
            "CIRCUIT_BREAKER_TIMEOUT_SEC": "1",
            "BOOTSTRAP_RETRY_DELAY_SECONDS": "0.2",
            "LLM_DEFAULT_PROMPT_ID": "1",
            **more,
        }

    def worker(self, name: str = "worker", **more: str) -> Worker:
        """A worker that is not started yet; its log is ``<name>.log``."""
        return Worker(self.environment(WORKER_ID=f"LLM_{name}", **more), self.folder / f"{name}.log")

    def put(self, key: str, content: bytes, content_type: str = "application/octet-stream") -> str:
        """Drop a file; its storage path, as producers write it."""
        self.store.put_object(self.bucket, key, io.BytesIO(content), len(content), content_type)
        return key
