"""How long partitions are silent after a SIGKILL, with the settings that a worker has unless told otherwise."""

from __future__ import annotations

import asyncio
import logging
import time

import pytest

from tests.acceptance.platform import Platform, platform
from tests.acceptance.scene import mark, new_id
from tests.acceptance.stage import Stage
from tests.acceptance.worker import Worker, workers

# Shown by -rA.
LOG = logging.getLogger(__name__)
# The defaults: the stage's own are shorter.
DEFAULTS = {"KAFKA_SESSION_TIMEOUT_MS": "6000", "KAFKA_HEARTBEAT_INTERVAL_MS": "500"}


async def keep_sending(here: Platform) -> None:
    """Tasks for all partitions, one each 20 ms."""
    while True:
        task_id = new_id()
        await here.send({"text": mark(task_id)}, key=task_id, headers={"status": "1", "prompt_id": "1"})
        await asyncio.sleep(0.02)


async def silence(here: Platform, partitions: set[int], since: float, seconds: float) -> float:
    """Until a task that came later has ended in each of these partitions of the status topic."""

    def answered() -> set[int]:
        return {e.partition for e in here.events if e.status == "3" and e.written_at > since}

    await here.until(lambda: answered() >= partitions, seconds, "each partition")
    firsts = [
        min(
            e.written_at for e in here.events if e.partition == p and e.status == "3" and e.written_at > since
        )
        for p in partitions
    ]
    return max(firsts) - since


def partitions_of(here: Platform, worker: str) -> set[int]:
    """Statuses have their task's key, and as many partitions: the numbers are the same."""
    latest = {event.partition: event.header("worker_id") for event in here.events}
    return {partition for partition, who in latest.items() if who == worker}


@pytest.mark.parametrize("protocol", ["cooperative-sticky", "range", "consumer"])
async def test_another_member_takes_over(stage: Stage, protocol: str) -> None:
    settings = protocol_settings(protocol)
    first, second = stage.worker("first", **settings), stage.worker("second", **settings)
    async with platform(stage.kafka.bootstrap, stage.tasks, stage.status, stage.dead_letters) as here:
        with workers(first, second):
            await asyncio.to_thread(first.start)
            await asyncio.to_thread(second.start)
            sending = asyncio.create_task(keep_sending(here))
            await asyncio.sleep(5.0)
            lost = partitions_of(here, "LLM_first")
            assert 0 < len(lost) < 12
            seconds = await kill_and_wait(first, here, lost)
            sending.cancel()
            stop(second)
    LOG.warning("silent for %.1f s", seconds)
    # 6 s of session and a heartbeat of the other member; KIP-848's session is the broker's own, 45 s by default.
    assert seconds < (60 if protocol == "consumer" else 12)


async def test_the_same_instance_is_back(stage: Stage) -> None:
    settings = {**DEFAULTS, "KAFKA_SESSION_TIMEOUT_MS": "30000", "KAFKA_GROUP_INSTANCE_ID": "first"}
    worker = stage.worker("first", **settings)
    async with platform(stage.kafka.bootstrap, stage.tasks, stage.status, stage.dead_letters) as here:
        with workers(worker):
            await asyncio.to_thread(worker.start)
            sending = asyncio.create_task(keep_sending(here))
            await asyncio.sleep(4.0)
            await asyncio.to_thread(worker.kill)
            worker.start(wait=False)
            await asyncio.to_thread(worker.wait_ready)
            since = time.time()
            seconds = await silence(here, set(range(12)), since, 30)
            sending.cancel()
            stop(worker)
    LOG.warning("silent for %.1f s", seconds)
    assert seconds < 15, "long before its session would have ended"


def protocol_settings(protocol: str) -> dict[str, str]:
    if protocol == "consumer":
        return {**DEFAULTS, "KAFKA_GROUP_PROTOCOL": "consumer"}
    return {**DEFAULTS, "KAFKA_ASSIGNMENT_STRATEGY": protocol}


async def kill_and_wait(worker: Worker, here: Platform, lost: set[int]) -> float:
    await asyncio.to_thread(worker.kill)
    return await silence(here, lost, time.time(), 70)


def stop(worker: Worker) -> None:
    assert worker.terminate() == 0
