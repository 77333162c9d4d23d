"""Ten thousand tasks of every kind over two workers, a SIGTERM and a SIGKILL while busy."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from tests.acceptance.stage import Stage
from tests.acceptance.storm import Storm, play
from tests.services.kafka import Kafka
from tests.services.minio import MinioServer
from tests.standins.process import GigaChatProcess


@pytest.mark.timeout(900)
async def test_every_task_gets_its_right_terminal_event(stage: Stage) -> None:
    verdict = await play(stage, Storm(tasks=10_000, seed=20261121, limit_s=300))
    assert verdict.wrong == [], dict(verdict.counts)
    logging.getLogger(__name__).warning("storm: %s", dict(verdict.counts))


@pytest.mark.timeout(600)
async def test_also_when_tasks_and_statuses_share_one_topic(
    kafka: Kafka,
    minio: MinioServer,
    standin: GigaChatProcess,
    tmp_path: Path,
) -> None:
    stage = Stage.build(kafka, minio, standin, tmp_path, shared=True)
    verdict = await play(stage, Storm(tasks=2_000, seed=20261122, limit_s=200))
    assert verdict.wrong == [], dict(verdict.counts)
    logging.getLogger(__name__).warning("storm: %s", dict(verdict.counts))
