"""What a run plays on: a broker, an object store and a database of its own, the providers' stand-ins, fresh topics."""

from __future__ import annotations

import contextlib
import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from tests.chaos import broker
from tests.chaos.links import Links, linked
from tests.chaos.plan import Plan
from tests.services.bed import Bed
from tests.services.kafka import Kafka
from tests.services.minio import MinioServer
from tests.services.ports import free_port
from tests.services.postgres import Postgres
from tests.services.reaper import Reaper
from tests.services.wishes import Wishes
from tests.standins.process import GigaChatProcess, StandinProcess, gigachat, ollama

DRAIN_S = 8.0
# The shortest that the settings allow; F7's tasks take longer.
MAX_POLL_INTERVAL_S = 10.0
BREAKER_THRESHOLD = 5
BREAKER_OPEN_S = 1.0
# Tasks outlive every outage here: what is wanted of each is known before.
RETRIES = 20
# A task longer than a worker lives under this storm can't be told from one that kills: with a death of its worker every
# 25 s half of the runs of 14 s are cut, and six of them in a row would be no rarity.
_POISON_TAKEOVERS = 12
_OF_THE_NETWORK = {"F10", "F11", "F12", "F13", "F17"}
# The broker stamps what it appends: one clock for all events, and no worker's word.
_STAMPED = {"message.timestamp.type": "LogAppendTime"}


@dataclass(frozen=True, slots=True)
class Services:
    """Of these runs alone: they are killed and stopped."""

    kafka: Kafka
    minio: MinioServer
    postgres: Postgres
    behind: int
    """The broker's port behind the proxy."""
    advertised: int
    """The port that the broker sends clients of the proxy to: one run at a time has a proxy there."""
    reaper: Reaper

    @property
    def how(self) -> list[str]:
        """What each runs as."""
        return [self.kafka.how, self.minio.how, self.postgres.how]


@dataclass(frozen=True, slots=True)
class Stage:
    """Everything a worker is pointed at, and everything that can be broken."""

    services: Services
    database: str
    """DSN of the workers' database."""
    gigachat: GigaChatProcess
    ollama: StandinProcess
    tasks: str
    status: str
    dead_letters: str
    retries: str
    """The retry topic."""
    group: str
    bucket: str
    canary: str
    links: Links
    """Without a port where the plan has no fault of the network."""
    folder: Path

    @property
    def kafka(self) -> Kafka:
        return self.services.kafka

    @property
    def minio(self) -> MinioServer:
        return self.services.minio

    @property
    def postgres(self) -> Postgres:
        return self.services.postgres

    @property
    def secrets(self) -> list[str]:
        """What must be found nowhere."""
        password = urlsplit(self.database).password or ""
        return [self.gigachat.authorization_key, self.minio.secret_key, password]

    def proxied(self) -> dict[str, str]:
        """The settings that lead through the proxy instead; none where there is none."""
        ports = self.links.ports
        if not ports:
            return {}
        gigachat_origin = f"https://127.0.0.1:{ports['gigachat']}"
        return {
            "KAFKA_BOOTSTRAP_SERVERS": f"127.0.0.1:{ports['kafka']}",
            "MINIO_ENDPOINT": f"127.0.0.1:{ports['minio']}",
            "POSTGRES_PORT": str(ports["postgres"]),
            "BASE_URL": gigachat_origin,
            "OAUTH_URL": self.gigachat.oauth_url.replace(self.gigachat.base_url, gigachat_origin),
        }

    def environment(self, plan: Plan) -> dict[str, str]:
        """The settings of a worker here, named as a deployment names them."""
        database, standin = urlsplit(self.database), self.gigachat
        return {
            "KAFKA_BOOTSTRAP_SERVERS": self.kafka.bootstrap,
            "KAFKA_TASKS_TOPIC": self.tasks,
            "KAFKA_STATUS_TOPIC": self.status,
            "KAFKA_DLQ_TOPIC": self.dead_letters,
            "KAFKA_RETRY_TOPIC": self.retries,
            "KAFKA_RETRY_DELAY_SECONDS": "2",
            # Many of the tasks must fail, and a file that is not there may come yet: it is looked for three times.
            "DLQ_STOP_RUN": "0",
            "DLQ_STOP_SHARE": "0",
            "LLM_MAX_ATTEMPTS": "3",
            "KAFKA_GROUP_ID": self.group,
            "KAFKA_DELIVERY": plan.mode,
            "KAFKA_GROUP_PROTOCOL": plan.protocol,
            "KAFKA_SESSION_TIMEOUT_MS": str(int(plan.session_s * 1000)),
            "KAFKA_HEARTBEAT_INTERVAL_MS": "500",
            "KAFKA_MAX_POLL_INTERVAL_MS": str(int(MAX_POLL_INTERVAL_S * 1000)),
            "MINIO_ENDPOINT": self.minio.endpoint,
            "MINIO_ACCESS_KEY": self.minio.access_key,
            "MINIO_SECRET_KEY": self.minio.secret_key,
            "MINIO_BUCKET_NAME": self.bucket,
            "POSTGRES_ENABLED": "true",
            "POSTGRES_HOST": str(database.hostname),
            "POSTGRES_PORT": str(database.port),
            "POSTGRES_DATABASE": database.path.lstrip("/"),
            "POSTGRES_USER": str(database.username),
            "POSTGRES_PASSWORD": str(database.password),
            "POSTGRES_POOL_MAX_SIZE": "4",
            "GIGACHAT_ACCESS_TOKEN": standin.authorization_key,
            "GIGACHAT_SCOPE": standin.scope,
            "GIGACHAT_MAX_CONCURRENT": str(plan.pool),
            "GIGACHAT_MAX_CONNECTIONS": str(plan.pool),
            "GIGACHAT_CA_BUNDLE": str(standin.ca_bundle),
            "GIGACHAT_REQUEST_TIMEOUT_SECONDS": "8",
            "BASE_URL": standin.base_url,
            "OAUTH_URL": standin.oauth_url,
            "OLLAMA_BASE_URL": self.ollama.base_url,
            "OLLAMA_MODEL": "tiny",
            "OLLAMA_MAX_CONCURRENT": str(plan.pool),
            "LLM_PROVIDER": "gigachat",
            "LLM_MAX_RETRIES": str(RETRIES),
            "FILE_MAX_RETRIES": str(RETRIES),
            "FILE_TEMP_FOLDER": str(self.folder / "work"),
            "LLM_RETRY_INITIAL_DELAY": "0.2",
            "LLM_RETRY_MAX_DELAY": "1.0",
            "LLM_DEFAULT_PROMPT_ID": "1",
            "CIRCUIT_BREAKER_FAILURE_THRESHOLD": str(BREAKER_THRESHOLD),
            "CIRCUIT_BREAKER_TIMEOUT_SEC": str(BREAKER_OPEN_S),
            "BOOTSTRAP_RETRY_DELAY_SECONDS": "0.2",
            "WORKER_MAX_CONCURRENT_TASKS": str(plan.pool),
            "WORKER_SHUTDOWN_TIMEOUT_SECONDS": str(DRAIN_S),
            "DEDUP_WINDOW_SIZE": str(plan.dedup_window),
            "POISON_MAX_TAKEOVERS": str(_POISON_TAKEOVERS),
        }


@contextmanager
def served(folder: Path, say: Callable[[str], None]) -> Iterator[Services]:
    """Everything up, with its data in ``folder``; ended whatever way the context is left. Raises Unavailable."""
    with contextlib.ExitStack() as stack:
        reaper = Reaper()
        stack.callback(reaper.close)
        bed = Bed(Wishes.read(), say)
        stack.callback(bed.close)
        say("starting PostgreSQL and MinIO")
        minio, postgres = bed.another("minio"), bed.another("postgres")
        assert isinstance(minio, MinioServer)
        assert isinstance(postgres, Postgres)
        say("starting Kafka")
        own = broker.start(reaper, folder)
        stack.callback(own.kafka.stop)
        yield Services(own.kafka, minio, postgres, own.behind, own.advertised, reaper)


@contextmanager
def staged(plan: Plan, services: Services, folder: Path) -> Iterator[Stage]:
    """The providers' stand-ins with their logs in ``folder``; topics, a bucket and a database of this run alone."""
    kafka = services.kafka
    (folder / "work").mkdir()
    tasks = kafka.topic("tasks", plan.partitions, _STAMPED if plan.shared else None)
    with (
        gigachat(folder=folder) as standin,
        ollama(folder=folder) as second,
        linked(_targets(plan, services, standin), services.reaper) as links,
    ):
        yield Stage(
            services=services,
            database=services.postgres.database(),
            gigachat=standin,
            ollama=second,
            tasks=tasks,
            status=tasks if plan.shared else kafka.topic("status", plan.partitions, _STAMPED),
            dead_letters=kafka.topic("dlq", plan.partitions, _STAMPED),
            retries=kafka.topic("retry", plan.retry_partitions, _STAMPED),
            group=kafka.unique("workers"),
            bucket=services.minio.bucket(),
            canary=f"canary-prompt-{secrets.token_hex(8)}",
            links=links,
            folder=folder,
        )


def _targets(plan: Plan, services: Services, standin: GigaChatProcess) -> dict[str, tuple[int, int]]:
    """What the proxy leads to: nothing where no fault needs it."""
    if not _OF_THE_NETWORK.intersection(plan.faults):
        return {}
    return {
        "kafka": (services.advertised, services.behind),
        "minio": (free_port(), _port(f"//{services.minio.endpoint}")),
        "postgres": (free_port(), _port(services.postgres.dsn)),
        "gigachat": (free_port(), _port(standin.base_url)),
    }


def _port(address: str) -> int:
    port = urlsplit(address).port
    assert port is not None
    return port
