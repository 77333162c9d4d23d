"""A storm of tasks over two workers, one of which is told to stop and the other killed."""

from __future__ import annotations

import asyncio
import random
import signal
from dataclasses import dataclass

from tests.acceptance.generator import Case, Generator, all_messages
from tests.acceptance.judge import Verdict, differing, judge, judge_differing, judge_offsets, judge_spend
from tests.acceptance.offsets import Sample, Sampler
from tests.acceptance.platform import Platform, platform
from tests.acceptance.stage import Stage
from tests.acceptance.worker import Worker, workers

PARTITIONS = 12
POOL = 40


@dataclass(frozen=True, slots=True)
class Storm:
    """How much, and from which seed."""

    tasks: int
    seed: int
    limit_s: float
    """From the last message to the last terminal event."""


async def play(stage: Stage, storm: Storm) -> Verdict:
    """Send everything, stop one worker, kill the other while busy, let both come back; then judge."""
    generator = Generator(stage, storm.seed)
    cases = await asyncio.to_thread(generator.cases, storm.tasks)
    pool = {"WORKER_MAX_CONCURRENT_TASKS": str(POOL), "DEDUP_WINDOW_SIZE": "20000"}
    first, second = stage.worker("first", **pool), stage.worker("second", **pool)
    sampler = Sampler(stage.kafka.bootstrap, stage.group, stage.tasks, PARTITIONS)
    async with platform(stage.kafka.bootstrap, stage.tasks, stage.status, stage.dead_letters) as here:
        with workers(first, second):
            await asyncio.to_thread(first.start)
            await asyncio.to_thread(second.start)
            sampling = asyncio.create_task(sampler.run())
            sending = asyncio.create_task(_send(here, cases, generator.rng))
            await _stop_one(here, first, cases, 0.2)
            before_kill = sum(len(differing(here.terminal(task_id))) for task_id in here.ended_keys)
            at_kill = await _kill_other(here, second, sampler, cases, 0.5)
            sent = await sending
            await _all_ended(here, cases, storm.limit_s)
            await asyncio.sleep(2.0)  # whatever comes a second time has come
            sampler.stop()
            await sampling
            assert await asyncio.to_thread(first.terminate) == 0
            assert await asyncio.to_thread(second.terminate) == 0
    calls = stage.gigachat.requests("chat")
    verdict = judge(cases, here, calls)
    judge_offsets(sampler.samples, sent, here, verdict)
    judge_differing(verdict, at_kill)
    # What was in flight at the kill: the window is twice the pool, and a task of it makes 3 calls at most.
    judge_spend(cases, calls, 2 * POOL * 3, verdict)
    if before_kill:
        verdict.blame(f"a SIGTERM made {before_kill} tasks be answered twice")
    return verdict


async def _send(here: Platform, cases: list[Case], rng: random.Random) -> dict[tuple[int, int], Case]:
    """Produce in batches; where each message came to lie."""
    sent: dict[tuple[int, int], Case] = {}
    batch: list[tuple[Case, asyncio.Task[tuple[int, int]]]] = []
    for case, message in all_messages(cases, rng):
        sending = here.send(message.value, key=message.key, headers=message.headers)
        batch.append((case, asyncio.create_task(sending)))
        if len(batch) == 200:
            sent |= {await task: case for case, task in batch}
            batch.clear()
    sent |= {await task: case for case, task in batch}
    return sent


async def _share_done(here: Platform, cases: list[Case], share: float) -> None:
    enough = int(len(cases) * share)
    await here.until(lambda: len(here.ended_keys) >= enough, 600, f"{enough} of {len(cases)} tasks")


async def _stop_one(here: Platform, worker: Worker, cases: list[Case], share: float) -> None:
    await _share_done(here, cases, share)
    assert worker.get("/status")[1]["workers"]["active"] > 0, "it must be busy when it is told to stop"
    assert await asyncio.to_thread(worker.terminate) == 0
    await asyncio.to_thread(worker.start)


async def _kill_other(
    here: Platform, worker: Worker, sampler: Sampler, cases: list[Case], share: float
) -> Sample:
    await _share_done(here, cases, share)
    assert worker.get("/status")[1]["workers"]["active"] > 0, "it must be busy when it is killed"
    worker.signal(signal.SIGKILL)
    at_kill = await asyncio.to_thread(sampler.now)
    await asyncio.to_thread(worker.wait, 5)
    await asyncio.to_thread(worker.start)
    return at_kill


async def _all_ended(here: Platform, cases: list[Case], limit_s: float) -> None:
    wanted = {case.task_id for case in cases if case.status}
    try:
        await here.until(lambda: wanted <= here.ended_keys, limit_s)
    except AssertionError:
        return  # the judge names those that are lost
