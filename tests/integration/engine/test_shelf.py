"""Several models by name: loaded when asked for, within memory, unloaded when nobody asks."""

from __future__ import annotations

import asyncio
import random
import shutil
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest
import pytest_asyncio

from llm_service.engine.engine import EngineEvent
from llm_service.engine.frames import Count, Counted
from llm_service.engine.shelf import Shelf, ShelfPolicy
from llm_service.errors import ModelNotFound
from llm_service.resilience.clock import SystemClock

POLICY = ShelfPolicy(
    folder=Path(),
    memory_bytes=500_000_000,
    context_tokens=512,
    sequences=2,
    batch_tokens=64,
    threads=1,
    gpu_layers=0,
    cache_type="f16",
    max_tokens=8,
    idle_s=3_600.0,
    silence_s=20.0,
)


@pytest_asyncio.fixture
async def shelves(models: Path, tmp_path: Path) -> AsyncIterator[Shelves]:
    for name in ("one", "two", "three"):
        shutil.copy(models / "small.gguf", tmp_path / f"{name}.gguf")
    found = Shelves(tmp_path)
    yield found
    for shelf in found.made:
        await shelf.close()


class Shelves:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.made: list[Shelf] = []
        self.events: list[EngineEvent] = []

    def shelf(self, **changes: object) -> Shelf:
        policy = replace(POLICY, folder=self.folder, **changes)  # type: ignore[arg-type]
        self.made.append(Shelf(policy, SystemClock(), random.Random(1), self.events.append))
        return self.made[-1]


async def used(shelf: Shelf, name: str) -> None:
    async with shelf.lent(name) as engine:
        (counted,) = await engine.reports(Count("c", ("text",)))
        assert isinstance(counted, Counted)


async def test_models_are_loaded_by_name_and_the_oldest_gives_way(shelves: Shelves) -> None:
    needed = (await shelves.shelf().check("one")).total
    shelf = shelves.shelf(memory_bytes=needed * 2 + 1_000)
    assert shelf.names() == ["one", "three", "two"]
    for name in ("one", "two", "one", "three"):
        await used(shelf, name)
    assert set(shelf.loaded) == {"one", "three"}
    assert [event.model for event in shelves.events if event.action == "unloaded"] == ["two"]


async def test_a_model_at_work_is_waited_for(shelves: Shelves) -> None:
    needed = (await shelves.shelf().check("one")).total
    shelf = shelves.shelf(memory_bytes=needed + 1_000)
    async with shelf.lent("one"):
        waiting = asyncio.create_task(used(shelf, "two"))
        await asyncio.sleep(0.3)
        assert not waiting.done()
        assert set(shelf.loaded) == {"one"}
    await waiting
    assert set(shelf.loaded) == {"two"}


async def test_a_model_that_nobody_asks_for_is_unloaded(shelves: Shelves) -> None:
    shelf = shelves.shelf(idle_s=0.5)
    await used(shelf, "one")
    async with asyncio.timeout(20):
        while shelf.loaded:  # noqa: ASYNC110 # seen from outside, nothing tells
            await asyncio.sleep(0.05)
    await used(shelf, "one")


async def test_what_does_not_fit_is_told_what_it_needs(shelves: Shelves) -> None:
    shelf = shelves.shelf(memory_bytes=100_000_000)
    with pytest.raises(ModelNotFound, match=r"needs 1\d\d MB of memory .* may have 100 MB"):
        await shelf.check("one")


async def test_what_does_not_fit_on_the_gpu_is_told_what_it_needs_there(shelves: Shelves) -> None:
    with pytest.raises(ModelNotFound, match=r"MB of a GPU's, .* may have 1 MB of it .*fewer of its layers"):
        await shelves.shelf(gpu_layers=-1, gpu_memory_bytes=1_000_000).check("one")
    on_gpu = await shelves.shelf(gpu_layers=-1, gpu_memory_bytes=100_000_000).check("one")
    without = await shelves.shelf(gpu_layers=0, gpu_memory_bytes=100_000_000).check("one")
    assert without.gpu == 0 < on_gpu.gpu
    assert on_gpu.total < without.total


@pytest.mark.parametrize("name", ["four", "../one", "", "one.gguf"])
async def test_a_name_that_is_not_there_leads_nowhere(shelves: Shelves, name: str) -> None:
    with pytest.raises(ModelNotFound, match="there are: one, three, two"):
        await shelves.shelf().check(name)
