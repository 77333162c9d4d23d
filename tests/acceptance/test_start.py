"""The start: what is missing or wrong ends it with a sentence that says what to do, and what is there is used."""

from __future__ import annotations

import asyncio
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import asyncpg
import pytest
from confluent_kafka.admin import AdminClient

from tests.acceptance.bad_day import becomes_unready, send, started, until
from tests.acceptance.platform import platform
from tests.acceptance.stage import Stage
from tests.acceptance.worker import ROOT, Worker, workers
from tests.services.kafka import Kafka
from tests.services.minio import MinioServer
from tests.services.postgres import Postgres
from tests.standins.process import GigaChatProcess, gigachat
from tests.unit.settings.test_deployment_env import DEPLOYMENT, as_docker_passes_it

UNAVAILABLE, CONFIG = 69, 78
FIVE = "Bootstrap failed after 5 attempts: "
WRONG_KEY = "c29tZS1pZDp3cm9uZy1zZWNyZXQtMTIz"
"""Base64 of an id and a secret that the vendor does not know."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """Settings that change, one by one, from those of a start that works (None: taken out), and how it ends."""

    name: str
    settings: Mapping[str, str | None]
    code: int
    says: tuple[str, ...]


def refusals(stage: Stage, postgres: Postgres) -> list[Refusal]:
    """All ways to be refused here."""
    return [*of_kafka(stage), *of_others(postgres), *of_settings(stage.folder)]


def of_kafka(stage: Stage) -> list[Refusal]:
    compacted = stage.kafka.topic("compacted", 1, {"cleanup.policy": "compact"})
    return [
        Refusal(
            "no broker",
            {"KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:1"},
            UNAVAILABLE,
            (FIVE + "kafka: no broker answers at 127.0.0.1:1", "KAFKA_BOOTSTRAP_SERVERS"),
        ),
        Refusal(
            "no tasks topic",
            {"KAFKA_TASKS_TOPIC": "nobody-made-this"},
            UNAVAILABLE,
            (FIVE + "kafka: there is no topic nobody-made-this", "kafka-topics --create"),
        ),
        Refusal(
            "no status topic is named",
            {"KAFKA_STATUS_TOPIC": None},
            UNAVAILABLE,
            (FIVE + "kafka: KAFKA_STATUS_TOPIC is not set", "create tasks_llm_status", f"={stage.tasks}"),
        ),
        Refusal(
            "no status topic",
            {"KAFKA_STATUS_TOPIC": "nobody-made-this"},
            UNAVAILABLE,
            (FIVE + "kafka: there is no topic nobody-made-this (KAFKA_STATUS_TOPIC)",),
        ),
        Refusal(
            "a compacted tasks topic",
            {"KAFKA_TASKS_TOPIC": compacted},
            UNAVAILABLE,
            (FIVE + f"kafka: the topic {compacted} is compacted", "cleanup.policy"),
        ),
        Refusal(
            "properties librdkafka refuses",
            {"KAFKA_SECURITY_PROTOCOL": "ssl", "KAFKA_SSL_CA_LOCATION": "/nobody/made/this.pem"},
            CONFIG,
            ("KAFKA_SSL_CA_LOCATION=", "/nobody/made/this.pem", "can't be read: No such file"),
        ),
    ]


def of_others(postgres: Postgres) -> list[Refusal]:
    """Of what else is needed: store, provider, database."""
    parts = urlsplit(postgres.dsn)
    database = {
        "POSTGRES_ENABLED": "True",
        "POSTGRES_HOST": "127.0.0.1",
        "POSTGRES_PORT": str(parts.port),
        "POSTGRES_DATABASE": "nobody_made_this",
        "POSTGRES_USER": parts.username or "",
        "POSTGRES_PASSWORD": parts.password or "",
    }
    return [
        Refusal(
            "no bucket",
            {"MINIO_BUCKET_NAME": "nobody-made-this"},
            UNAVAILABLE,
            (FIVE + "object store: ", "nobody-made-this", "MINIO_BUCKET_NAME"),
        ),
        Refusal(
            "a wrong key of the store",
            {"MINIO_SECRET_KEY": "wrong-secret-123"},
            UNAVAILABLE,
            (FIVE + "object store: ", "SignatureDoesNotMatch", "check the keys"),
        ),
        Refusal(
            "no store",
            {"MINIO_ENDPOINT": "127.0.0.1:1"},
            UNAVAILABLE,
            (FIVE + "object store: ", "127.0.0.1:1"),
        ),
        Refusal(
            "a wrong key of the provider",
            {"GIGACHAT_ACCESS_TOKEN": WRONG_KEY},
            UNAVAILABLE,
            (FIVE + "gigachat: ", "check GIGACHAT_ACCESS_TOKEN"),
        ),
        Refusal(
            "a certificate nobody vouches for",
            {"GIGACHAT_CA_BUNDLE": None},
            UNAVAILABLE,
            (FIVE + "gigachat: ", "certificate", "CA bundle"),
        ),
        Refusal(
            "no database", database, UNAVAILABLE, (FIVE + "postgres: ", "nobody_made_this", "CREATE DATABASE")
        ),
    ]


def of_settings(folder: Path) -> list[Refusal]:
    (folder / "broken.yaml").write_text("prompts: {7: {name: Seven, user: '{{nobody}}'}}")
    return [
        Refusal(
            "wrong settings",
            {"WORKER_MAX_CONCURRENT_TASKS": "many", "KAFKA_DELIVERY": "at_most_once", "HTTP_PORT": "99999"},
            CONFIG,
            ("WORKER_MAX_CONCURRENT_TASKS", "KAFKA_DELIVERY", "HTTP_PORT"),
        ),
        Refusal(
            "a broken prompt catalogue",
            {"PROMPTS_FILE": str(folder / "broken.yaml")},
            CONFIG,
            ("broken.yaml", "7", "nobody"),
        ),
        Refusal(
            "no such provider", {"LLM_PROVIDER": "chatty"}, CONFIG, ("LLM_PROVIDER='chatty'", "extractive")
        ),
    ]


NAMES = (
    "no broker",
    "no tasks topic",
    "no status topic is named",
    "no status topic",
    "a compacted tasks topic",
    "properties librdkafka refuses",
    "no bucket",
    "a wrong key of the store",
    "no store",
    "a wrong key of the provider",
    "a certificate nobody vouches for",
    "no database",
    "wrong settings",
    "a broken prompt catalogue",
    "no such provider",
)


@pytest.fixture(scope="module")
def stage(own_kafka: Kafka, minio: MinioServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """On a Kafka of this run alone: topics of well-known names come and go here."""
    folder = tmp_path_factory.mktemp("start")
    with gigachat(folder=folder) as standin:
        yield Stage.build(own_kafka, minio, standin, folder)


@dataclass(frozen=True, slots=True)
class Ended:
    """How a start ended, and what it said to the terminal."""

    refusal: Refusal
    code: int
    said: str


@pytest.fixture(scope="module")
def refused(stage: Stage, postgres: Postgres) -> dict[str, Ended]:
    """Every refusal, all at once: most of the time they only wait between attempts."""
    own_topic_is_gone(stage.kafka)
    with ThreadPoolExecutor(16) as threads:
        ended = threads.map(lambda refusal: run(stage, refusal), refusals(stage, postgres))
        return {one.refusal.name: one for one in ended}


def run(stage: Stage, refusal: Refusal) -> Ended:
    """``python main.py`` to its end."""
    settings = {**stage.environment(HTTP_PORT="0"), **refusal.settings}
    environment = {name: value for name, value in settings.items() if value is not None}
    done = subprocess.run(
        [sys.executable, str(ROOT / "main.py")],
        env=environment,
        cwd=stage.folder,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=100,
        check=False,
    )
    return Ended(refusal, done.returncode, done.stdout)


def own_topic_is_gone(kafka: Kafka) -> None:
    """Kafka deletes in the background."""
    kafka.delete_topic("tasks_llm_status")
    admin = AdminClient({"bootstrap.servers": kafka.bootstrap})
    while "tasks_llm_status" in admin.list_topics(timeout=5).topics:
        time.sleep(0.05)


@pytest.mark.parametrize("name", NAMES)
def test_a_start_that_is_refused(refused: Mapping[str, Ended], name: str) -> None:
    one = refused[name]
    assert one.code == one.refusal.code, one.said
    last = one.said.strip().splitlines()[-1]
    shown = last if one.refusal.code == UNAVAILABLE else one.said
    for words in one.refusal.says:
        assert words in shown, one.said
    if last.startswith(FIVE):
        assert last.endswith("`llm-service check` looks for the cause"), one.said
    assert "Traceback" not in one.said, one.said
    for secret in ("wrong-secret-123", WRONG_KEY):
        assert secret not in one.said


def test_every_refusal_is_looked_at(refused: Mapping[str, Ended]) -> None:
    assert tuple(refused) == NAMES


def test_five_attempts_are_made(refused: Mapping[str, Ended], stage: Stage) -> None:
    keys = [request for request in stage.gigachat.requests("oauth") if request.status == 401]
    assert len(keys) == 5


def test_a_port_that_is_taken(stage: Stage) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        ended = run(stage, Refusal("port", {"HTTP_PORT": port}, UNAVAILABLE, ()))
    assert ended.code == UNAVAILABLE
    assert f"port {port} is taken" in ended.said
    assert "HTTP_PORT" in ended.said
    assert "Traceback" not in ended.said


async def test_the_env_of_the_service_before_starts_this_one(
    own_kafka: Kafka, minio: MinioServer, postgres: Postgres, refused: object, tmp_path: Path
) -> None:
    """Its env block as Docker passes it, with the addresses and keys of the test bed and nothing else.

    So no status topic is named: the one of the default name is there and used. There is no dead-letter topic: it is made.
    """
    own_kafka.create_topic("tasks_llm", 3)
    own_kafka.create_topic("tasks_llm_status", 3)
    minio.bucket("documents")
    with gigachat(folder=tmp_path) as standin:
        database = postgres.database()
        worker = Worker(deployment(own_kafka, minio, database, standin), tmp_path / "worker.log")
        async with platform(own_kafka.bootstrap, "tasks_llm", "tasks_llm_status", None) as here:
            with workers(worker):
                await started(worker)
                done, lost = await send(here), await send(here, {"text": 17})
                ended = await here.ended(done, lost)
                assert [event.status for event in ended] == ["3", "4"]
                assert worker.get("/status")[1]["workers"]["max"] == 10
                assert worker.terminate() == 0
        (call,) = standin.requests("chat")
        assert call.marker == done
    assert "GIGACHAT_VERIFY_SSL=False" in worker.output(), "said loudly at every start"
    topic = (
        AdminClient({"bootstrap.servers": own_kafka.bootstrap}).list_topics(timeout=5).topics["tasks_llm_dlq"]
    )
    assert len(topic.partitions) == 3, "as many as the tasks have"
    connection = await asyncpg.connect(database)
    try:
        rows = await connection.fetch("SELECT operation FROM operation_logs WHERE task_id::text = $1", done)
    finally:
        await connection.close()
    assert {row["operation"] for row in rows} == {"task_received", "llm_processing_success"}


def deployment(
    kafka: Kafka, minio: MinioServer, database: str, standin: GigaChatProcess
) -> Mapping[str, str]:
    """The env block with this bed's addresses and keys."""
    parts = urlsplit(database)
    return {
        **as_docker_passes_it(DEPLOYMENT),
        "KAFKA_BOOTSTRAP_SERVERS": kafka.bootstrap,
        "MINIO_ENDPOINT": minio.endpoint,
        "MINIO_ACCESS_KEY": minio.access_key,
        "MINIO_SECRET_KEY": minio.secret_key,
        "POSTGRES_HOST": parts.hostname or "",
        "POSTGRES_PORT": str(parts.port),
        "POSTGRES_DATABASE": parts.path.lstrip("/"),
        "POSTGRES_USER": parts.username or "",
        "POSTGRES_PASSWORD": parts.password or "",
        "GIGACHAT_ACCESS_TOKEN": standin.authorization_key,
        "GIGACHAT_SCOPE": standin.scope,
        "BASE_URL": standin.base_url,
        "OAUTH_URL": standin.oauth_url,
    }


async def test_a_member_that_its_group_refuses_says_so_and_is_not_ready(stage: Stage) -> None:
    """librdkafka asks again for ever without a word: such a worker would look well and do nothing."""
    first = stage.worker("first")
    second = stage.worker("second", KAFKA_ASSIGNMENT_STRATEGY="range")
    with workers(first, second):
        await asyncio.to_thread(first.start)
        await until(lambda: first.get("/status")[1]["partitions"] == 12, 20, "all partitions for the first")
        second.start(wait=False)
        await becomes_unready(second, "INCONSISTENT_GROUP_PROTOCOL")
        assert first.get("/status")[1]["partitions"] == 12, "the others go on"
        await asyncio.to_thread(first.terminate)
        await asyncio.to_thread(second.wait_ready)
