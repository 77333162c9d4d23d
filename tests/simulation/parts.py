"""Many seeds at once: a pool of processes, and what all of them met; a file lets a long run be taken up again."""

from __future__ import annotations

import json
import multiprocessing
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path

from tests.simulation.run import Report, Wish, run_seed


@dataclass(slots=True)
class Part:
    """The seeds of one start of the command, one after the other."""

    around: Mapping[str, str]
    """The commit, machine, date and command."""
    first: int
    seeds: int = 0
    wall_s: float = 0.0
    cpu_s: float = 0.0


@dataclass(slots=True)
class Mended:
    """A seed that failed in an earlier part, and passed when it was run again."""

    failures: list[str]
    failed_on: str
    passed_on: str
    """Commits."""


@dataclass(slots=True)
class Totals:
    """What all seeds so far came to."""

    seeds: int = 0
    tasks: int = 0
    virtual_s: float = 0.0
    cpu_s: float = 0.0
    hits: Counter[str] = field(default_factory=Counter)
    failed: dict[int, list[str]] = field(default_factory=dict)
    """The seeds that failed, with their failures."""
    parts: list[Part] = field(default_factory=list)
    mended: dict[int, Mended] = field(default_factory=dict)

    def begin(self, around: Mapping[str, str], first: int) -> Part:
        """What follows is run on this commit and machine."""
        part = Part(around, first)
        self.parts.append(part)
        return part

    def mend(self, report: Report, commit: str) -> None:
        """A seed that failed has been run again."""
        failures = self.failed[report.seed]
        if report.failures:
            self.failed[report.seed] = report.failures
            return
        ran = [part for part in self.parts if part.first <= report.seed < part.first + part.seeds]
        self.mended[report.seed] = Mended(failures, ran[-1].around["commit"] if ran else "", commit)
        del self.failed[report.seed]

    def add(self, report: Report, tasks: int) -> None:
        self.seeds += 1
        if self.parts:
            self.parts[-1].seeds += 1
            self.parts[-1].cpu_s += report.cpu_s
        self.tasks += tasks
        self.virtual_s += report.seconds
        self.cpu_s += report.cpu_s
        self.hits.update(report.hits)
        if report.failures:
            self.failed[report.seed] = report.failures

    def to_json(self) -> dict[str, object]:
        return {
            "seeds": self.seeds,
            "tasks": self.tasks,
            "virtual_seconds": round(self.virtual_s),
            "cpu_seconds": round(self.cpu_s, 1),
            "hits": dict(sorted(self.hits.items())),
            "failed": {str(seed): failures for seed, failures in sorted(self.failed.items())},
            "mended": {str(seed): asdict(mended) for seed, mended in sorted(self.mended.items())},
            "parts": [asdict(part) for part in self.parts],
        }

    @staticmethod
    def load(path: Path) -> Totals:
        """What an earlier part has left; nothing where there was none."""
        if not path.exists():
            return Totals()
        kept = json.loads(path.read_text())
        return Totals(
            kept["seeds"],
            kept["tasks"],
            kept["virtual_seconds"],
            kept["cpu_seconds"],
            Counter(kept["hits"]),
            {int(seed): failures for seed, failures in kept["failed"].items()},
            [Part(**part) for part in kept["parts"]],
            {int(seed): Mended(**mended) for seed, mended in kept["mended"].items()},
        )

    def save(self, path: Path) -> None:
        """In one step, so that a part that is cut short leaves the file of the one before."""
        part = path.with_suffix(".part")
        part.write_text(json.dumps(self.to_json(), indent=1) + "\n")
        part.replace(path)


_CHUNK = 4


def reports(seeds: Sequence[int], wish: Wish, processes: int) -> Iterator[Report]:
    """One for each seed, in their order."""
    work = partial(run_seed, wish=wish)
    if processes == 1 or len(seeds) == 1:
        yield from map(work, seeds)
        return
    # Spawned, not forked: a process that was forked from pytest carries its threads' locks.
    # What a sweep lets live by a cycle (about 2,500 objects) the next run's freeze keeps: a process grows by half a
    # megabyte a seed. It makes way for a new one after 500, for a start of 2 s in some 50.
    with multiprocessing.get_context("spawn").Pool(processes, maxtasksperchild=500 // _CHUNK) as pool:
        yield from pool.imap(work, seeds, chunksize=_CHUNK)
