"""``llm-service topics`` on a real broker: what is there is shown, what is missing is made, what exists is left."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient
from confluent_kafka.admin._config import ConfigResource
from confluent_kafka.admin._resource import ResourceType

from tests.acceptance.platform import platform
from tests.acceptance.scene import mark, new_id
from tests.acceptance.stage import Stage
from tests.acceptance.worker import workers
from tests.integration.command import run
from tests.services.kafka import Kafka
from tests.services.minio import MinioServer
from tests.standins.process import gigachat

OK, FAILED, UNAVAILABLE = 0, 1, 69
DAY_MS = 24 * 3600 * 1000


@pytest.fixture
def settings(kafka: Kafka) -> dict[str, str]:
    """Names of topics that are not there."""
    return {
        "KAFKA_BOOTSTRAP_SERVERS": kafka.bootstrap,
        "KAFKA_TASKS_TOPIC": kafka.unique("tasks"),
        "KAFKA_STATUS_TOPIC": kafka.unique("status"),
        "KAFKA_DLQ_TOPIC": kafka.unique("dlq"),
        "KAFKA_RETRY_TOPIC": kafka.unique("retry"),
    }


def topics_of(kafka: Kafka) -> dict[str, int]:
    """How many partitions each has."""
    found = AdminClient({"bootstrap.servers": kafka.bootstrap}).list_topics(timeout=10).topics
    return {name: len(topic.partitions) for name, topic in found.items()}


def config_of(kafka: Kafka, topic: str) -> dict[str, str | None]:
    admin = AdminClient({"bootstrap.servers": kafka.bootstrap})
    (future,) = admin.describe_configs([ConfigResource(ResourceType.TOPIC, topic)]).values()
    return {name: entry.value for name, entry in future.result(10).items()}


def test_a_dry_run_says_what_would_be_made_and_makes_nothing(
    tmp_path: Path, settings: dict[str, str], kafka: Kafka
) -> None:
    ran = run(tmp_path, settings, "topics", "create", "--dry-run")
    assert ran.code == OK
    tasks, status, letters, retries = ran.out.splitlines()
    assert tasks == (
        f"would be made  tasks         {settings['KAFKA_TASKS_TOPIC']}: 12 partitions, 1 replica, "
        "cleanup.policy=delete, retention.ms=1209600000 (14 d)"
    )
    assert status.startswith(f"would be made  status        {settings['KAFKA_STATUS_TOPIC']}: 12 partitions")
    assert letters.endswith("retention.ms=7776000000 (90 d), max.message.bytes=1114124")
    assert retries.endswith("retention.ms=1209600000 (14 d), max.message.bytes=1114124")
    assert ran.err == "Nothing was changed.\n"
    assert not set(settings.values()) & topics_of(kafka).keys()


def test_what_is_missing_is_made_shown_and_then_left_as_it_is(
    tmp_path: Path, settings: dict[str, str], kafka: Kafka
) -> None:
    assert run(tmp_path, settings, "topics").code == FAILED
    ran = run(tmp_path, settings, "topics", "create", "--partitions", "3", "--json")
    assert ran.code == OK
    assert [line["action"] for line in ran.lines] == ["made"] * 4
    names = [settings[f"KAFKA_{role}_TOPIC"] for role in ("TASKS", "STATUS", "DLQ", "RETRY")]
    assert [topics_of(kafka)[name] for name in names] == [3, 3, 3, 1]
    assert config_of(kafka, names[0])["cleanup.policy"] == "delete"
    assert config_of(kafka, names[0])["retention.ms"] == str(14 * DAY_MS)
    assert config_of(kafka, names[2])["retention.ms"] == str(90 * DAY_MS)
    assert config_of(kafka, names[2])["max.message.bytes"] == str(1_048_588 + 65_536)

    again = run(tmp_path, settings, "topics", "create", "--partitions", "24")
    assert again.code == OK
    assert [line.split()[0] for line in again.out.splitlines()] == ["exists"] * 4
    assert f"{names[0]} is left as it is: it has 3 partitions, not 24." in again.err
    assert names[3] not in again.err, "retries have one, whatever is asked for"
    assert topics_of(kafka)[names[0]] == 3

    shown = run(tmp_path, settings, "topics")
    assert shown.code == OK
    assert [line.split()[-1] for line in shown.out.splitlines()[1:]] == ["ok"] * 4
    first = run(tmp_path, settings, "topics", "--json").lines[0]
    assert first == {
        "role": "tasks",
        "topic": names[0],
        "setting": "KAFKA_TASKS_TOPIC",
        "exists": True,
        "partitions": 3,
        "replication": 1,
        "max_message_bytes": 1_048_588,
        "retention_ms": 14 * DAY_MS,
        "cleanup_policy": "delete",
        "min_insync_replicas": 1,
        "messages": 0,
        "problems": [],
    }


def test_one_topic_for_both_is_made_once(tmp_path: Path, settings: dict[str, str], kafka: Kafka) -> None:
    shared = {**settings, "KAFKA_STATUS_TOPIC": settings["KAFKA_TASKS_TOPIC"]}
    ran = run(tmp_path, shared, "topics", "create", "--json")
    assert [(line["role"], line["action"]) for line in ran.lines] == [
        ("tasks and status", "made"),
        ("dead letters", "made"),
        ("retries", "made"),
    ]
    assert run(tmp_path, shared, "topics").code == OK


def test_a_status_topic_that_nobody_names_is_not_made_beside_tasks_that_are_in_use(
    tmp_path: Path, settings: dict[str, str], kafka: Kafka
) -> None:
    unnamed = {name: value for name, value in settings.items() if name != "KAFKA_STATUS_TOPIC"}
    if "tasks_llm_status" in topics_of(kafka):
        pytest.skip("this cluster has a tasks_llm_status")
    kafka.create_topic(settings["KAFKA_TASKS_TOPIC"], 1)
    producer = Producer({"bootstrap.servers": kafka.bootstrap})
    producer.produce(settings["KAFKA_TASKS_TOPIC"], b"{}")
    assert producer.flush(10) == 0
    ran = run(tmp_path, unnamed, "topics", "create", "--dry-run", "--json")
    assert ran.code == FAILED
    assert [line["action"] for line in ran.lines] == ["exists", "refused", "would be made", "would be made"]
    assert f"KAFKA_STATUS_TOPIC={settings['KAFKA_TASKS_TOPIC']}" in ran.lines[1]["reason"]


def test_what_the_brokers_refuse_is_told(tmp_path: Path, settings: dict[str, str], kafka: Kafka) -> None:
    ran = run(tmp_path, settings, "topics", "create", "--replication", "3")
    assert ran.code == FAILED
    assert ran.out.count("refused ") == 4
    assert "replication factor" in ran.out
    assert not set(settings.values()) & topics_of(kafka).keys()


def test_faults_of_what_exists_are_told(tmp_path: Path, settings: dict[str, str], kafka: Kafka) -> None:
    kafka.create_topic(settings["KAFKA_TASKS_TOPIC"], 1, {"cleanup.policy": "compact"})
    ran = run(tmp_path, settings, "topics", "create")
    assert ran.code == OK
    assert f"{settings['KAFKA_TASKS_TOPIC']} is left as it is: the topic" in ran.err
    assert "cleanup.policy=delete" in ran.err
    listed = run(tmp_path, settings, "topics")
    assert listed.code == FAILED
    assert listed.out.splitlines()[1].endswith("FAILED")


def test_no_broker(tmp_path: Path, settings: dict[str, str]) -> None:
    for arguments in (["topics"], ["topics", "create"]):
        ran = run(tmp_path, {**settings, "KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:1"}, *arguments)
        assert (ran.code, ran.out) == (UNAVAILABLE, "")
        assert "no broker answers at 127.0.0.1:1" in ran.err
        assert "llm-service check kafka" in ran.err


async def test_a_worker_on_topics_that_were_made_does_a_task(
    tmp_path: Path, settings: dict[str, str], kafka: Kafka, minio: MinioServer
) -> None:
    assert (await asyncio.to_thread(run, tmp_path, settings, "topics", "create")).code == OK
    tasks, status, letters, retries = (
        settings[f"KAFKA_{role}_TOPIC"] for role in ("TASKS", "STATUS", "DLQ", "RETRY")
    )
    with gigachat(folder=tmp_path) as standin:
        stage = Stage(
            kafka=kafka,
            minio=minio,
            store=minio.client(),
            gigachat=standin,
            tasks=tasks,
            status=status,
            dead_letters=letters,
            bucket=minio.bucket(),
            group=kafka.unique("workers"),
            folder=tmp_path,
        )
        worker = stage.worker(KAFKA_RETRY_TOPIC=retries)
        async with platform(kafka.bootstrap, tasks, status, letters) as here:
            with workers(worker):
                await asyncio.to_thread(worker.start)
                task_id = new_id()
                await here.send(
                    {"text": mark(task_id)}, key=task_id, headers={"status": "1", "prompt_id": "1"}
                )
                (ended,) = await here.ended(task_id)
                assert ended.status == "3", ended.value
                checked = await asyncio.to_thread(
                    run, tmp_path, stage.environment(KAFKA_RETRY_TOPIC=retries), "check", "kafka", "minio"
                )
                assert checked.code == OK, checked.out
                assert "stable, 1 member" in checked.out
                for question in ("--live", "--ready"):
                    own = {"HTTP_PORT": str(worker.port)}
                    asked = await asyncio.to_thread(run, tmp_path, own, "check", question)
                    assert (asked.code, asked.out.split()[0]) == (OK, "ok")
