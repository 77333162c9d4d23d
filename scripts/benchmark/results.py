"""What came out: rows of values for both, and what is wanted of them."""

from __future__ import annotations

import statistics
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from scripts.benchmark.contender import PLAIN, WORKER


@dataclass(frozen=True, slots=True)
class Wanted:
    """A bound: at most, or at least."""

    bound: float
    at_most: bool = True

    def holds(self, value: float) -> bool:
        return value <= self.bound if self.at_most else value >= self.bound


@dataclass(frozen=True, slots=True)
class Row:
    """One number of one scenario."""

    scenario: str
    number: str
    label: str
    unit: str
    digits: int = 0
    wanted: Wanted | None = None


ROWS: Sequence[Row] = (
    Row("cpu", "cpu_us", "CPU a task, default settings", "µs", 0, Wanted(300)),
    Row("cpu", "tasks_s", "  throughput (10 at once)", "tasks/s"),
    Row("cpu", "idle_percent", "  CPU when idle (subtracted)", "%", 1),
    Row("cpu_100", "cpu_us", "CPU a task, 100 at once", "µs"),
    Row("cpu_100", "tasks_s", "  throughput", "tasks/s"),
    Row("pool_10", "efficiency_percent", "Slots busy, 10 x 1 s", "%", 1, Wanted(99, at_most=False)),
    Row("pool_200", "efficiency_percent", "Slots busy, 200 x 100 ms", "%", 1, Wanted(95, at_most=False)),
    Row("pool_200", "calls_s", "  throughput (of 2,000)", "tasks/s"),
    Row("memory", "idle_rss_mb", "Memory idle (RSS)", "MB", 1, Wanted(110)),
    Row("memory", "idle_pss_mb", "  its own share (PSS)", "MB", 1),
    Row("memory", "children_pss_mb", "  children (PSS)", "MB", 1),
    Row("memory", "added_mb", "Added, busy with 100,000 waiting", "MB", 1, Wanted(25)),
)


@dataclass(slots=True)
class Results:
    """All values, by scenario, contender and number, in the order they were measured."""

    values: dict[tuple[str, str, str], list[float]] = field(default_factory=lambda: defaultdict(list))

    def add(self, scenario: str, contender: str, numbers: Mapping[str, float]) -> None:
        for number, value in numbers.items():
            self.values[scenario, contender, number].append(value)

    def of(self, row: Row, contender: str) -> Sequence[float]:
        return self.values.get((row.scenario, contender, row.number), [])

    def median(self, row: Row, contender: str) -> float:
        return statistics.median(self.of(row, contender))

    def ratio(self, row: Row) -> float | None:
        """Worker over plain loop; None where the loop has nothing to compare with."""
        plain = self.median(row, PLAIN.name)
        return self.median(row, WORKER.name) / plain if plain >= 1 else None

    def plain(self) -> Sequence[Mapping[str, object]]:
        """As JSON values."""
        return [
            {
                "scenario": row.scenario,
                "number": row.number,
                "unit": row.unit,
                "wanted": _bound(row.wanted),
                "holds": row.wanted.holds(self.median(row, WORKER.name)) if row.wanted else None,
                "worker": list(self.of(row, WORKER.name)),
                "plain_loop": list(self.of(row, PLAIN.name)),
                "ratio": self.ratio(row),
            }
            for row in ROWS
        ]


def _bound(wanted: Wanted | None) -> Mapping[str, float] | None:
    return None if wanted is None else {"at_most" if wanted.at_most else "at_least": wanted.bound}
