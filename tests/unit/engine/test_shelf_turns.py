"""Which models are on the shelf: each has its turn, whoever else is asked for. No process is started for that."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path

import pytest

from llm_service.engine import shelf as shelf_module
from llm_service.engine.header import Header, read_header
from llm_service.engine.shelf import Shelf, ShelfPolicy
from llm_service.engine.waiting import PATIENCE_S
from llm_service.errors import ModelNotFound
from tests.manual_clock import ManualClock
from tests.standins.random_model import Shape, write

NAMES = ("one", "two", "three")


class Scene:
    """A shelf with room for one of three equal models."""

    def __init__(self, folder: Path, **changes: object) -> None:
        self.clock = ManualClock()
        for name in NAMES:
            write(
                folder / f"{name}.gguf",
                Shape(width=64, layers=2, heads=4, kv_heads=2, inner=96, vocabulary=600),
            )
        policy = ShelfPolicy(
            folder=folder, memory_bytes=10**9, context_tokens=512, sequences=2, batch_tokens=64, threads=1,
            gpu_layers=0, cache_type="f16", max_tokens=8, idle_s=3_600.0, silence_s=20.0,
        )  # fmt: skip
        self.policy = replace(policy, **changes)  # type: ignore[arg-type]
        self.shelf = Shelf(self.policy, self.clock, random.Random(1), lambda _: None)

    async def with_room_for(self, count: int) -> Scene:
        needed = await self.shelf.check("one")
        self.policy = replace(self.policy, memory_bytes=needed.total * count + 1_000)
        self.shelf = Shelf(self.policy, self.clock, random.Random(1), lambda _: None)
        return self

    def asked(self, name: str, seconds: float) -> asyncio.Task[None]:
        """Somebody who has the model for so long."""

        async def used() -> None:
            async with self.shelf.lent(name):
                await self.clock.sleep(seconds)

        return asyncio.create_task(used())

    async def settle(self) -> None:
        """All that can go on has gone on."""
        for _ in range(50):
            await asyncio.sleep(0)


@pytest.fixture(autouse=True)
def no_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    """Headers are read at once, so that a busy machine changes nothing."""

    async def at_once(function: Callable[..., object], *arguments: object) -> object:
        return function(*arguments)

    monkeypatch.setattr(asyncio, "to_thread", at_once)


async def test_a_steady_stream_to_one_model_does_not_keep_another_out(tmp_path: Path) -> None:
    scene = await Scene(tmp_path).with_room_for(1)
    began = scene.clock.monotonic()
    users = [scene.asked("one", 10.0)]
    await scene.settle()
    other = scene.asked("two", 1.0)
    for _ in range(20):
        await scene.settle()
        if other.done():
            break
        # Before the one ends the next is there.
        users.append(scene.asked("one", 10.0))
        await scene.settle()
        await scene.clock.advance(6.0)
    assert other.done()
    assert scene.clock.monotonic() - began < 2 * PATIENCE_S
    async with asyncio.timeout(20):
        while not all(user.done() for user in users):
            await scene.settle()
            await scene.clock.advance(6.0)
    await asyncio.gather(other, *users)
    await scene.shelf.close()


async def test_a_model_that_has_come_is_kept_for_a_time(tmp_path: Path) -> None:
    """Else two that are both waited for would be loaded anew for each task."""
    scene = await Scene(tmp_path).with_room_for(1)
    first = scene.asked("one", 2 * PATIENCE_S)
    await scene.settle()
    waiting = [scene.asked(name, 1.0) for name in ("two", "three", "two", "three")]
    await scene.settle()
    await scene.clock.advance(2 * PATIENCE_S)
    await scene.settle()
    await first
    loaded = list(scene.shelf.loaded)
    assert loaded in (["two"], ["three"])
    late = scene.asked(loaded[0], 1.0)
    await scene.settle()
    await scene.clock.advance(1.0)
    await scene.settle()
    assert late.done()
    async with asyncio.timeout(20):
        while not all(each.done() for each in waiting):
            await scene.settle()
            await scene.clock.advance(1.0)
    await scene.shelf.close()


async def test_who_gives_up_waiting_holds_nobody_back(tmp_path: Path) -> None:
    scene = await Scene(tmp_path).with_room_for(1)
    first = scene.asked("one", 2 * PATIENCE_S)
    await scene.settle()
    gone = scene.asked("two", 1.0)
    await scene.settle()
    await scene.clock.advance(PATIENCE_S + 5)
    held = scene.asked("one", 1.0)
    await scene.settle()
    gone.cancel()
    await scene.settle()
    await scene.clock.advance(1.0)
    await scene.settle()
    assert held.done()
    assert not first.done()
    await scene.clock.advance(PATIENCE_S)
    await first
    await scene.shelf.close()


async def test_a_header_is_read_when_its_model_is_loaded_and_not_for_each_task(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[str] = []

    def counted(path: Path) -> Header:
        read.append(path.stem)
        return read_header(path)

    scene = Scene(tmp_path)
    monkeypatch.setattr(shelf_module, "read_header", counted)
    for _ in range(5):
        async with scene.shelf.lent("one"), scene.shelf.lent("two"):
            pass
    assert read == ["one", "two"]
    await scene.shelf.close()


async def test_vectors_take_memory_of_their_own_from_the_first_time_on(tmp_path: Path) -> None:
    scene = Scene(tmp_path)
    plain = await scene.shelf.check("one")
    async with scene.shelf.lent("one", embeds=True):
        more = scene.shelf.loaded["one"]
    # 2,048 tokens, of a vocabulary of 600: the last of what they are computed with is 5 MB.
    assert more.computing - plain.computing > 2_048 * 600 * 4
    assert more.weights == plain.weights
    tight = replace(scene.policy, memory_bytes=plain.total + more.total)
    shelf = Shelf(tight, scene.clock, random.Random(1), lambda _: None)
    for name in ("two", "three"):
        async with shelf.lent(name):
            pass
        await scene.clock.advance(1.0)
    assert set(shelf.loaded) == {"two", "three"}
    async with shelf.lent("three", embeds=True), shelf.lent("three"):
        assert shelf.loaded["three"] == more
    async with shelf.lent("two", embeds=True):
        assert list(shelf.loaded) == ["two"]
    await shelf.close()
    small = Shelf(replace(tight, memory_bytes=more.total - 1), scene.clock, random.Random(1), lambda _: None)
    with pytest.raises(ModelNotFound, match=r"needs \d+ MB of memory"):
        async with small.lent("one", embeds=True):
            pass
    await small.close()
    await scene.shelf.close()


async def test_a_gpu_that_is_full_has_a_model_unloaded_though_main_memory_has_room(tmp_path: Path) -> None:
    scene = Scene(tmp_path, gpu_layers=-1, gpu_memory_bytes=10**9)
    needed = await scene.shelf.check("one")
    assert needed.gpu > 0
    tight = replace(scene.policy, gpu_memory_bytes=2 * needed.gpu + 1_000)
    shelf = Shelf(tight, scene.clock, random.Random(1), lambda _: None)
    for name in ("one", "two", "one", "three"):
        async with AsyncExitStack() as stack:
            await stack.enter_async_context(shelf.lent(name))
        await scene.clock.advance(1.0)
    assert set(shelf.loaded) == {"one", "three"}
    assert sum(each.total for each in shelf.loaded.values()) * 2 < tight.memory_bytes
    await shelf.close()
