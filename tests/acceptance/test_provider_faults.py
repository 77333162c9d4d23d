"""What the provider does wrong, on the real path: each in a clear, bounded error, or waited for when it is an outage."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.bad_day import (
    again_on_its_port,
    becomes_ready,
    becomes_unready,
    calls,
    failures,
    send,
    send_many,
    started,
    until,
)
from tests.acceptance.platform import Platform, platform
from tests.acceptance.stage import Stage
from tests.acceptance.worker import Worker, workers
from tests.services.kafka import Kafka
from tests.services.minio import MinioServer
from tests.standins.process import GigaChatProcess, gigachat

RETRIES = 2
SILENCE_S = 1
THRESHOLD = 5
OPEN_S = 1
SETTINGS = {
    "LLM_MAX_RETRIES": str(RETRIES),
    "GIGACHAT_REQUEST_TIMEOUT_SECONDS": str(SILENCE_S),
    "CIRCUIT_BREAKER_FAILURE_THRESHOLD": str(THRESHOLD),
    "CIRCUIT_BREAKER_TIMEOUT_SEC": str(OPEN_S),
}


@pytest.fixture(scope="module")
def stage(kafka: Kafka, minio: MinioServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """One for all scenarios here; each leaves the provider well."""
    folder = tmp_path_factory.mktemp("provider")
    with gigachat(folder=folder) as standin:
        yield Stage.build(kafka, minio, standin, folder)


@pytest.fixture(scope="module")
def the_worker(stage: Stage) -> Iterator[Worker]:
    worker = stage.worker(**SETTINGS)
    with workers(worker):
        yield worker.start()


@pytest.fixture
def worker(the_worker: Worker, stage: Stage) -> Iterator[Worker]:
    """It runs before and after each scenario, and is well."""
    the_worker.wait_ready()
    yield the_worker
    assert the_worker.running, the_worker.output()[-3000:]
    stage.gigachat.forget()
    stage.gigachat.set(balance=None)


def failure(here: Platform, task_id: str) -> dict[str, object]:
    """The error of a task that has failed, once."""
    (event,) = here.terminal(task_id)
    assert event.status == "4", event.value
    error: dict[str, object] = event.body["error"]
    assert error["message"] == event.body["error_message"]
    return error


async def test_a_missing_model_fails_its_task_alone(stage: Stage, worker: Worker) -> None:
    async with platform(stage.kafka.bootstrap, stage.tasks, stage.status, stage.dead_letters) as here:
        lost = await send(here, {"model": "GigaChat-9000"})
        fine = await send(here)
        await here.ended(lost, fine)
        error = failure(here, lost)
        assert error["code"] == "model_not_found"
        assert error["retryable"] is False
        assert error["provider"] == "gigachat"
        assert "GigaChat-9000" in str(error["message"])
        assert here.terminal(fine)[0].status == "3"
        await here.until(lambda: len(here.letters_of(lost)) == 1)
        assert here.letters_of(lost)[0].header("dlq_reason") == "model_not_found"


@pytest.mark.parametrize(("retry_after", "times"), [("2", 1), ("", 2 * RETRIES)])
async def test_429_is_later_and_no_failure(
    stage: Stage, worker: Worker, retry_after: str, times: int
) -> None:
    """Said more often than a call is tried again, since it costs nothing."""
    asked: dict[str, Any] = {"retry_after": retry_after} if retry_after else {}
    async with platform(stage.kafka.bootstrap, stage.tasks, stage.status, stage.dead_letters) as here:
        task_id = await send(here, status=429, times=times, **asked)
        (event,) = await here.ended(task_id)
    assert event.status == "3"
    *_, refused, answered = made = calls(stage.gigachat, task_id)
    assert [call.status for call in made] == [429] * times + [200]
    if retry_after:
        assert answered.started - (refused.ended or 0) >= float(retry_after) - 0.05


async def test_429_for_seconds_holds_all_calls_and_hammers_nobody(stage: Stage, worker: Worker) -> None:
    """20 tasks meet it together; after it they come back one by one, and none counts it as a try."""
    stage.gigachat.tell(status=429, retry_after="1")
    async with platform(stage.kafka.bootstrap, stage.tasks, stage.status, stage.dead_letters) as here:
        task_ids = await send_many(here, 20)
        await asyncio.sleep(4.5)
        assert worker.get("/ready")[0] == 200, "asked to come later is not away"
        stage.gigachat.forget()
        await here.ended(*task_ids)
    made = calls(stage.gigachat, *task_ids)
    refused = [call for call in made if call.status == 429]
    # The first ten (the pool) were in the air together; after that one call for each second asked for.
    assert 3 <= len(refused) <= 10 + 6, f"{len(refused)} calls refused"
    alone = sorted(call.started for call in refused)[10:]
    assert all(later - earlier >= 0.95 for earlier, later in pairwise(alone)), alone
    assert sum(call.status == 200 for call in made) == 20, "each was answered once"
    assert [here.terminal(task_id)[0].status for task_id in task_ids] == ["3"] * 20


async def test_500_twice_is_tried_again(stage: Stage, worker: Worker) -> None:
    async with platform(stage.kafka.bootstrap, stage.tasks, stage.status, stage.dead_letters) as here:
        task_id = await send(here, status=500, times=2)
        (event,) = await here.ended(task_id)
    assert event.status == "3"
    assert [call.status for call in calls(stage.gigachat, task_id)] == [500, 500, 200]


async def test_500_for_ever_fails_one_task_after_its_calls(stage: Stage, worker: Worker) -> None:
    async with platform(stage.kafka.bootstrap, stage.tasks, stage.status, stage.dead_letters) as here:
        lost = await send(here, status=500)
        fine = await send_many(here, 10, delay=0.2)
        await here.ended(lost, *fine)
        error = failure(here, lost)
        assert (error["code"], error["retryable"]) == ("provider_server_error", True)
        assert "500" in str(error["message"])
        assert len(calls(stage.gigachat, lost)) == 1 + RETRIES
        assert [here.terminal(task_id)[0].status for task_id in fine] == ["3"] * 10
        await here.until(lambda: len(here.letters_of(lost)) == 1)


async def test_silence_is_bounded(stage: Stage, worker: Worker) -> None:
    async with platform(stage.kafka.bootstrap, stage.tasks, stage.status, stage.dead_letters) as here:
        began = time.monotonic()
        lost = await send(here, silence=60)
        once = await send(here, silence=60, times=1)
        await here.ended(lost, once)
        took = time.monotonic() - began
        error = failure(here, lost)
        assert (error["code"], error["retryable"]) == ("provider_timeout", True)
        assert "silent for 1 s" in str(error["message"])
        assert here.terminal(once)[0].status == "3"
    assert [call.outcome for call in calls(stage.gigachat, lost)] == ["gone"] * (1 + RETRIES)
    # Each call its silence, each pause before a retry 1 s at most, and some for a busy machine.
    assert took < (1 + RETRIES) * SILENCE_S + RETRIES * 1 + 5, f"{took:.1f} s"


async def test_a_slow_answer_is_an_answer(stage: Stage, worker: Worker) -> None:
    """Piece by piece for longer than the limit on silence: it is whole in the end."""
    async with platform(stage.kafka.bootstrap, stage.tasks, stage.status, stage.dead_letters) as here:
        task_id = await send(here, chunks=8, gap=0.4)
        (event,) = await here.ended(task_id)
    assert event.status == "3"
    (call,) = calls(stage.gigachat, task_id)
    assert (call.ended or 0) - call.started > 2 * SILENCE_S
    assert call.nonce in event.body["result"]
    assert "Это всё." in event.body["result"]


@pytest.mark.parametrize("fault", ["cut", "noend", "error"])
async def test_half_an_answer_is_never_a_success(stage: Stage, worker: Worker, fault: str) -> None:
    async with platform(stage.kafka.bootstrap, stage.tasks, stage.status, stage.dead_letters) as here:
        told: dict[str, Any] = {fault: True}
        once = await send(here, **told, times=1)
        lost = await send(here, **told)
        (event, _) = await here.ended(once, lost)
        error = failure(here, lost)
    assert event.status == "3"
    _, whole = calls(stage.gigachat, once)
    assert whole.nonce in event.body["result"]
    assert "Это всё." in event.body["result"], "the whole of the second answer, and nothing of the first"
    assert event.body["result"].count("Ответ") == 1
    assert error["retryable"] is True
    assert len(calls(stage.gigachat, lost)) == 1 + RETRIES


async def test_no_money_is_an_outage(stage: Stage, worker: Worker) -> None:
    """402 and an empty balance: the breaker opens, tasks wait without being asked for, and end when it is paid."""
    stage.gigachat.tell(status=402)
    stage.gigachat.set(balance=[0])
    async with platform(stage.kafka.bootstrap, stage.tasks, stage.status, stage.dead_letters) as here:
        task_ids = await send_many(here, 8)
        await becomes_unready(worker, "gigachat")
        spent = len(calls(stage.gigachat, *task_ids))
        await asyncio.sleep(2 * OPEN_S + 1)
        assert len(calls(stage.gigachat, *task_ids)) == spent, "open: no call"
        assert not here.terminal(task_ids[0])
        stage.gigachat.forget()
        stage.gigachat.set(balance=[1000])
        await here.ended(*task_ids)
        assert failures(here, task_ids) == []
    assert spent <= THRESHOLD + 10, "those in the air when it opened, and no more"
    assert sum(call.status == 200 for call in calls(stage.gigachat, *task_ids)) == 8


async def test_a_revoked_key_is_an_outage(stage: Stage, worker: Worker) -> None:
    stage.gigachat.tell(kind="oauth", status=401)
    stage.gigachat.set(tokens_alive=False)
    async with platform(stage.kafka.bootstrap, stage.tasks, stage.status, stage.dead_letters) as here:
        task_ids = await send_many(here, 8)
        await becomes_unready(worker, "GIGACHAT_ACCESS_TOKEN")
        assert worker.metric("llm_service_breaker_state", provider="gigachat") > 0
        # Another provider's tasks go on.
        other = await send(
            here, {"provider": "extractive", "text": "Договор от 12.05.2026. Сумма 100 рублей."}
        )
        assert (await here.ended(other))[0].status == "3"
        assert not any(here.terminal(task_id) for task_id in task_ids)
        stage.gigachat.forget()
        await becomes_ready(worker)
        await here.ended(*task_ids)
        assert failures(here, task_ids) == []
    assert worker.metric("llm_service_breaker_state", provider="gigachat") == 0


async def test_an_outage_without_tasks_ends_by_itself(stage: Stage, worker: Worker) -> None:
    """The breaker opened for a task that is gone by now: readiness returns with the provider, not with the next task."""
    stage.gigachat.tell(kind="oauth", status=401)
    stage.gigachat.set(tokens_alive=False)
    soon = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + 5))
    async with platform(stage.kafka.bootstrap, stage.tasks, stage.status, stage.dead_letters) as here:
        task_id = await send(here, {"deadline_at": soon})
        await becomes_unready(worker, "gigachat")
        await here.ended(task_id)
        assert failure(here, task_id)["code"] == "deadline_exceeded"
        stage.gigachat.forget()
        await becomes_ready(worker)
        after = await send(here)
        assert (await here.ended(after))[0].status == "3"


async def test_the_provider_killed_and_back(
    kafka: Kafka, minio: MinioServer, standin: GigaChatProcess, tmp_path: Path
) -> None:
    stage = Stage.build(kafka, minio, standin, tmp_path)
    worker = stage.worker(**SETTINGS)
    async with platform(stage.kafka.bootstrap, stage.tasks, stage.status, stage.dead_letters) as here:
        with workers(worker):
            await started(worker)
            task_ids = await send_many(here, 15, delay=0.6)
            await until(lambda: len(calls(standin, *task_ids)) >= 10, 10, "ten calls in the air")
            standin.process.kill()
            standin.process.wait()
            fell = await becomes_unready(worker, "gigachat")
            assert worker.metric("llm_service_breaker_state", provider="gigachat") > 0
            other = await send(here, {"provider": "extractive", "text": "Сумма 100 рублей."})
            assert (await here.ended(other))[0].status == "3"
            with again_on_its_port(standin) as asked:
                rose = await becomes_ready(worker)
                await here.ended(*task_ids)
                assert worker.metric("llm_service_breaker_state", provider="gigachat") == 0
                assert await asyncio.to_thread(worker.terminate) == 0
    assert failures(here, task_ids) == [], f"ready fell in {fell:.1f} s and rose in {rose:.1f} s"
    assert {call.marker for call in asked if call.status == 200 and call.kind == "chat"} == set(task_ids)
