"""What a worker's process looks like to the machine: its memory lies in few arenas."""

from __future__ import annotations

import asyncio
import platform
from itertools import pairwise
from pathlib import Path

import pytest

from llm_service.cli.running.allocator import ARENAS
from tests.acceptance.stage import Stage
from tests.acceptance.test_bad_days import settings_of
from tests.acceptance.worker import workers
from tests.services.kafka import Kafka
from tests.services.minio import MinioServer
from tests.services.postgres import Postgres
from tests.standins.process import gigachat

_HEAP = 64 * 1024 * 1024
"""glibc's HEAP_MAX_SIZE on 64 bits: an arena beside the first one reserves so much, at a multiple of it."""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="arenas are glibc's")
async def test_all_threads_of_a_worker_share_two_arenas(
    kafka: Kafka, minio: MinioServer, postgres: Postgres, tmp_path: Path
) -> None:
    with gigachat(folder=tmp_path) as standin:
        stage = Stage.build(kafka, minio, standin, tmp_path)
        worker = stage.worker(**settings_of(await asyncio.to_thread(postgres.database)))
        with workers(worker):
            await asyncio.to_thread(worker.start)
            assert worker.process is not None
            # The main arena is the process's own heap, and the only other one is the threads'.
            assert reserved_heaps(worker.process.pid) <= ARENAS - 1


def reserved_heaps(pid: int) -> int:
    """Arenas beside the main one: what is used of each lies at its beginning, and the rest can't be touched yet."""
    found = 0
    maps = [line.split() for line in Path(f"/proc/{pid}/maps").read_text("utf-8").splitlines()]
    for used, rest in pairwise(maps):
        begin, used_end = (int(end, 16) for end in used[0].split("-"))
        rest_begin, rest_end = (int(end, 16) for end in rest[0].split("-"))
        found += (
            (used[1], rest[1]) == ("rw-p", "---p")
            and begin % _HEAP == 0
            and used_end == rest_begin
            and rest_end == begin + _HEAP
        )
    return found
