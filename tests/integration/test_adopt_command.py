"""``llm-service adopt`` on a real broker: what it shows, what it writes, and what it refuses."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path

import pytest
from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient
from confluent_kafka.admin._acl import AclOperation
from confluent_kafka.admin._resource import ResourceType

from llm_service.contract.retry import RetryNote, encode
from llm_service.kafka.adoption.standing import GroupAtWork, standing
from llm_service.kafka.config import ConnectionConfig
from llm_service.kafka.offset_map import Run, read
from llm_service.kafka.tracker import Position
from tests.integration.command import run
from tests.integration.test_check_kafka import LOGIN, commit, members
from tests.services.kafka import Kafka
from tests.services.kafka_listeners import LIMITED_USER, Listeners, listeners
from tests.services.runtime import Unavailable

IDS = [f"00000000-0000-4000-8000-00000000000{number}" for number in range(5)]
NOW_MS = int(time.time() * 1000) - 60_000


def topics(kafka: Kafka) -> dict[str, str]:
    return {
        "KAFKA_BOOTSTRAP_SERVERS": kafka.bootstrap,
        "KAFKA_TASKS_TOPIC": kafka.topic("tasks", 2),
        "KAFKA_STATUS_TOPIC": kafka.topic("status", 1),
        "KAFKA_GROUP_ID": kafka.unique("group"),
    }


@pytest.fixture
def values(kafka: Kafka) -> dict[str, str]:
    """Five tasks in one partition; the first, the third and the fourth are answered, one of them FAILED."""
    found = topics(kafka)
    write(found)
    return found


def write(values: Mapping[str, str]) -> None:
    producer = Producer({"bootstrap.servers": values["KAFKA_BOOTSTRAP_SERVERS"]})
    for index, task_id in enumerate(IDS):
        producer.produce(
            values["KAFKA_TASKS_TOPIC"],
            b'{"text": "a"}',
            task_id,
            0,
            timestamp=NOW_MS + index,
            headers=[("status", b"1")],
        )
    for index, status in ((0, b"3"), (2, b"4"), (3, b"3"), (4, b"2")):
        producer.produce(
            values["KAFKA_STATUS_TOPIC"],
            b"{}",
            IDS[index],
            0,
            timestamp=NOW_MS + 1000,
            headers=[("status", status)],
        )
    assert producer.flush(15) == 0


def committed(values: Mapping[str, str]) -> list[tuple[int, str]]:
    consumer = Consumer(
        {"bootstrap.servers": values["KAFKA_BOOTSTRAP_SERVERS"], "group.id": values["KAFKA_GROUP_ID"]}
    )
    try:
        places = [TopicPartition(values["KAFKA_TASKS_TOPIC"], number) for number in range(2)]
        return [(place.offset, place.metadata or "") for place in consumer.committed(places, 10)]
    finally:
        consumer.close()


def test_it_shows_each_partition_and_changes_nothing(values: Mapping[str, str], tmp_path: Path) -> None:
    shown = run(tmp_path, values, "adopt")
    assert shown.code == 0
    assert shown.out.splitlines()[1].split()[:6] == ["0", "5", "3", "2", "0", "0"]
    assert "Nothing was changed: --apply writes it. The group would run 2 tasks." in shown.err
    assert all(offset < 0 for offset, _ in committed(values))


def test_it_writes_the_lowest_unanswered_and_the_map_above_it(
    values: Mapping[str, str], tmp_path: Path
) -> None:
    written = run(tmp_path, values, "adopt", "--apply", "--json")
    assert written.code == 0, written.err
    assert written.lines[-1]["written"] is True
    (first, metadata), second = committed(values)
    assert (first, read(metadata, first).runs) == (1, (Run(2, 4),))
    assert second == (0, "")
    again = run(tmp_path, values, "adopt", "--apply")
    assert again.code == 1
    assert "has offsets already, in 2 of 2 partitions" in again.err
    assert "Nothing was changed." in again.err
    failed = run(tmp_path, values, "adopt", "--apply", "--reset", "--rerun-failed", "--json")
    assert (failed.code, failed.lines[-1]["to_run"]) == (0, 3)
    assert read(committed(values)[0][1], 1).runs == (Run(3, 4),)


def test_a_task_that_waits_on_the_retry_topic_goes_on_there_and_not_from_its_own_message(
    kafka: Kafka, values: Mapping[str, str], tmp_path: Path
) -> None:
    values = {**values, "KAFKA_RETRY_TOPIC": kafka.topic("retry", 1)}
    producer = Producer({"bootstrap.servers": kafka.bootstrap})
    for run_of, group in ((0, values["KAFKA_GROUP_ID"]), (1, values["KAFKA_GROUP_ID"]), (4, "another")):
        note = RetryNote(
            group, values["KAFKA_TASKS_TOPIC"], 0, run_of, 2, 1, datetime.now(UTC), "rate_limited"
        )
        record = encode(note, IDS[run_of].encode(), b'{"text": "a"}', (("status", b"1"),))
        producer.produce(
            values["KAFKA_RETRY_TOPIC"],
            record.value,
            record.key,
            timestamp=NOW_MS + 500,
            headers=list(record.headers),
        )
    assert producer.flush(15) == 0
    written = run(tmp_path, values, "adopt", "--apply", "--json")
    assert written.code == 0, written.err
    total = written.lines[-1]
    assert (total["answered"], total["unanswered"], total["on_retry_topic"]) == (3, 1, 1)
    (first, metadata), _ = committed(values)
    assert (first, read(metadata, first).runs) == (4, ())
    ((waits, metadata),) = committed({**values, "KAFKA_TASKS_TOPIC": values["KAFKA_RETRY_TOPIC"]})[:1]
    assert (waits, metadata) == (1, ""), "that of the answered one is done, the next is not"


def test_a_group_at_work_is_refused_with_its_members_named(values: Mapping[str, str], tmp_path: Path) -> None:
    with members(values, 1):
        refused = run(tmp_path, values, "adopt", "--apply", "--reset")
    assert refused.code == 1
    assert "is at work: a-worker at 127.0.0.1. Stop them first" in refused.err
    assert all(offset < 0 for offset, _ in committed(values))


def test_statuses_that_retention_has_deleted_are_asked_about(
    values: Mapping[str, str], tmp_path: Path
) -> None:
    admin = AdminClient({"bootstrap.servers": values["KAFKA_BOOTSTRAP_SERVERS"]})
    cut = TopicPartition(values["KAFKA_STATUS_TOPIC"], 0, 1)
    admin.delete_records([cut])[cut].result(15)
    refused = run(tmp_path, values, "adopt", "--apply")
    assert refused.code == 1
    assert "whether 3 tasks had an answer can't be known" in refused.err
    assert run(tmp_path, values, "adopt", "--apply", "--unknown", "run").code == 0
    assert committed(values)[0][0] == 0
    assert run(tmp_path, values, "adopt", "--apply", "--reset", "--unknown", "answered").code == 0
    assert committed(values)[0] == (5, "")


def test_a_missing_topic_and_a_broker_that_is_away_are_named(
    values: Mapping[str, str], tmp_path: Path
) -> None:
    missing = run(tmp_path, {**values, "KAFKA_TASKS_TOPIC": "nobody-made-this"}, "adopt")
    assert (missing.code, "there is no topic nobody-made-this" in missing.err) == (69, True)
    away = run(tmp_path, {**values, "KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:1"}, "adopt")
    assert (away.code, "no broker answers at 127.0.0.1:1" in away.err) == (69, True)
    assert run(tmp_path, values, "adopt", "--apply", "--dry-run").code == 2


@pytest.fixture(scope="module")
def each_kind(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Listeners]:
    try:
        with listeners(tmp_path_factory.mktemp("listeners")) as running:
            yield running
    except Unavailable as error:
        pytest.skip(str(error))


def test_rights_that_are_missing_are_named(each_kind: Listeners, tmp_path: Path) -> None:
    values = topics(each_kind.kafka)
    write(values)
    limited = {
        **values,
        **LOGIN,
        "KAFKA_SASL_USERNAME": LIMITED_USER,
        "KAFKA_BOOTSTRAP_SERVERS": each_kind.login,
    }
    for name in ("KAFKA_TASKS_TOPIC", "KAFKA_STATUS_TOPIC"):
        each_kind.allow(LIMITED_USER, AclOperation.DESCRIBE, ResourceType.TOPIC, values[name])
    group = run(tmp_path, limited, "adopt")
    assert (group.code, "grant READ and DESCRIBE on it" in group.err) == (69, True), group.err
    each_kind.allow(LIMITED_USER, AclOperation.READ, ResourceType.GROUP, values["KAFKA_GROUP_ID"])
    topic = run(tmp_path, limited, "adopt")
    assert (topic.code, f"{values['KAFKA_STATUS_TOPIC']} could not be read" in topic.err) == (69, True), (
        topic.err
    )


def test_where_the_group_is_at_work_already_by_the_time_of_writing_the_brokers_refuse(
    values: Mapping[str, str],
) -> None:
    """What makes workers that start at once harmless to one another."""
    connection = ConnectionConfig(values["KAFKA_BOOTSTRAP_SERVERS"])
    position = Position(values["KAFKA_TASKS_TOPIC"], 0, 3, "")
    with standing(connection, values["KAFKA_GROUP_ID"], 10) as group:
        commit(values, 1)
        with members(values, 1, enable_auto_commit="false"), pytest.raises(GroupAtWork):
            group.write([position])
        assert committed(values)[0][0] == 1
        group.write([position])
    assert committed(values)[0][0] == 3
