"""Tasks that go round by the retry topic, on real Kafka, in both modes: none lost, none twice, each when it is due."""

from __future__ import annotations

import asyncio

import pytest
from confluent_kafka import Consumer, TopicPartition

from tests.acceptance.bad_day import calls, send, send_many, started, until
from tests.acceptance.platform import Platform, platform
from tests.acceptance.stage import Stage
from tests.acceptance.worker import workers
from tests.services.kafka import Kafka

RETRIES = 1
CALLS = 1 + RETRIES
ATTEMPTS = 3
DELAY_S = 2.0
MODES = ("at_least_once", "exactly_once")


def settings(kafka: Kafka, mode: str) -> dict[str, str]:
    return {
        "KAFKA_RETRY_TOPIC": kafka.unique("retry"),
        "KAFKA_RETRY_DELAY_SECONDS": str(DELAY_S),
        "KAFKA_DELIVERY": mode,
        "LLM_MAX_RETRIES": str(RETRIES),
        "LLM_MAX_ATTEMPTS": str(ATTEMPTS),
        "CIRCUIT_BREAKER_FAILURE_THRESHOLD": "1000",
    }


def attempts(here: Platform, task_id: str) -> list[tuple[str, str | None]]:
    """Status and attempt of each of its events."""
    return [(event.status, event.header("attempt")) for event in here.of(task_id)]


def waiting(kafka: Kafka, topic: str) -> int:
    """Messages that a read_committed reader finds on it."""
    consumer = Consumer(
        {
            "bootstrap.servers": kafka.bootstrap,
            "group.id": "looks",
            "isolation.level": "read_committed",
            "enable.partition.eof": True,
        }
    )
    try:
        known = consumer.list_topics(topic, 10).topics[topic].partitions
        consumer.assign([TopicPartition(topic, number, 0) for number in known])
        found, ended = 0, 0
        while ended < len(known):
            message = consumer.poll(10)
            assert message is not None
            found += message.error() is None
            ended += message.error() is not None
    finally:
        consumer.close()
    return found


@pytest.mark.parametrize("mode", MODES)
async def test_a_task_that_fails_for_the_moment_succeeds_later_once_and_when_it_is_due(
    stage: Stage, mode: str
) -> None:
    worker = stage.worker(**settings(stage.kafka, mode))
    async with platform(stage.kafka.bootstrap, stage.tasks, stage.status, stage.dead_letters) as here:
        with workers(worker):
            await started(worker)
            later = await send(here, status=500, times=CALLS)
            never = await send(here, status=500)
            fine = await send_many(here, 20)
            await until(lambda: worker.metric("llm_service_retry_held") > 0, 20, "it is held until it is due")
            await here.ended(later, never, *fine)
            assert worker.metric("llm_service_tasks_returned_total") == 1 + (ATTEMPTS - 1)
            assert await asyncio.to_thread(worker.terminate) == 0
    assert attempts(here, later) == [("2", "1"), ("2", "2"), ("3", "2")]
    assert len({event.header("run") for event in here.of(later)}) == 1
    made = calls(stage.gigachat, later)
    assert len(made) == CALLS + 1
    # From the failure of the last call to the next: the delay, and what a busy machine adds, but not another round.
    gap = made[-1].started - (made[-2].ended or 0)
    assert DELAY_S - 0.1 <= gap < DELAY_S + 10, f"{gap:.2f} s"

    assert [status for status, _ in attempts(here, never)] == ["2", "2", "2", "4"]
    assert len(calls(stage.gigachat, never)) == ATTEMPTS * CALLS
    (letter,) = here.letters_of(never)
    assert letter.header("dlq_attempts") == str(ATTEMPTS)
    assert letter.header("dlq_topic") == stage.tasks
    assert letter.header("retry_topic") is None, "the message as it came"
    assert [attempts(here, task_id) for task_id in fine] == [[("2", "1"), ("3", "1")]] * len(fine)


@pytest.mark.parametrize("mode", MODES)
async def test_killed_while_tasks_wait_on_the_retry_topic_nothing_is_lost_and_nothing_twice(
    stage: Stage, mode: str
) -> None:
    # Long enough for all of them to get there before the first is due, on a busy machine too.
    environment = settings(stage.kafka, mode) | {"KAFKA_RETRY_DELAY_SECONDS": "10"}
    first, second = stage.worker("first", **environment), stage.worker("second", **environment)
    async with platform(stage.kafka.bootstrap, stage.tasks, stage.status, stage.dead_letters) as here:
        with workers(first, second):
            await started(first)
            task_ids = await send_many(here, 10, status=500, times=CALLS)
            topic = environment["KAFKA_RETRY_TOPIC"]
            await until(lambda: waiting(stage.kafka, topic) == 10, 20, "all ten wait")
            # In at_least_once the offsets follow within the commit interval.
            await asyncio.sleep(0.5)
            first.kill()
            assert not here.ended_keys.intersection(task_ids), "they were killed while they waited"
            await started(second)
            await here.ended(*task_ids, seconds=40)
            assert await asyncio.to_thread(second.terminate) == 0
    assert [attempts(here, task_id)[-1] for task_id in task_ids] == [("3", "2")] * 10
    assert [len(here.terminal(task_id)) for task_id in task_ids] == [1] * 10
    assert [len(calls(stage.gigachat, task_id)) for task_id in task_ids] == [CALLS + 1] * 10
    assert waiting(stage.kafka, topic) == 10, "none went round twice"


async def test_a_provider_that_is_away_holds_nobody_elses_tasks(stage: Stage) -> None:
    """100 tasks of it wait: a share here, the others on the retry topic; none fails, and none is asked for in vain."""
    environment = settings(stage.kafka, "exactly_once") | {
        "CIRCUIT_BREAKER_FAILURE_THRESHOLD": "5",
        "CIRCUIT_BREAKER_TIMEOUT_SEC": "1",
        "WORKER_MAX_CONCURRENT_TASKS": "10",
    }
    worker = stage.worker(**environment)
    async with platform(stage.kafka.bootstrap, stage.tasks, stage.status, stage.dead_letters) as here:
        with workers(worker):
            await started(worker)
            # The built-in provider is one that tasks are meant for.
            await here.ended(await send(here, {"provider": "extractive", "text": "Сумма 100 рублей."}))
            stage.gigachat.tell(status=402)
            stage.gigachat.set(balance=[0])
            away = await send_many(here, 100)
            await until(
                lambda: worker.metric("llm_service_breaker_state", provider="gigachat") == 2, 15, "open"
            )
            others = await send_many(here, 30, {"provider": "extractive", "text": "Сумма 100 рублей."})
            await here.ended(*others, seconds=15)
            asked = len(calls(stage.gigachat, *away))
            assert asked <= 5 + 10, "those in the air when it opened, and no more"
            assert not here.ended_keys.intersection(away)
            assert (
                worker.metric("llm_service_tasks_sent_round_total", kind="wait", code="provider_unavailable")
                > 0
            )
            stage.gigachat.forget()
            stage.gigachat.set(balance=[1000])
            await here.ended(*away, seconds=60)
            assert await asyncio.to_thread(worker.terminate) == 0
    assert [attempts(here, task_id)[-1] for task_id in away] == [("3", "1")] * 100
    assert [len(here.terminal(task_id)) for task_id in away] == [1] * 100
    assert here.letters == []
