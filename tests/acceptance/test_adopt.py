"""The first start on topics that the service of before has worked on: exactly the unanswered tasks run."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.acceptance.old_service import OldService, called
from tests.acceptance.platform import platform
from tests.acceptance.stage import Stage
from tests.acceptance.worker import Worker, workers
from tests.integration.command import run
from tests.services.kafka import Kafka
from tests.services.minio import MinioServer
from tests.standins.process import GigaChatProcess

PARTITIONS = 3
MODES = ["at_least_once", "exactly_once"]


def history(
    kafka: Kafka, minio: MinioServer, standin: GigaChatProcess, folder: Path, *, shared: bool
) -> tuple[Stage, OldService]:
    stage = Stage.build(kafka, minio, standin, folder, partitions=PARTITIONS, shared=shared)
    return stage, OldService(stage, random.Random(7)).write(120)


async def run_out(stage: Stage, old: OldService, all_of_them: list[Worker]) -> None:
    """Start them all at once; when all that was unanswered has ended, stop them, and nothing else has run."""
    async with platform(stage.kafka.bootstrap, stage.tasks, stage.status, stage.dead_letters) as here:
        with workers(*all_of_them):
            await asyncio.gather(*(asyncio.to_thread(worker.start) for worker in all_of_them))
            await here.ended(*old.unanswered, seconds=40)
            # What runs beside them would have begun by now.
            await asyncio.sleep(1.0)
            for worker in all_of_them:
                assert await asyncio.to_thread(worker.terminate) == 0, worker.output()[-3000:]
    assert called(stage) == sorted(old.unanswered)
    assert {task_id: len(here.terminal(task_id)) for task_id in old.answered} == dict.fromkeys(
        old.answered, 1
    )
    assert {len(here.terminal(task_id)) for task_id in old.unanswered} == {1}


@pytest.mark.parametrize("shared", [False, True], ids=["two topics", "one topic"])
@pytest.mark.parametrize("mode", MODES)
async def test_after_adopt_a_worker_runs_exactly_what_was_unanswered(
    kafka: Kafka, minio: MinioServer, standin: GigaChatProcess, tmp_path: Path, mode: str, *, shared: bool
) -> None:
    """The service of before had committed past what it never answered."""
    stage, old = history(kafka, minio, standin, tmp_path, shared=shared)
    old.commit_all(PARTITIONS)
    written = await asyncio.to_thread(
        run, tmp_path, stage.environment(), "adopt", "--reset", "--apply", "--json"
    )
    assert written.code == 0, written.err
    total = written.lines[-1]
    assert (total["answered"], total["unanswered"]) == (len(old.answered), len(old.unanswered))
    assert (total["to_run_again"], total["unknown"], total["written"]) == (0, 0, True)
    await run_out(stage, old, [stage.worker(KAFKA_DELIVERY=mode)])


@pytest.mark.parametrize("mode", MODES)
async def test_a_new_group_adopts_by_itself_also_when_two_workers_start_at_once(
    kafka: Kafka, minio: MinioServer, standin: GigaChatProcess, tmp_path: Path, mode: str
) -> None:
    stage, old = history(kafka, minio, standin, tmp_path, shared=False)
    both = [stage.worker(name, KAFKA_DELIVERY=mode) for name in ("first", "second")]
    await run_out(stage, old, both)
    said = [line for worker in both for line in worker.output().splitlines() if "group_adopted" in line]
    assert said, "who did it says so"
    assert f"answered={len(old.answered)}" in said[0]
    assert f"to_run={len(old.unanswered)}" in said[0]


@pytest.mark.parametrize("settings", [{"KAFKA_ADOPT": "off"}, {"KAFKA_AUTO_OFFSET_RESET": "latest"}], ids=str)
async def test_who_does_not_want_it_has_the_group_begin_where_the_settings_say(
    kafka: Kafka, minio: MinioServer, standin: GigaChatProcess, tmp_path: Path, settings: Mapping[str, str]
) -> None:
    stage, old = history(kafka, minio, standin, tmp_path, shared=False)
    worker = stage.worker(**settings)
    with workers(worker):
        await asyncio.to_thread(worker.start)
        await asyncio.sleep(3.0)
        assert await asyncio.to_thread(worker.terminate) == 0
    assert "group_adopted" not in worker.output()
    everything = sorted(old.answered + old.unanswered)
    assert called(stage) == (everything if "KAFKA_ADOPT" in settings else [])
