"""What is done with a group of workers while tasks come in."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from tests.acceptance.platform import platform
from tests.acceptance.stage import Stage
from tests.acceptance.worker import ROOT, Worker, workers
from tests.upgrade.load import Load
from tests.upgrade.version import Version

CREW = 3
# Between two steps: tasks of both versions are under way beside each other.
_BETWEEN_S = 4.0
_REFUSED_S = 60.0
# Of why a course broke off: the first lines name the worker's own reason.
_SAID_CHARS = 1500
_POOL = {"WORKER_MAX_CONCURRENT_TASKS": "10"}


@dataclass(slots=True)
class Result:
    """One course."""

    course: str
    begins: dict[str, str | int] = field(default_factory=dict)
    """The version that it begins with."""
    seconds: float = 0.0
    steps: list[str] = field(default_factory=list)
    numbers: dict[str, int] = field(default_factory=dict)
    wrong: list[str] = field(default_factory=list)

    def plain(self) -> dict[str, Any]:
        return {**asdict(self), "holds": not self.wrong}


@dataclass(slots=True)
class Crew:
    """The workers of a course; each may be replaced by another of another version or mode."""

    stage: Stage
    result: Result
    say: Callable[[str], None]
    members: list[Worker] = field(default_factory=list)
    stack: ExitStack = field(default_factory=ExitStack)
    count: int = 0

    async def hire(self, root: Path, mode: str, *, ready: bool = True) -> Worker:
        """Start one, and wait until it is ready, which one that is refused never is."""
        worker = self.stage.worker(f"w{self.count}", **_POOL, KAFKA_DELIVERY=mode)
        worker.root = root
        self.count += 1
        self.stack.enter_context(workers(worker))
        await asyncio.to_thread(worker.start, wait=ready)
        self.members.append(worker)
        return worker

    async def all_of(self, root: Path, mode: str) -> None:
        for _ in range(CREW):
            await self.hire(root, mode)

    async def dismiss(self, worker: Worker) -> None:
        """By SIGTERM, as an orchestrator does."""
        code = await asyncio.to_thread(worker.terminate)
        if code != 0:
            self.result.wrong.append(f"{worker.log.name}: exit code {code} after SIGTERM")
        self.members.remove(worker)

    async def rolled(self, root: Path, mode: str, what: str) -> None:
        """One after the other."""
        for worker in list(self.members):
            await self.dismiss(worker)
            await self.hire(root, mode)
            await asyncio.sleep(_BETWEEN_S)
        self.step(what)

    async def stopped(self) -> None:
        """All of them, in order."""
        await asyncio.gather(*(self.dismiss(worker) for worker in list(self.members)))

    def step(self, what: str) -> None:
        self.result.steps.append(what)
        self.say(f"{self.result.course}: {what}")


async def rolling_then_mode(crew: Crew, old: Path) -> None:
    """From a version without transactions to this one, then to the other mode, each as the runbook says."""
    await crew.all_of(old, "at_least_once")
    await asyncio.sleep(_BETWEEN_S)
    await crew.rolled(
        ROOT, "at_least_once", "each old worker replaced by a new one (SIGTERM), in at_least_once"
    )
    await crew.stopped()
    await crew.all_of(ROOT, "exactly_once")
    crew.step("all stopped in order, and started in exactly_once")
    await asyncio.sleep(_BETWEEN_S)


async def rolling_and_back(crew: Crew, old: Path) -> None:
    """From a version with transactions to this one and back, one worker after the other."""
    await crew.all_of(old, "exactly_once")
    await asyncio.sleep(_BETWEEN_S)
    await crew.rolled(
        ROOT, "exactly_once", "each old worker replaced by a new one (SIGTERM), in exactly_once"
    )
    await crew.rolled(old, "exactly_once", "and back")


async def mode_after_a_kill(crew: Crew, _: Path) -> None:
    """The mode is changed without a stop in order: refused by a sentence, whose remedy helps."""
    await crew.all_of(ROOT, "at_least_once")
    await asyncio.sleep(_BETWEEN_S)
    for worker in crew.members:
        worker.kill()
    crew.members.clear()
    refused = await crew.hire(ROOT, "exactly_once", ready=False)
    if await _is_said(refused, "stands still: the offset map committed with offset"):
        crew.step("killed in at_least_once and started in exactly_once: refused by a sentence")
    else:
        crew.result.wrong.append("killed in at_least_once and started in exactly_once: not refused")
    await crew.dismiss(refused)
    await crew.all_of(ROOT, "at_least_once")
    await asyncio.sleep(_BETWEEN_S)
    await crew.stopped()
    await crew.all_of(ROOT, "exactly_once")
    crew.step("as it says: at_least_once again, stopped in order, then exactly_once")


async def _is_said(worker: Worker, sentence: str) -> bool:
    for _ in range(int(_REFUSED_S / 0.2)):
        if sentence in worker.output():
            return True
        await asyncio.sleep(0.2)
    return False


COURSES: Mapping[str, tuple[str, bool, Callable[[Crew, Path], Awaitable[None]]]] = {
    "rolling, then exactly_once": ("2034d79", False, rolling_then_mode),
    "rolling in exactly_once, and back": ("c4fd5c9", True, rolling_and_back),
    "another mode after a kill": ("HEAD", False, mode_after_a_kill),
}
"""By name: the commit it begins with, whether nothing may be answered twice, and what is done."""


async def play(
    name: str, version: Version, old: Path, stage: Stage, seed: int, say: Callable[[str], None]
) -> Result:
    """One course from its first worker to the judgement; ``old`` is where ``version`` lies."""
    _, is_once, course = COURSES[name]
    result = Result(name, asdict(version))
    began = time.monotonic()
    async with platform(stage.kafka.bootstrap, stage.tasks, stage.status, stage.dead_letters) as here:
        load = Load(stage, here, seed)
        crew = Crew(stage, result, say)
        with crew.stack:
            sending = asyncio.create_task(load.run())
            try:
                await course(crew, old)
            except AssertionError as error:  # a worker that does not become ready
                result.wrong.append(f"not played to its end: {error}"[:_SAID_CHARS])
            finally:
                load.stop()
                await sending
            result.numbers, wrong = await load.judged()
            result.seconds = round(time.monotonic() - began, 1)
            await crew.stopped()
    result.wrong += wrong
    if is_once and result.numbers["answered twice"]:
        result.wrong.append(f"{result.numbers['answered twice']} messages were answered twice")
    return result
