"""Faults of the workers' processes: F1, F3, F4, F5, F6, F21, F28."""

from __future__ import annotations

import asyncio
import itertools
import random
import resource
import signal
import time

import psutil

from tests.chaos.cases import Generator
from tests.chaos.crew import Member
from tests.chaos.plan import NO_MEMORY
from tests.chaos.scene import LOOK_S, Scene
from tests.chaos.schedule import Strike
from tests.chaos.stage import DRAIN_S

# Beyond the session, so that somebody else has the partitions by then.
_BEYOND_S = 3.0
_FEW_DESCRIPTORS = 64
_STARVED_S = 6.0
# Twelve deaths, each of a process that has started, joined and read what is committed.
_POISON_WITHIN_S = 300.0
# For all workers: each gets its share.
_LARGE = 24
_GUESTS_FOR_S = 20.0
# What a stop may take beyond its drain: closing producers, pools and files.
STOP_S = DRAIN_S + 10.0


async def kill(scene: Scene, strike: Strike) -> None:
    """F1. Every other one comes back at once, as the same instance; the others leave their work to the rest."""
    rng = random.Random(strike.seed)
    async with scene.one_of_crew(rng, busy=True) as member:
        if member is None:
            scene.counts["F1 not struck"] += 1
            return
        back = "same" if strike.number % 2 == 0 else "other"
        member.away_s = 0.0 if back == "same" else scene.plan.session_s + _BEYOND_S + 1.0
        at = member.signal(signal.SIGKILL)
        scene.strike("F1", "SIGKILL", at, member.worker_id, back)
        await member.gone(5)


async def kill_all(scene: Scene, strike: Strike) -> None:
    """F3."""
    del strike
    async with scene.whole_crew() as members:
        # Some have only just come back; all should have work.
        await scene.until(lambda: all(scene.watcher.busy(one.worker_id) for one in members), 10)
        async with scene.lasting("F3", f"SIGKILL to {len(members)}"):
            for member in members:
                at = member.signal(signal.SIGKILL)
                scene.strike("F3 each", "SIGKILL", at, member.worker_id)
            await asyncio.gather(*(member.gone(5) for member in members))


async def freeze(scene: Scene, strike: Strike) -> None:
    """F4: a zombie wakes up after its partitions went to others."""
    async with scene.one_of_crew(random.Random(strike.seed), busy=True) as member:
        if member is None:
            scene.counts["F4 not struck"] += 1
            return
        seconds = scene.plan.session_s + _BEYOND_S
        async with scene.lasting("F4", f"SIGSTOP for {seconds:.0f} s", member.worker_id):
            member.signal(signal.SIGSTOP)
            await asyncio.sleep(seconds)
            if member.running:
                member.signal(signal.SIGCONT)


async def stop(scene: Scene, strike: Strike) -> None:
    """F5: SIGTERM mostly; every seventh twice, every eighth SIGINT."""
    async with scene.one_of_crew(random.Random(strike.seed), busy=False) as member:
        if member is None:
            scene.counts["F5 not struck"] += 1
            return
        number = signal.SIGINT if strike.number % 8 == 7 else signal.SIGTERM
        twice = strike.number % 7 == 6
        what = f"{number.name}, twice" if twice else number.name
        async with scene.lasting("F5", what, member.worker_id):
            member.signal(number)
            if twice:
                await member.gone(random.Random(strike.seed).uniform(0.05, 1.0))
                if member.running:
                    member.signal(number)
            await member.gone(STOP_S)


async def come_and_go(scene: Scene, strike: Strike) -> None:
    """F6: a member joins or leaves every 2-5 s."""
    rng = random.Random(strike.seed)
    async with scene.lasting("F6", "a member comes and goes"):
        left, turns = _GUESTS_FOR_S, itertools.count()
        while left > 0:
            # A name of its own: whether one was at work before its end is told by it.
            guest = scene.crew.hire(f"guest{strike.number}-{next(turns)}", False)
            keeper = asyncio.create_task(guest.keep())
            stay = rng.uniform(2.0, 5.0)
            await asyncio.sleep(stay)
            guest.wanted = False
            if guest.running:
                scene.counts["F6 leaves"] += 1
                guest.signal(signal.SIGTERM)
            if not await guest.gone(STOP_S):
                guest.signal(signal.SIGKILL)
            await keeper
            pause = rng.uniform(1.0, 3.0)
            await asyncio.sleep(pause)
            left -= stay + pause


async def poison(scene: Scene, strike: Strike) -> None:
    """F21: whoever works on this message is killed, until it has its answer: that it is poison."""
    case = Generator(scene.load, random.Random(strike.seed)).killing()
    until = time.monotonic() + _POISON_WITHIN_S * scene.plan.patience
    async with scene.lasting("F21", "a message that kills its worker each time"):
        await scene.send(case)
        while not scene.watcher.ended[case.task_id] and time.monotonic() < until:
            holder = scene.watcher.holders.get(case.task_id)
            for member in scene.crew.running:
                if member.worker_id == holder and not member.killed:
                    scene.counts["F21 deaths"] += 1
                    member.signal(signal.SIGKILL)
            await asyncio.sleep(LOOK_S)


async def starve(scene: Scene, strike: Strike) -> None:
    """F28: 64 file descriptors for a while, or no more memory than it has, in turn."""
    async with scene.one_of_crew(random.Random(strike.seed), busy=True) as member:
        if member is None or member.process is None:
            return
        if strike.number % 2 == 0:
            what, limit, most = (
                f"{_FEW_DESCRIPTORS} file descriptors",
                resource.RLIMIT_NOFILE,
                _FEW_DESCRIPTORS,
            )
        else:
            what, limit = NO_MEMORY, resource.RLIMIT_DATA
            most = psutil.Process(member.process.pid).memory_info().data
        async with scene.lasting("F28", what, member.worker_id):
            await asyncio.gather(_limited(member, limit, most), _enlarge(scene, strike, limit))


async def _limited(member: Member, limit: int, most: int) -> None:
    """The limit is that of the process that runs now: it may end, and another take its place."""
    process = member.process
    assert process is not None
    before = resource.prlimit(process.pid, limit)
    resource.prlimit(process.pid, limit, (most, before[1]))
    await asyncio.sleep(_STARVED_S)
    if process.poll() is None:
        resource.prlimit(process.pid, limit, before)


async def _enlarge(scene: Scene, strike: Strike, limit: int) -> None:
    """What is too large for what a process has left: one at work has megabytes of it before it asks for more."""
    generator = Generator(scene.load, random.Random(strike.seed))
    for _ in range(_LARGE if limit == resource.RLIMIT_DATA else 0):
        await scene.send(generator.large())
