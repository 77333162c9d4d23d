"""A storm of SIGKILL and SIGSTOP over three workers that are busy all the time."""

from __future__ import annotations

import asyncio
import random
import signal
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

from tests.acceptance.generator import Case, Generator
from tests.acceptance.judge import Verdict, judge, judge_offsets
from tests.acceptance.offsets import Sampler
from tests.acceptance.platform import Platform, platform
from tests.acceptance.stage import Stage
from tests.acceptance.worker import Worker, workers

PARTITIONS = 12
# Three of these have work for seconds each at any time, and are not overrun while two of them are away.
POOL = 40


@dataclass(frozen=True, slots=True)
class KillStorm:
    """How much, how bad, and from which seed."""

    tasks: int
    kills: int
    stops: int
    seed: int
    every_s: float = 2.5
    """Seconds between two faults; tasks are sent for as long as faults last."""
    slowest_s: float = 3.0
    stopped_s: float = 5.0
    """The session of the stage's workers is 3 s: who is stopped for longer comes back as a zombie."""
    environment: Mapping[str, str] = field(default_factory=dict)


async def play(stage: Stage, storm: KillStorm) -> Verdict:
    """Send, kill and stop; let all end. Then every task has its right terminal event; how many, is counted."""
    generator = Generator(stage, storm.seed, storm.slowest_s)
    cases = await asyncio.to_thread(generator.cases, storm.tasks)
    crew = [
        stage.worker(f"w{number}", **({"WORKER_MAX_CONCURRENT_TASKS": str(POOL)} | dict(storm.environment)))
        for number in range(3)
    ]
    sampler = Sampler(stage.kafka.bootstrap, stage.group, stage.tasks, PARTITIONS)
    faults: Counter[str] = Counter()
    async with platform(stage.kafka.bootstrap, stage.tasks, stage.status, stage.dead_letters) as here:
        with workers(*crew):
            await asyncio.gather(*(asyncio.to_thread(worker.start) for worker in crew))
            sampling = asyncio.create_task(sampler.run())
            sending = asyncio.create_task(_send(here, cases, storm))
            await _rage(crew, storm, faults)
            sent = await sending
            await _all_ended(here, cases)
            await asyncio.sleep(2.0)  # whatever comes a second time has come
            sampler.stop()
            await sampling
            for worker in crew:
                await asyncio.to_thread(worker.wait_ready)
                assert await asyncio.to_thread(worker.terminate) == 0
    verdict = judge(cases, here, stage.gigachat.requests("chat"))
    judge_offsets(sampler.samples, sent, here, verdict)
    verdict.counts.update(faults)
    _count(cases, here, verdict)
    return verdict


async def _send(here: Platform, cases: list[Case], storm: KillStorm) -> dict[tuple[int, int], Case]:
    """Evenly over the faults; where each message came to lie."""
    pause = (storm.kills + storm.stops) * storm.every_s / len(cases)
    sent: dict[tuple[int, int], Case] = {}
    for case in cases:
        for message in case.messages:
            sent[await here.send(message.value, key=message.key, headers=message.headers)] = case
        await asyncio.sleep(pause)
    return sent


async def _rage(crew: list[Worker], storm: KillStorm, faults: Counter[str]) -> None:
    rng = random.Random(storm.seed)
    plan = ["kill"] * storm.kills + ["stop"] * storm.stops
    rng.shuffle(plan)
    stopped: dict[Worker, asyncio.Task[None]] = {}
    for fault in plan:
        await asyncio.sleep(storm.every_s * rng.uniform(0.5, 1.5))
        for worker in crew:
            if not worker.running:  # it ended by itself, as a fenced one may
                faults["died"] += 1
                worker.start(wait=False)
        worker = rng.choice([one for one in crew if one not in stopped or stopped[one].done()])
        faults[fault] += 1
        if fault == "kill":
            worker.kill()
            worker.start(wait=False)
        else:
            stopped[worker] = asyncio.create_task(_stop_for(worker, storm.stopped_s))
    await asyncio.gather(*stopped.values())


async def _stop_for(worker: Worker, seconds: float) -> None:
    worker.signal(signal.SIGSTOP)
    await asyncio.sleep(seconds)
    worker.signal(signal.SIGCONT)


async def _all_ended(here: Platform, cases: list[Case]) -> None:
    wanted = {case.task_id for case in cases if case.status}
    try:
        await here.until(lambda: wanted <= here.ended_keys, 90)
    except AssertionError:
        return  # the judge names those that are lost


def _count(cases: list[Case], here: Platform, verdict: Verdict) -> None:
    """Terminal events beyond one for each message that was sent."""
    for case in cases:
        if case.status:
            beyond = len(here.terminal(case.task_id)) - len(case.messages)
            verdict.counts["terminal"] += len(here.terminal(case.task_id))
            verdict.counts["too few"] += beyond < 0
            verdict.counts["too many"] += beyond > 0
