"""One run of each kind: CPU of a task, how full the slots are, memory."""

from __future__ import annotations

import time
from array import array
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from scripts.benchmark.contender import PLAIN, Contender, Running, Setup, running
from scripts.benchmark.topics import Topics
from tests.services.reaper import Reaper

_END_LIMIT_S = 120.0
_START_LIMIT_S = 60.0
_SETTLE_S = 1.0
"""After the last task, or the start: commits and timers come to rest."""
_SAMPLE_S = 0.03
"""Tens of samples also of the plain loop, which is through its tasks in a second."""
WAITING_TASKS = 100_000

Numbers = Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Place:
    """Where one run happens; everything in it is fresh."""

    topics: Topics
    folder: Path
    reaper: Reaper


@dataclass(frozen=True, slots=True)
class _Sample:
    at: float
    cpu_s: float
    done: float


@dataclass(frozen=True, slots=True)
class CpuPerTask:
    """All tasks lie on the topic and the provider answers at once.

    From a tenth to nine tenths of the tasks, so that neither start nor end counts; what the process takes when it has
    nothing to do is measured afterwards and subtracted.
    """

    tasks: int
    slots: int
    idle_s: float

    def run(self, contender: Contender, place: Place, tell: Callable[[str], None]) -> Numbers:
        # The loop is so much quicker: then both are looked at for about as long.
        tasks = self.tasks * (4 if contender is PLAIN else 1)
        place.topics.produce(tasks)
        progress = place.topics.progress()
        samples: list[_Sample] = []
        with running(contender, place.topics, Setup(self.slots), place.folder, place.reaper) as process:

            def all_done() -> bool:
                samples.append(_Sample(time.monotonic(), process.cpu_s(), progress.done()))
                tell(f"{samples[-1].done:,.0f} of {tasks:,} tasks")
                return samples[-1].done >= tasks

            process.until(all_done, _END_LIMIT_S, f"{tasks} tasks", _SAMPLE_S)
            tell("idle")
            idle = self._idle(process)
        first, last = _middle(samples, tasks)
        done, wall_s = last.done - first.done, last.at - first.at
        cpu_s = last.cpu_s - first.cpu_s - idle * wall_s
        return {"cpu_us": cpu_s / done * 1e6, "tasks_s": done / wall_s, "idle_percent": idle * 100}

    def _idle(self, process: Running) -> float:
        """Seconds of CPU a second."""
        time.sleep(_SETTLE_S)
        began, cpu_s = time.monotonic(), process.cpu_s()
        time.sleep(self.idle_s)
        return (process.cpu_s() - cpu_s) / (time.monotonic() - began)


@dataclass(frozen=True, slots=True)
class PoolEfficiency:
    """The time that was asked for, over slots x wall from the first call's start to the last call's end.

    Asked for, not spent: a sleep that overslept because the loop was late is no work.
    """

    slots: int
    seconds: float
    rounds: int

    def run(self, contender: Contender, place: Place, tell: Callable[[str], None]) -> Numbers:
        tasks = self.slots * self.rounds
        place.topics.produce(tasks)
        progress = place.topics.progress()
        calls = place.folder / "calls"
        setup = Setup(self.slots, self.seconds, calls)
        with running(contender, place.topics, setup, place.folder, place.reaper) as process:

            def all_done() -> bool:
                done = progress.done()
                tell(f"{done:,.0f} of {tasks:,} tasks")
                return done >= tasks

            process.until(all_done, _END_LIMIT_S, f"{tasks} tasks")
        times = array("d", calls.read_bytes())
        wall_s = max(times[1::2]) - min(times[::2])
        busy_s = len(times) / 2 * self.seconds
        return {
            "efficiency_percent": busy_s / (self.slots * wall_s) * 100,
            "calls_s": len(times) / 2 / wall_s,
        }


@dataclass(frozen=True, slots=True)
class Memory:
    """Idle, then busy at the default settings (tasks of 100 ms) while 100,000 tasks wait on the topic."""

    idle_s: float
    busy_s: float

    def run(self, contender: Contender, place: Place, tell: Callable[[str], None]) -> Numbers:
        progress = place.topics.progress()
        setup = Setup(seconds=0.1, deployed=True)
        with running(contender, place.topics, setup, place.folder, place.reaper) as process:
            # One task, so that everything that is imported late is there, on either side.
            place.topics.produce(1)
            process.until(lambda: progress.done() >= 1, _START_LIMIT_S, "the first task")
            tell("idle")
            time.sleep(self.idle_s)
            idle, pss, children = process.rss_mb(), process.pss_mb(), process.children_pss_mb()
            tell(f"producing {WAITING_TASKS:,} tasks")
            place.topics.produce(WAITING_TASKS)
            busy = self._busy(process, tell)
            most_children = process.children_pss_mb()
        return {
            "idle_rss_mb": idle,
            "idle_pss_mb": pss,
            "children_pss_mb": max(children, most_children),
            "busy_rss_mb": busy,
            "added_mb": busy - idle,
        }

    def _busy(self, process: Running, tell: Callable[[str], None]) -> float:
        """The most of all samples."""
        end = time.monotonic() + self.busy_s
        most = 0.0
        while time.monotonic() < end:
            most = max(most, process.rss_mb())
            tell(f"busy, {most:.0f} MB")
            time.sleep(_SAMPLE_S)
        return most


def _middle(samples: Sequence[_Sample], tasks: int) -> tuple[_Sample, _Sample]:
    """The first sample with a tenth of the tasks done and the last with no more than nine tenths of them.

    Raises RuntimeError when it went so fast that there are no two such samples.
    """
    middle = [sample for sample in samples if 0.1 * tasks <= sample.done <= 0.9 * tasks]
    if len(middle) < 2:
        raise RuntimeError(f"{tasks} tasks were done too fast to be measured: {len(samples)} samples in all")
    return middle[0], middle[-1]
