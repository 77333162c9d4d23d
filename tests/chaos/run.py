"""One run: everything up, load and faults at once, all that is owed waited for, everything written down."""

from __future__ import annotations

import asyncio
import json
import random
import shutil
import time
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

from confluent_kafka import Consumer, TopicPartition

from tests.acceptance.worker import ROOT
from tests.chaos import dump, stage
from tests.chaos.cases import Generator, Load
from tests.chaos.crew import Crew, Member, command_of
from tests.chaos.faults.all_kinds import KINDS
from tests.chaos.load import LoadSender
from tests.chaos.measuring import Meter
from tests.chaos.plan import Plan
from tests.chaos.progress import Progress
from tests.chaos.recording import Lines
from tests.chaos.sampling import Sampler
from tests.chaos.scene import Scene
from tests.chaos.schedule import Strike, schedule
from tests.chaos.stage import Services, Stage, staged
from tests.chaos.watcher import Watcher

# A second answer that was under way has come by then, and librdkafka has told its lag, which it does every 5 s.
_SETTLE_S = 6.0
_QUIET_S = 8.0
_READY_S = 60.0
_DISMISS_S = stage.DRAIN_S + 12.0


async def run(
    plan: Plan, services: Services, folder: Path, about: Mapping[str, str], progress: Progress
) -> None:
    """Leave the recording in ``folder``, which is there."""
    place = folder / "stage"
    await asyncio.to_thread(place.mkdir)
    with staged(plan, services, place) as here:
        await _Run(plan, here, folder, about, progress).play()
    for name in ("gigachat.jsonl", "ollama.jsonl"):
        shutil.move(place / name, folder / name)
    shutil.rmtree(place)


class _Run:
    def __init__(
        self, plan: Plan, here: Stage, folder: Path, about: Mapping[str, str], progress: Progress
    ) -> None:
        self._plan = plan
        self._here = here
        self._folder = folder
        self._about = dict(about)
        self._progress = progress
        (folder / "logs").mkdir(exist_ok=True)
        self._lives = Lines(folder / "lives.jsonl")
        self._faults = Lines(folder / "faults.jsonl")
        self._sent = Lines(folder / "sent.jsonl")
        self._crew = Crew([], self._hire)
        rng = random.Random(plan.seed)
        self._load = Load(
            here.bucket,
            here.canary,
            plan.slowest_s,
            longest_s=stage.MAX_POLL_INTERVAL_S * 1.4 if "F7" in plan.faults else 0.0,
            crashing="F21" in plan.faults,
            ollama=True,
        )
        self._sender = LoadSender(here, Generator(self._load, rng), rng, self._sent)

    async def play(self) -> None:
        plan, here = self._plan, self._here
        watcher = Watcher(here.kafka.bootstrap, here.status, plan.partitions)
        sampler = Sampler(
            here.kafka.bootstrap, here.group, here.tasks, plan.partitions, self._folder / "offsets.jsonl"
        )
        meter = Meter(self._crew, self._folder, plan.look_every_s)
        scene = Scene(plan, here, self._crew, watcher, self._faults, self._sender.extra, self._load)
        times: dict[str, float] = {}
        try:
            for number in range(plan.workers):
                self._crew.begin(self._hire(f"w{number + 1}", True))
            await self._all_ready()
            await meter.take("ready")
            times["began"] = time.time()
            aside = [asyncio.create_task(meter.run()), asyncio.create_task(self._tell(scene))]
            await asyncio.gather(self._sender.run(plan.tasks, plan.seconds), self._strikes(scene))
            times["sent"] = time.time()
            await self._all_answered(watcher, sampler)
            times["answered"] = time.time()
            for task in aside:
                task.cancel()
            await asyncio.gather(*aside, return_exceptions=True)
            await asyncio.sleep(_SETTLE_S)
            await meter.take("end")
            self._progress.say("telling the workers to stop")
            late = await self._crew.dismiss(_DISMISS_S * plan.patience)
            times["ended"] = time.time()
        finally:
            self._crew.kill()
            watcher.close()
            sampler.close()
            meter.close()
        self._progress.say("reading the topics and tables")
        await self._write_down(times, late, sampler.count)

    # --- the crew -------------------------------------------------------------------------------

    def _hire(self, slot: str, is_static: bool) -> Member:
        environment = self._here.environment(self._plan)
        if is_static and self._plan.protocol == "classic":
            environment["KAFKA_GROUP_INSTANCE_ID"] = slot
        # Every other one goes through the proxy, so that the network's faults part the crew.
        if slot[-1] in "24680":
            environment |= self._here.proxied()
        if self._plan.patch:
            environment["PYTHONPATH"] = str(ROOT)
        return Member(
            slot,
            environment,
            self._folder / "logs" / f"{slot}.log",
            command_of(self._plan.patch),
            self._here.services.reaper,
            lambda life: self._lives.write(asdict(life)),
        )

    async def _all_ready(self) -> None:
        until = time.monotonic() + _READY_S * self._plan.patience
        for member in self._crew.members:
            while not await asyncio.to_thread(member.is_ready):
                if time.monotonic() > until:
                    raise RuntimeError(f"{member.slot} is not ready:\n{member.log.read_text()[-3000:]}")
                await asyncio.sleep(0.05)

    # --- load, faults, the end ------------------------------------------------------------------

    async def _strikes(self, scene: Scene) -> None:
        began = time.monotonic()
        doing = []
        for strike in schedule(self._plan):
            await asyncio.sleep(max(0.0, began + strike.at - time.monotonic()))
            doing.append(asyncio.create_task(self._strike(scene, strike)))
        await asyncio.gather(*doing)

    async def _strike(self, scene: Scene, strike: Strike) -> None:
        await KINDS[strike.fault](scene, strike)

    async def _all_answered(self, watcher: Watcher, sampler: Sampler) -> None:
        """Until everything owed is there and committed, or until nothing more comes."""
        owed = self._sender.owed
        until = time.monotonic() + self._plan.ends_within_s * self._plan.patience
        while time.monotonic() < until:
            # A repeat of one that waits on the retry topic is answered by that one: one less, and then silence.
            is_quiet = time.monotonic() - watcher.last_end > _QUIET_S
            is_there = all(watcher.ended[task] >= (1 if is_quiet else count) for task, count in owed.items())
            if is_there and await asyncio.to_thread(self._nothing_left, sampler):
                return
            await asyncio.sleep(0.2)

    def _nothing_left(self, sampler: Sampler) -> bool:
        consumer = Consumer({"bootstrap.servers": self._here.kafka.bootstrap, "group.id": "nobody"})
        try:
            for number in range(self._plan.partitions):
                end = consumer.get_watermark_offsets(TopicPartition(self._here.tasks, number), 5.0)[1]
                # On a shared topic a transaction's marker lies behind the last message.
                if sampler.committed.get(number, 0) < end - int(self._plan.shared):
                    return False
        finally:
            consumer.close()
        return True

    async def _tell(self, scene: Scene) -> None:
        while True:
            faults = " ".join(f"{name}×{count}" for name, count in sorted(scene.counts.items()))
            now = " ".join(sorted(+scene.active)) or "-"
            work = sum(scene.watcher.busy(member.worker_id) for member in self._crew.running)
            self._progress.show(
                f"{self._sender.cases} of {self._plan.tasks} tasks sent, {scene.watcher.done} events, {work} at work, "
                f"{len(self._crew.running)} workers; now: {now}; so far: {faults}"
            )
            await asyncio.sleep(0.5)

    # --- the recording --------------------------------------------------------------------------

    async def _write_down(self, times: dict[str, float], late: list[str], samples: int) -> None:
        plan, here = self._plan, self._here
        for lines in (self._lives, self._faults, self._sent):
            lines.close()
        topics = {
            "status": (here.status, plan.partitions),
            "dead-letters": (here.dead_letters, plan.partitions),
            "retries": (here.retries, plan.retry_partitions),
        }
        for name, (topic, partitions) in topics.items():
            path = self._folder / f"topic-{name}.jsonl"
            await asyncio.to_thread(dump.topic, here.kafka.bootstrap, topic, partitions, path)
        await dump.tables(here.database, self._folder / "tables.json")
        left = [str(path.relative_to(here.folder)) for path in (here.folder / "work").rglob("*")]
        facts = {
            "plan": plan.plain(),
            "about": self._about,
            "services": here.services.how,
            "times": times,
            "tasks_topic": here.tasks,
            "group": here.group,
            "samples": samples,
            "secrets": here.secrets,
            "canary": here.canary,
            "drain_s": stage.DRAIN_S,
            "breaker_threshold": stage.BREAKER_THRESHOLD,
            "breaker_open_s": stage.BREAKER_OPEN_S,
            "retries": stage.RETRIES,
            "late": late,
            "files_left": left,
            "ends": await asyncio.to_thread(self._ends),
        }
        (self._folder / "run.json").write_text(json.dumps(facts, ensure_ascii=False, indent=1))

    def _ends(self) -> dict[int, int]:
        consumer = Consumer({"bootstrap.servers": self._here.kafka.bootstrap, "group.id": "nobody"})
        try:
            places = [TopicPartition(self._here.tasks, p) for p in range(self._plan.partitions)]
            return {place.partition: consumer.get_watermark_offsets(place, 5.0)[1] for place in places}
        finally:
            consumer.close()
