"""Whoever stops wanting an answer stops paying for it: the provider's server sees the call end within a second."""

from __future__ import annotations

import asyncio
import signal
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

from tests.acceptance.bad_day import calls, send, send_many, started, until
from tests.acceptance.platform import platform
from tests.acceptance.stage import Stage
from tests.acceptance.worker import workers
from tests.services.kafka import Kafka
from tests.services.minio import MinioServer
from tests.standins.process import GigaChatProcess
from tests.standins.request_log import LoggedRequest

WITHIN_S = 1.0
# Longer than the test takes: no call below ends by itself.
SLOW_S = 90
SETTINGS = {"GIGACHAT_REQUEST_TIMEOUT_SECONDS": str(SLOW_S)}
PARTITIONS = 4


async def test_at_the_deadline(stage: Stage) -> None:
    worker = stage.worker(**SETTINGS)
    async with platform(stage.kafka.bootstrap, stage.tasks, stage.status, stage.dead_letters) as here:
        with workers(worker):
            await started(worker)
            deadline = datetime.now(UTC) + timedelta(seconds=3)
            task_id = await send(here, {"deadline_at": deadline.isoformat()}, delay=SLOW_S)
            (ended,) = await here.ended(task_id)
            assert ended.body["error"]["code"] == "deadline_exceeded"
            (call,) = await _left(stage, task_id)
            assert _ended(call) - deadline.timestamp() < WITHIN_S
            assert await asyncio.to_thread(worker.terminate) == 0


async def test_when_the_drain_of_a_worker_is_over(stage: Stage) -> None:
    drain = 1.0
    worker = stage.worker(**SETTINGS, WORKER_SHUTDOWN_TIMEOUT_SECONDS=str(drain))
    other = stage.worker("other")
    async with platform(stage.kafka.bootstrap, stage.tasks, stage.status, stage.dead_letters) as here:
        with workers(worker, other):
            await started(worker)
            task_ids = await send_many(here, 3, delay=SLOW_S, times=1)
            await until(lambda: len(calls(stage.gigachat, *task_ids)) == 3, 20, "they are asked for")
            told = time.time()
            worker.signal(signal.SIGTERM)
            assert await asyncio.to_thread(worker.wait, 30) == 0
            for call in await _left(stage, *task_ids):
                assert _ended(call) - told < drain + WITHIN_S
            await started(other)
            assert {event.status for event in await here.ended(*task_ids, seconds=30)} == {"3"}
            assert await asyncio.to_thread(other.terminate) == 0


async def test_when_its_partition_has_gone_to_another(
    kafka: Kafka, minio: MinioServer, standin: GigaChatProcess, tmp_path: Path
) -> None:
    stage = Stage.build(kafka, minio, standin, tmp_path, partitions=PARTITIONS)
    first, second = stage.worker("first", **SETTINGS), stage.worker("second", **SETTINGS)
    async with platform(stage.kafka.bootstrap, stage.tasks, stage.status, stage.dead_letters) as here:
        with workers(first, second):
            await started(first)
            task_ids = [
                await send(here, partition=number, delay=SLOW_S, times=1) for number in range(PARTITIONS)
            ]
            await until(lambda: len(calls(standin, *task_ids)) == PARTITIONS, 20, "they are asked for")
            before = {call.number for call in calls(standin, *task_ids)}
            await started(second)
            moved = await _asked_again(standin, task_ids, before)
            ended = await here.ended(*moved, seconds=30)
            assert {event.header("worker_id") for event in ended} == {"LLM_second"}
            for task_id in moved:
                cut, again = calls(standin, task_id)
                # It was told when the partition went, and that was before the next owner asked.
                assert _ended(cut) - again.started < WITHIN_S
                assert cut.outcome == "gone"
            # Those that did not move are at work still, untouched.
            stayed = [call for call in calls(standin, *task_ids) if call.ended is None]
            assert len(stayed) == PARTITIONS - len(moved)
            first.signal(signal.SIGKILL)
            await asyncio.to_thread(first.wait, 10)
            await here.ended(*task_ids, seconds=40)
            assert await asyncio.to_thread(second.terminate) == 0
    assert [len(here.terminal(task_id)) for task_id in task_ids] == [1] * PARTITIONS


async def _left(stage: Stage, *task_ids: str) -> list[LoggedRequest]:
    """The calls for these tasks once each has ended: all of them because the client left."""

    def found() -> list[LoggedRequest]:
        return calls(stage.gigachat, *task_ids)

    await until(lambda: all(call.ended is not None for call in found()), 5, "the calls end")
    assert {call.outcome for call in found()} == {"gone"}
    return found()


async def _asked_again(standin: GigaChatProcess, task_ids: list[str], before: set[int]) -> list[str]:
    """The tasks that another worker has begun: half of the partitions are to move."""

    def again() -> list[str]:
        return [call.marker for call in calls(standin, *task_ids) if call.number not in before]

    await until(lambda: len(again()) == PARTITIONS // 2, 30, "half of the tasks have another worker")
    return again()


def _ended(call: LoggedRequest) -> float:
    assert call.ended is not None
    return call.ended
