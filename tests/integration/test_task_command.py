"""``llm-service task`` on a real broker: the timeline, where the group stands, and the last line."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Producer

from llm_service.contract.retry import RetryNote, encode
from llm_service.contract.status import iso
from tests.integration.command import Ran, run
from tests.integration.test_check_kafka import commit
from tests.services.kafka import Kafka

TASK = "0d7b1e1c-3f6e-4b7a-9d55-0a4f0d1f2a3b"
TRACE = "5c1d0000-0000-4000-8000-000000000001"


@pytest.fixture
def values(kafka: Kafka) -> dict[str, str]:
    return {
        "KAFKA_BOOTSTRAP_SERVERS": kafka.bootstrap,
        "KAFKA_TASKS_TOPIC": kafka.topic("tasks", 3),
        "KAFKA_STATUS_TOPIC": kafka.topic("status", 3),
        "KAFKA_DLQ_TOPIC": kafka.topic("dlq", 3),
        "KAFKA_GROUP_ID": kafka.unique("group"),
    }


def produce(
    values: Mapping[str, str],
    topic: str,
    status: str,
    *,
    partition: int = -1,
    key: str = TASK,
    count: int = 1,
    **more: str,
) -> None:
    producer = Producer(
        {"bootstrap.servers": values["KAFKA_BOOTSTRAP_SERVERS"], "partitioner": "murmur2_random"}
    )
    send(producer, values[topic], status, partition, key, count, more)
    assert producer.flush(15) == 0


def send(
    producer: Producer, topic: str, status: str, partition: int, key: str, count: int, more: Mapping[str, str]
) -> None:
    headers: list[tuple[str, str | bytes | None]] = [("status", status), ("trace_id", TRACE), *more.items()]
    for _ in range(count):
        if partition < 0:
            producer.produce(topic, b'{"text": "a"}', key, headers=headers)
        else:
            producer.produce(topic, b'{"text": "a"}', key, partition, headers=headers)


def asked(
    folder: Path, values: Mapping[str, str], *more: str, wanted: str = TASK
) -> tuple[dict[str, Any], Ran]:
    ran = run(folder, values, "task", wanted, "--json", *more)
    assert ran.code == 0, ran.err
    return ran.lines[-1], ran


def test_from_waiting_by_work_to_its_answer(values: Mapping[str, str], tmp_path: Path) -> None:
    produce(values, "KAFKA_TASKS_TOPIC", "1", partition=1, key="another", count=4)
    produce(values, "KAFKA_TASKS_TOPIC", "1", partition=1)
    assert "no worker of" in asked(tmp_path, values)[0]["sentence"]
    commit(values, 2, 1)
    state, _ = asked(tmp_path, values)
    assert (state["state"], state["sentence"]) == (
        "waiting",
        "waits at offset 4 of partition 1, 2 messages before it",
    )
    produce(values, "KAFKA_STATUS_TOPIC", "2", worker_id="LLM_worker_1", attempt="1")
    state, _ = asked(tmp_path, values)
    assert state["state"] == "at work"
    assert "at work at LLM_worker_1" in state["sentence"]
    produce(values, "KAFKA_STATUS_TOPIC", "3", worker_id="LLM_worker_1", attempt="1", event_id="ab")
    commit(values, 5, 1)
    state, ran = asked(tmp_path, values)
    assert state["state"] == "answered"
    assert [line["what"] for line in ran.lines[:-1]] == ["sent", "PROCESSING", "SUCCESS"]
    assert ran.lines[2]["details"] == {
        "task_id": TASK, "trace_id": TRACE, "worker_id": "LLM_worker_1", "attempt": "1", "event_id": "ab"
    }  # fmt: skip
    shown = run(tmp_path, values, "task", TRACE)
    assert shown.out.splitlines()[-1].startswith("Answered SUCCESS ")
    assert shown.out.splitlines()[-1].endswith(" by LLM_worker_1.")
    assert "Group: done: committed 5." in shown.out


def test_a_task_that_goes_round_is_shown_with_its_attempt_and_when_it_is_due(
    kafka: Kafka, values: Mapping[str, str], tmp_path: Path
) -> None:
    values = {**values, "KAFKA_RETRY_TOPIC": kafka.topic("retry", 3)}
    produce(values, "KAFKA_TASKS_TOPIC", "1", partition=1)
    produce(values, "KAFKA_STATUS_TOPIC", "2", worker_id="LLM_worker_1", attempt="1")
    commit(values, 1, 1)
    due = datetime(2099, 1, 2, 3, 4, 5, tzinfo=UTC)
    note = RetryNote(values["KAFKA_GROUP_ID"], values["KAFKA_TASKS_TOPIC"], 1, 0, 2, 3, due, "rate_limited")
    written = encode(note, TASK.encode(), b'{"text": "a"}', (("status", b"1"), ("trace_id", TRACE.encode())))
    producer = Producer({"bootstrap.servers": kafka.bootstrap, "partitioner": "murmur2_random"})
    producer.produce(values["KAFKA_RETRY_TOPIC"], written.value, written.key, headers=list(written.headers))
    assert producer.flush(15) == 0
    state, ran = asked(tmp_path, values)
    assert state["state"] == "retry"
    assert "and goes on then with attempt 2 (round 3, because of rate_limited)" in state["sentence"]
    assert "until 2099-01-0" in state["sentence"]
    (round_,) = [line for line in ran.lines if line["kind"] == "retry"]
    assert (round_["details"]["due"], round_["details"]["group"]) == (iso(due), values["KAFKA_GROUP_ID"])
    produce(values, "KAFKA_STATUS_TOPIC", "2", worker_id="LLM_worker_2", attempt="2")
    assert "at work at LLM_worker_2" in asked(tmp_path, values)[0]["sentence"]
    produce(values, "KAFKA_STATUS_TOPIC", "3", worker_id="LLM_worker_2", attempt="2", event_id="ab")
    assert asked(tmp_path, values)[0]["state"] == "answered"


def test_what_was_passed_without_an_answer_is_told(values: Mapping[str, str], tmp_path: Path) -> None:
    produce(values, "KAFKA_TASKS_TOPIC", "1", partition=2)
    commit(values, 1, 2)
    assert asked(tmp_path, values)[0]["state"] == "unanswered"


def test_an_event_of_an_aborted_transaction_and_of_an_open_one_are_told_apart(
    kafka: Kafka, values: Mapping[str, str], tmp_path: Path
) -> None:
    produce(values, "KAFKA_TASKS_TOPIC", "1")
    producer = Producer(
        {
            "bootstrap.servers": kafka.bootstrap,
            "transactional.id": kafka.unique("t"),
            "partitioner": "murmur2_random",
        }
    )
    producer.init_transactions(20)
    for ends in (True, False):
        producer.begin_transaction()
        send(producer, values["KAFKA_STATUS_TOPIC"], "3", -1, TASK, 1, {})
        producer.flush(20)
        if ends:
            producer.abort_transaction(20)
    state, ran = asked(tmp_path, values)
    assert state["state"] == "waiting"
    statuses = [line["transaction"] for line in ran.lines if line["kind"] == "status"]
    assert statuses == ["aborted", "open"]
    producer.commit_transaction(20)
    state, ran = asked(tmp_path, values)
    assert state["state"] == "answered"
    assert [line["transaction"] for line in ran.lines if line["kind"] == "status"] == ["aborted", "committed"]


def test_a_dead_letter_and_what_became_of_it(values: Mapping[str, str], tmp_path: Path) -> None:
    produce(values, "KAFKA_TASKS_TOPIC", "1", partition=0)
    commit(values, 1, 0)
    produce(values, "KAFKA_DLQ_TOPIC", "1", partition=1, dlq_reason="invalid_field", dlq_message="no text")
    state, _ = asked(tmp_path, values)
    assert state["state"] == "dead letter"
    assert "invalid_field" in state["sentence"]
    produce(
        values,
        "KAFKA_DLQ_TOPIC",
        "",
        partition=1,
        key="resolved 1/0",
        dlq_letter="1/0",
        dlq_resolved="replayed",
    )
    _, ran = asked(tmp_path, values)
    assert [line["what"] for line in ran.lines if line["kind"] == "resolved"] == ["replayed"]


def test_who_is_not_known_is_said_with_where_was_looked(values: Mapping[str, str], tmp_path: Path) -> None:
    produce(values, "KAFKA_TASKS_TOPIC", "1", key="another")
    nobody = run(tmp_path, values, "task", TASK)
    assert (nobody.code, nobody.out) == (1, "")
    assert (
        f"Nothing is known of {TASK}. Looked in {values['KAFKA_TASKS_TOPIC']} (all 3 partitions)"
        in nobody.err
    )
    produce(values, "KAFKA_TASKS_TOPIC", "1")
    assert run(tmp_path, values, "task", TASK, "--since", "2099-01-01").code == 1
    assert run(tmp_path, values, "task", TASK, "--since", "1h").code == 0
    away = run(tmp_path, {**values, "KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:1"}, "task", TASK)
    assert (away.code, "no broker answers at 127.0.0.1:1" in away.err) == (69, True)
