"""What a long calm run was like minute by minute, and whether anything grew that should not."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from statistics import linear_regression, median, quantiles
from typing import Any

from tests.chaos.checker.book import Book
from tests.chaos.recording import read_lines

MINUTE_S = 60.0
# Windows, pools, interned texts and the allocator's arenas fill first; the window of the finished is full after five.
WARM_UP_S = 600.0
# The least that could be kept of each task is its id: a text of 36 characters has 85 bytes in CPython.
KEPT_BYTES = 85.0
# What is held for each task at work comes and goes with it; a quarter of the pool more at the end than after the
# warm-up would be one left behind for every 6,000 tasks of an hour.
_SHARE_OF_POOL = 4
_ORDINARY = {"header form", "body form", "file"}
_FLAT = ("descriptors", "threads", "loop tasks", "unfinished")


@dataclass(frozen=True, slots=True)
class Growth:
    """One measure of one worker from the end of the warm-up to the last message."""

    worker: str
    measure: str
    grew: float
    bound: float
    unit: str

    @property
    def holds(self) -> bool:
        return self.grew <= self.bound


def soak(book: Book, warm_up_s: float = WARM_UP_S) -> dict[str, Any]:
    """As JSON holds it: ``minutes``, ``workers`` minute by minute, ``growth`` and what follows from it."""
    begin, end = book.times["began"], book.times["sent"]
    spans = [
        (begin + MINUTE_S * n, begin + MINUTE_S * (n + 1)) for n in range(int((end - begin) // MINUTE_S))
    ]
    looks = _looks(book)
    growth = list(_growth(book, looks, begin + warm_up_s, end))
    held = [asdict(one) | {"holds": one.holds} for one in growth]
    return {
        "warm-up, s": warm_up_s,
        "slots busy": round(_busy(book, begin, end), 3),
        "minutes": _minutes(book, spans, looks),
        "workers": {name: _of_worker(book, name, spans, looks[name]) for name in looks},
        "growth": held,
        "holds": all(one.holds for one in growth) and bool(growth),
    }


# --- what is read -------------------------------------------------------------------------------


def _looks(book: Book) -> dict[str, list[dict[str, float]]]:
    """By worker, in the order of time, what the kernel and its own page said at once."""
    pages = {
        (line["worker"], round(line["at"], 3)): line["series"]
        for line in read_lines(book.folder / "metrics.jsonl")
        if not line["note"]
    }
    found: dict[str, list[dict[str, float]]] = defaultdict(list)
    for line in read_lines(book.folder / "resources.jsonl"):
        series = pages.get((line["worker"], round(line["at"], 3)))
        if series is not None and not line["note"]:
            found[line["worker"]].append(_look(line, series))
    return found


def _look(line: Mapping[str, Any], series: Mapping[str, float]) -> dict[str, float]:
    return {
        "at": line["at"],
        "memory": line["rss"],
        "descriptors": line["fds"],
        "threads": line["threads"],
        "cpu": line["cpu"],
        "load": line["load"],
        "loop tasks": series.get("llm_service_loop_tasks", 0.0),
        "unfinished": series.get("llm_service_tasks_unfinished", 0.0),
        "in flight": series.get("llm_service_tasks_in_flight", 0.0),
        "lag": sum(value for name, value in series.items() if name.startswith("llm_service_lag{")),
    }


def _ends(book: Book, worker: str = "") -> list[float]:
    """When terminal events came, of all workers or of one."""
    return sorted(
        event.at
        for event in book.events
        if event.is_terminal and (not worker or event.header("worker_id") == worker)
    )


def _busy(book: Book, begin: float, end: float) -> float:
    """The share of all slots that a provider's answer was waited for in."""
    took = sum(min(call.ended or end, end) - call.started for call in book.calls if call.started < end)
    return took / ((end - begin) * book.plan.pool * book.plan.workers)


# --- minute by minute ---------------------------------------------------------------------------


def _minutes(
    book: Book, spans: Sequence[tuple[float, float]], looks: Mapping[str, Sequence[Mapping[str, float]]]
) -> list[dict[str, float]]:
    ends = _ends(book)
    sent = sorted(message.at for message in book.sent if message.status)
    latencies = sorted(_latencies(book))
    metadata = [
        (sample.at, max(len(text) for _, text in sample.committed.values())) for sample in book.samples
    ]
    every = [look for found in looks.values() for look in found]
    rows = []
    for begin, end in spans:
        waits = [wait for at, wait in _within(latencies, begin, end)]
        cuts = quantiles(waits, n=100, method="inclusive") if len(waits) > 1 else [0.0] * 99
        rows.append(
            {
                "ended a second": round(_count(ends, begin, end) / (end - begin), 2),
                "p50, s": round(cuts[49], 3),
                "p99, s": round(cuts[98], 3),
                "not answered, most": max(
                    bisect_right(sent, at) - bisect_right(ends, at) for at in _seconds(begin, end)
                ),
                "metadata, bytes": max((size for at, size in metadata if begin <= at < end), default=0),
                "load": _median(every, "load", begin, end),
            }
        )
    return rows


def _of_worker(
    book: Book,
    worker: str,
    spans: Sequence[tuple[float, float]],
    looks: Sequence[Mapping[str, float]],
) -> list[dict[str, float]]:
    ends = _ends(book, worker)
    rows = []
    for begin, end in spans:
        seen = [look for look in looks if begin <= look["at"] < end]
        spent = seen[-1]["cpu"] - seen[0]["cpu"] if seen else 0.0
        tasks = _count(ends, seen[0]["at"], seen[-1]["at"]) if seen else 0
        row = {"memory, MB": round(_median(looks, "memory", begin, end) / 1e6, 2)}
        row |= {name: _median(looks, name, begin, end) for name in (*_FLAT, "in flight", "lag")}
        row["CPU a task, ms"] = round(1000 * spent / tasks, 2) if tasks else 0.0
        rows.append(row)
    return rows


def _latencies(book: Book) -> Iterator[tuple[float, float]]:
    """When an ordinary task ended, and how long after its message was acknowledged."""
    for task_id, messages in book.by_task.items():
        events = book.terminal.get(task_id)
        if messages[0].kind in _ORDINARY and events:
            yield events[0].at, max(0.0, events[0].at - messages[0].at)


def _within(values: Sequence[tuple[float, float]], begin: float, end: float) -> Sequence[tuple[float, float]]:
    return values[bisect_left(values, (begin, 0.0)) : bisect_left(values, (end, 0.0))]


def _count(times: Sequence[float], begin: float, end: float) -> int:
    return bisect_left(times, end) - bisect_left(times, begin)


def _seconds(begin: float, end: float) -> Iterable[float]:
    return (begin + second for second in range(int(end - begin)))


def _median(looks: Sequence[Mapping[str, float]], name: str, begin: float, end: float) -> float:
    seen = [look[name] for look in looks if begin <= look["at"] < end]
    return round(median(seen), 2) if seen else 0.0


# --- growth -------------------------------------------------------------------------------------


def _growth(
    book: Book, looks: Mapping[str, Sequence[Mapping[str, float]]], begin: float, end: float
) -> Iterator[Growth]:
    """By the straight line through all looks: one look at a busy moment decides nothing."""
    for worker, found in looks.items():
        seen = [look for look in found if begin <= look["at"] <= end]
        if len(seen) < 2:
            continue
        tasks = max(1, _count(_ends(book, worker), begin, end))
        bytes_a_task = _grew(seen, "memory") / tasks
        yield Growth(worker, "memory", round(bytes_a_task, 1), KEPT_BYTES, "bytes a task")
        for name in _FLAT:
            yield Growth(worker, name, round(_grew(seen, name), 2), book.plan.pool / _SHARE_OF_POOL, "in all")


def _grew(seen: Sequence[Mapping[str, float]], name: str) -> float:
    times = [look["at"] - seen[0]["at"] for look in seen]
    slope, _ = linear_regression(times, [look[name] for look in seen])
    return slope * times[-1]
