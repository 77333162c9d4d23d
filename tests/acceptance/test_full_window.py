"""A worker that has all it can hold says so, and what comes meanwhile waits where it is safe."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.acceptance.bad_day import send_many, started, until
from tests.acceptance.platform import platform
from tests.acceptance.stage import Stage
from tests.acceptance.worker import workers
from tests.services.kafka import Kafka
from tests.services.minio import MinioServer
from tests.standins.process import GigaChatProcess, gigachat

SLOTS = 2
SIZE = 4
"""Twice the slots."""


@pytest.fixture
def standin(tmp_path: Path) -> Iterator[GigaChatProcess]:
    with gigachat(folder=tmp_path) as running:
        yield running


async def test_a_full_window_is_told_and_nothing_is_lost_by_it(
    kafka: Kafka, minio: MinioServer, standin: GigaChatProcess, tmp_path: Path
) -> None:
    stage = Stage.build(kafka, minio, standin, tmp_path)
    worker = stage.worker(WORKER_MAX_CONCURRENT_TASKS=str(SLOTS))
    async with platform(stage.kafka.bootstrap, stage.tasks, stage.status, stage.dead_letters) as here:
        with workers(worker):
            await started(worker)
            assert worker.get("/status")[1]["window"] == {"size": SIZE, "full": False}
            sent = await send_many(here, 2 * SIZE, delay=1.5)
            await until(lambda: worker.get("/status")[1]["window"]["full"] is True, 20, "its window is full")
            await until(
                lambda: (
                    worker.metric("llm_service_occupancy_ratio") == 1
                    and worker.metric("llm_service_tasks_queued") > 0
                ),
                20,
                "all slots work and others wait for one",
            )
            ended = await here.ended(*sent, seconds=60)
            assert [event.status for event in ended] == ["3"] * len(sent)
            await until(lambda: worker.get("/status")[1]["window"]["full"] is False, 20, "it has room again")
