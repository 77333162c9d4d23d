"""A worker that dies at any durable boundary, before or after it: the next one loses nothing and answers nothing twice."""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path

import pytest

from tests.acceptance.crash_chain import PARTITIONS, Chain
from tests.acceptance.nursing import nursery
from tests.acceptance.stage import Stage
from tests.acceptance.test_bad_days import settings_of
from tests.chaos.crash_points import AT_LEAST_ONCE, EXACTLY_ONCE, CrashPoint, points_of
from tests.services.kafka import Kafka
from tests.services.minio import MinioServer
from tests.services.postgres import Postgres
from tests.standins.process import GigaChatProcess

LOG = logging.getLogger(__name__)
# A dead member's session is waited for with little to do meanwhile.
CHAINS = 6
# A transaction that may be open, which the same instance ends by coming back, and another by its id.
OPEN_TRANSACTION = frozenset(
    {
        "transaction.begun:after",
        "terminal.produced:after",
        "offsets.sent:after",
        "terminal.committed:before",
        "terminal.committed:after",
        "transaction.aborted:before",
    }
)


@pytest.mark.timeout(400)
@pytest.mark.parametrize("mode", [EXACTLY_ONCE, AT_LEAST_ONCE])
async def test_at_each_point_of_each_boundary(
    kafka: Kafka, minio: MinioServer, postgres: Postgres, standin: GigaChatProcess, tmp_path: Path, mode: str
) -> None:
    points = points_of(mode)
    shares: list[tuple[list[CrashPoint], str | None]] = [(points[n::CHAINS], None) for n in range(CHAINS)]
    if mode == EXACTLY_ONCE:
        shares.append(([point for point in points if point.name in OPEN_TRANSACTION], "same"))
    chains = []
    with nursery() as nest:
        for number, (share, instance) in enumerate(shares):
            folder = tmp_path / str(number)
            folder.mkdir()
            stage = Stage.build(kafka, minio, standin, folder, partitions=PARTITIONS)
            database = settings_of(await asyncio.to_thread(postgres.database))
            chains.append(Chain(stage, nest, mode, share, database, instance))
        await asyncio.gather(*(chain.play() for chain in chains))
    wrong = [sentence for chain in chains for sentence in chain.wrong]
    assert not wrong, "\n".join(wrong)
    reached = {name for chain in chains for name in chain.reached}
    assert reached == {point.name for point in points}
    LOG.warning("%d deaths, %d tasks", len(points), sum(len(chain.tasks) for chain in chains))
