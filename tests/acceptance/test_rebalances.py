"""Members that join and leave while tasks are at work, in each group protocol, and what they may meet on the way."""

from __future__ import annotations

import asyncio
import logging
import time
from pathlib import Path

import pytest

from tests.acceptance.bad_day import calls, failures, send, send_many, started, until
from tests.acceptance.crash_chain import PARTITIONS
from tests.acceptance.nursing import Doomed, nursery
from tests.acceptance.offsets import Sampler
from tests.acceptance.platform import Platform, platform
from tests.acceptance.stage import Stage
from tests.acceptance.worker import Worker, workers
from tests.chaos.crash_points import Boundary, CrashPoint
from tests.services.kafka import Kafka
from tests.services.minio import MinioServer
from tests.standins.process import GigaChatProcess

LOG = logging.getLogger(__name__)
PROTOCOLS = (
    {"KAFKA_ASSIGNMENT_STRATEGY": "cooperative-sticky"},
    {"KAFKA_ASSIGNMENT_STRATEGY": "range"},
    {"KAFKA_GROUP_PROTOCOL": "consumer"},
)
QUICK_SESSION = {"KAFKA_SESSION_TIMEOUT_MS": "2000", "KAFKA_HEARTBEAT_INTERVAL_MS": "300"}
# After which the brokers would end a transaction themselves, at their next sweep.
TRANSACTION_S = 10.0


async def test_members_come_and_go_while_tasks_run_and_each_task_has_one_answer(
    kafka: Kafka, minio: MinioServer, standin: GigaChatProcess, tmp_path: Path
) -> None:
    stages = []
    for settings in PROTOCOLS:
        (tmp_path / (name := "-".join(settings.values()))).mkdir()
        stages.append((Stage.build(kafka, minio, standin, tmp_path / name), settings))
    await asyncio.gather(*(_come_and_go(stage, settings) for stage, settings in stages))


async def _come_and_go(stage: Stage, settings: dict[str, str]) -> None:
    staying, first, second = (stage.worker(name, **settings) for name in ("staying", "first", "second"))
    async with platform(stage.kafka.bootstrap, stage.tasks, stage.status, stage.dead_letters) as here:
        with workers(staying, first, second):
            await started(staying)
            enough = asyncio.Event()
            sending = asyncio.create_task(_steadily(here, enough))
            await started(first)
            await _has_its_share(first)
            # One comes while another goes.
            await asyncio.gather(started(second), _left(first))
            await _has_its_share(second)
            await _left(second)
            enough.set()
            task_ids = await sending
            await here.ended(*task_ids, seconds=60)
            await _left(staying)
    assert failures(here, task_ids) == []
    assert [len(here.terminal(task_id)) for task_id in task_ids] == [1] * len(task_ids)
    by_whom = {here.terminal(task_id)[0].header("worker_id") for task_id in task_ids}
    assert by_whom == {"LLM_staying", "LLM_first", "LLM_second"}, "each had a part in it"
    covered = Sampler(stage.kafka.bootstrap, stage.group, stage.tasks, 12).now().committed
    assert sum(base for base, _ in covered.values()) == len(task_ids), "all of it is committed"


async def _steadily(here: Platform, enough: asyncio.Event) -> list[str]:
    """At any time some dozen of them are at work, for as long as members come and go."""
    task_ids: list[str] = []
    while not enough.is_set():
        task_ids.append(await send(here, delay=0.5))
        await asyncio.sleep(0.05)
    return task_ids


async def _has_its_share(worker: Worker) -> None:
    settled = "llm_service_tasks_settled_total"
    await until(lambda: worker.metric(settled) > 3, 60, f"{worker.log.stem} has settled some")


async def _left(worker: Worker) -> None:
    assert await asyncio.to_thread(worker.terminate) == 0
    assert "Traceback" not in worker.output()


@pytest.mark.parametrize("protocol", [PROTOCOLS[0], PROTOCOLS[2]], ids=["cooperative", "consumer"])
async def test_workers_that_start_one_after_the_other_share_the_tasks(
    stage: Stage, kafka: Kafka, protocol: dict[str, str]
) -> None:
    """Beside the retry topic that the first of them makes: assignors that even out sums leave nobody without tasks."""
    settings = {**protocol, "KAFKA_RETRY_TOPIC": kafka.unique("retry")}
    first, second = stage.worker("first", **settings), stage.worker("second", **settings)
    async with platform(stage.kafka.bootstrap, stage.tasks, stage.status, stage.dead_letters) as here:
        with workers(first, second):
            await started(first)
            await until(lambda: _owned(first) == 13, 30, "the first has all")
            await started(second)
            await until(lambda: (_owned(first), _owned(second)) in {(6, 7), (7, 6)}, 60, "they share")
            task_ids = [await send(here, partition=number) for number in range(12)]
            events = await here.ended(*task_ids, seconds=30)
            by_whom = [event.header("worker_id") for event in events]
            assert 5 <= by_whom.count("LLM_first") <= 7
            for worker in (first, second):
                assert await asyncio.to_thread(worker.terminate) == 0


async def test_a_transaction_that_a_dead_member_left_open_is_ended_by_who_takes_over(
    kafka: Kafka, minio: MinioServer, standin: GigaChatProcess, tmp_path: Path
) -> None:
    """What a ``read_committed`` reader waits is the session and a moment, not the transaction's timeout."""
    stage = Stage.build(kafka, minio, standin, tmp_path, partitions=PARTITIONS)
    point = CrashPoint(Boundary("offsets.sent"), "after")
    other = stage.worker("other", **QUICK_SESSION)
    async with platform(stage.kafka.bootstrap, stage.tasks, stage.status, stage.dead_letters) as here:
        with nursery() as nest:
            doomed = Doomed(
                nest,
                stage.environment(WORKER_ID="LLM_doomed", **QUICK_SESSION),
                tmp_path / "doomed.log",
                point,
            )
            with workers(doomed, other):
                await started(doomed)
                await started(other)
                await until(lambda: _owned(doomed) > 0 and _owned(other) > 0, 30, "each has some partitions")
                await _everywhere(here)
                doomed.arm()
                cut = [await send(here, partition=number) for number in range(PARTITIONS)]
                await until(lambda: not doomed.running, 20, "it died")
                died = time.time()
                events = await here.ended(*cut, seconds=40)
                assert await asyncio.to_thread(other.terminate) == 0
    assert doomed.died_at == point.name
    held = max(event.written_at for event in events) - died
    LOG.warning("answered again after %.1f s", held)
    assert [len(here.terminal(task_id)) for task_id in cut] == [1] * PARTITIONS
    assert held < TRANSACTION_S


def _owned(worker: Worker) -> float:
    return worker.metric("llm_service_partitions_owned")


def _reasons(worker: Worker) -> str:
    """Why it is not ready, as it says."""
    code, said = worker.get("/ready")
    return " ".join(said["reasons"]) if code == 503 else ""


async def _everywhere(here: Platform) -> None:
    """A task of each partition: what is theirs is at work, its takeover behind it."""
    await here.ended(*[await send(here, partition=number) for number in range(PARTITIONS)])


async def test_from_at_least_once_to_exactly_once_by_an_ordered_stop_alone(
    kafka: Kafka, minio: MinioServer, standin: GigaChatProcess, tmp_path: Path
) -> None:
    """Of one that was killed the map may lack what was answered, and nothing is answered twice for that."""
    stage = Stage.build(kafka, minio, standin, tmp_path, partitions=PARTITIONS)
    settings = {**QUICK_SESSION, "GIGACHAT_REQUEST_TIMEOUT_SECONDS": "60"}
    least = stage.worker(
        "least", **settings, KAFKA_DELIVERY="at_least_once", WORKER_SHUTDOWN_TIMEOUT_SECONDS="1"
    )
    refused, once = (stage.worker(name, **settings) for name in ("refused", "once"))
    sampler = Sampler(stage.kafka.bootstrap, stage.group, stage.tasks, PARTITIONS)
    async with platform(stage.kafka.bootstrap, stage.tasks, stage.status, stage.dead_letters) as here:
        with workers(least, refused, once):
            await started(least)
            slow = await send(here, partition=1, delay=60, times=2)
            quick = await send_many(here, 5, partition=1)
            await here.ended(*quick)
            await until(lambda: len(sampler.now().covered(1, range(1, 6))) == 5, 10, "the map has the five")
            await asyncio.to_thread(least.kill)

            await asyncio.to_thread(refused.start, wait=False)
            await until(lambda: "stands still: the offset map" in _reasons(refused), 40, "it is not ready")
            assert "run KAFKA_DELIVERY=at_least_once until the group has no lag" in _reasons(refused)
            assert await asyncio.to_thread(refused.terminate) == 0

            await started(least)
            await until(lambda: len(calls(standin, slow)) == 2, 20, "it is at work on the slow one again")
            assert await asyncio.to_thread(least.terminate) == 0
            assert sampler.now().covered(1, range(1, 6)) == set(range(1, 6)), "above the slow one"

            await started(once)
            await here.ended(slow, seconds=30)
            assert await asyncio.to_thread(once.terminate) == 0
    assert here.terminal(slow)[0].header("worker_id") == "LLM_once"
    assert [len(here.terminal(task_id)) for task_id in (slow, *quick)] == [1] * 6
    assert len(calls(standin, *quick)) == 5, "none of the finished was run again"
