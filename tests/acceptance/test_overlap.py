"""Tasks of one partition run beside each other, however long one takes, and none is run again for another's sake."""

from __future__ import annotations

import asyncio
from pathlib import Path

from tests.acceptance.bad_day import calls, failures, send, send_many, started, until
from tests.acceptance.judge import differing
from tests.acceptance.offsets import Sampler
from tests.acceptance.platform import Platform, platform
from tests.acceptance.stage import Stage
from tests.acceptance.worker import workers
from tests.services.kafka import Kafka
from tests.services.minio import MinioServer
from tests.standins.process import GigaChatProcess

POOL = 10


async def test_ten_tasks_of_one_partition_overlap(stage: Stage) -> None:
    """As the stand-in saw them: ten at once, and 1 s of work for each is about 1 s for all."""
    worker = stage.worker()
    async with platform(stage.kafka.bootstrap, stage.tasks, stage.status, stage.dead_letters) as here:
        with workers(worker):
            await started(worker)
            await here.ended(await send(here))
            task_ids = await send_many(here, 10, partition=3, delay=1.0)
            await here.ended(*task_ids)
            assert await asyncio.to_thread(worker.terminate) == 0
    seen = calls(stage.gigachat, *task_ids)
    assert len(seen) == 10
    assert max(call.active for call in seen) == 10
    assert max(call.ended or 0 for call in seen) - min(call.started for call in seen) < 2.0


async def test_a_task_may_take_three_times_the_poll_interval(stage: Stage) -> None:
    """The consumer polls while it works: nobody takes the partition away, and the task is done once."""
    worker = stage.worker(KAFKA_MAX_POLL_INTERVAL_MS="10000", GIGACHAT_REQUEST_TIMEOUT_SECONDS="40")
    async with platform(stage.kafka.bootstrap, stage.tasks, stage.status, stage.dead_letters) as here:
        with workers(worker):
            await started(worker)
            # A full window too: a loop that stands still while it is full would lose its partitions as well.
            long = await send_many(here, 2 * POOL, partition=0, delay=31)
            (event, *_) = await here.ended(*long[:POOL], seconds=50)
            assert worker.metric("llm_service_rebalances_total", kind="revoked") == 0
            assert worker.metric("llm_service_rebalances_total", kind="lost") == 0
            worker.kill()
    assert event.status == "3"
    assert [len(here.terminal(task_id)) for task_id in long[:POOL]] == [1] * POOL
    assert [len(calls(stage.gigachat, task_id)) for task_id in long[:POOL]] == [1] * POOL


async def test_what_is_finished_above_a_slow_task_is_not_run_again(stage: Stage) -> None:
    """The offset stands still at the slow one; the map of the commit remembers the 200 above it."""
    worker = stage.worker(GIGACHAT_REQUEST_TIMEOUT_SECONDS="60")
    sampler = Sampler(stage.kafka.bootstrap, stage.group, stage.tasks, 12)
    async with platform(stage.kafka.bootstrap, stage.tasks, stage.status, stage.dead_letters) as here:
        with workers(worker):
            await started(worker)
            slow_id = await send(here, partition=5, delay=45, times=1)
            await until(lambda: len(calls(stage.gigachat, slow_id)) == 1, 10, "the slow one works")
            quick = await send_many(here, 200, partition=5)
            await here.ended(*quick)

            def is_committed() -> bool:
                sample = sampler.now()
                return len(sample.covered(5, range(1, 201))) == 200 and sample.committed[5][0] == 0

            await until(is_committed, 5, "the map covers all 200, at the offset of the slow one")
            await asyncio.to_thread(worker.kill)
            assert here.terminal(slow_id) == []
            await started(worker)
            (event,) = await here.ended(slow_id)
            assert event.status == "3"
            await until(lambda: sampler.now().committed[5][0] == 201, 5, "the commit goes on")
            assert await asyncio.to_thread(worker.terminate) == 0
    assert len(calls(stage.gigachat, slow_id)) == 2
    assert len(calls(stage.gigachat, *quick)) == 200, "none of the finished was run again"
    assert all(len(here.terminal(task_id)) == 1 for task_id in quick)


async def test_high_priority_overtakes_and_low_priority_gets_through(stage: Stage) -> None:
    """One slot is left; a low task waits while high ones keep coming, until its age has made up for it."""
    worker = stage.worker(
        WORKER_MAX_CONCURRENT_TASKS="4",
        WORKER_PRIORITY_AGING_SECONDS="0.5",
        GIGACHAT_REQUEST_TIMEOUT_SECONDS="20",
    )
    async with platform(stage.kafka.bootstrap, stage.tasks, stage.status, stage.dead_letters) as here:
        with workers(worker):
            await started(worker)
            # Three are busy for longer than all of this takes; the window has room for four that wait.
            busy = [await send(here, partition=0, delay=delay) for delay in (0.8, 9.0, 9.0, 9.0)]
            await until(lambda: len(calls(stage.gigachat, *busy)) == 4, 10, "all slots are taken")
            low = await send(here, {"priority": "low"}, partition=0, delay=0.3)
            high = await send(here, {"priority": "high"}, partition=0, delay=0.3)
            # Always some high ones at hand: without ageing the low one would wait for the last of them.
            later: list[str] = []
            while not calls(stage.gigachat, low) and len(later) < 40:
                later.append(await send(here, {"priority": "high"}, partition=0, delay=0.3))
                await asyncio.sleep(0.12)
            await here.ended(low, high, *busy, *later)
            assert await asyncio.to_thread(worker.terminate) == 0
    order = [call.marker for call in sorted(calls(stage.gigachat), key=lambda call: call.started)]
    assert order.index(high) < order.index(low), "sent later, begun earlier"
    overtaken = sum(order.index(task_id) < order.index(low) for task_id in later)
    assert overtaken > 0, "high ones that came later went first, too"
    assert len(later) < 40, "and the low one did not wait for the last of them"


async def test_other_group_protocols(
    kafka: Kafka, minio: MinioServer, standin: GigaChatProcess, tmp_path: Path
) -> None:
    """KIP-848, and the eager assignment where every join takes all partitions from everybody."""
    others = [{"KAFKA_GROUP_PROTOCOL": "consumer"}, {"KAFKA_ASSIGNMENT_STRATEGY": "range"}]
    for number in range(len(others)):
        (tmp_path / str(number)).mkdir()
    stages = [Stage.build(kafka, minio, standin, tmp_path / str(number)) for number in range(len(others))]
    await asyncio.gather(*(_joined_and_left(one, other) for one, other in zip(stages, others, strict=True)))


async def _joined_and_left(stage: Stage, settings: dict[str, str]) -> None:
    """A second worker joins and leaves in the middle: no task is lost, and no answer contradicts another."""
    first, second = (stage.worker(name, **settings) for name in ("first", "second"))
    async with platform(stage.kafka.bootstrap, stage.tasks, stage.status, stage.dead_letters) as here:
        with workers(first, second):
            await started(first)
            sending = asyncio.create_task(steadily(here, 240))
            await here.until(lambda: len(here.ended_keys) > 40, 30)
            await started(second)
            await until(lambda: second.metric("llm_service_tasks_settled_total") > 5, 20, "it has its share")
            assert await asyncio.to_thread(second.terminate) == 0
            task_ids = await sending
            await here.ended(*task_ids)
            assert await asyncio.to_thread(first.terminate) == 0
    assert failures(here, task_ids) == []
    assert [task_id for task_id in task_ids if differing(here.terminal(task_id))] == []
    assert {event.header("worker_id") for event in here.events if event.status == "3"} == {
        "LLM_first",
        "LLM_second",
    }
    # What was in the air on partitions that moved, at the coming and the going of the second; the rest once.
    assert len(calls(stage.gigachat, *task_ids)) <= 240 + 2 * POOL


async def steadily(here: Platform, count: int) -> list[str]:
    """A task every 50 ms."""
    task_ids = []
    for _ in range(count):
        task_ids.append(await send(here, delay=0.2))
        await asyncio.sleep(0.05)
    return task_ids
