"""I8, I10, and how soon work goes on after a kill."""

from __future__ import annotations

import signal
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Sequence
from statistics import median

from tests.chaos.checker.book import Book, place_of
from tests.chaos.checker.finding import Finding
from tests.chaos.plan import NO_MEMORY
from tests.chaos.recording import Fault, Life, Lying

# After a fault heals the first terminal event comes within this, and after a kill within the session besides.
_FIRST_S = 15.0
_BACKLOG_S = 60.0
# While one of these lasts nothing can end; it is the end of the last that counts.
_STOPS_ALL = {"F3", "F8", "F9", "F18", "F20", "F26"}
# Closing producers, pools and files takes this beside the drain.
_CLOSE_S = 6.0
# Its name for a start that was given up: an orchestrator starts it again.
_UNAVAILABLE = 69
_CTRL_C = 130
# Its name for an error of Kafka that a process can't get over. Where the broker stood still and goes on, a static member's
# joining of before and of after come to it as two processes of one instance, and it refuses one of them for good.
_START_AGAIN = 70
_STANDS_STILL = {"F8", "F9", "F10", "F11", "F12", "F13"}
_UNTIL_TOLD_S = 15.0
_PYTHON_S = 1.0
_AWAY = {"F8", "F9", "F10", "F11", "F12", "F13", "F15", "F17", "F20"}
_KILLS = {"F1", "F3 each"}


def goes_on(book: Book) -> Finding:
    """After every fault the first terminal event within 15 s, and the backlog gone in 60 s."""
    finding = Finding(
        "I8", "progress: work goes on within 15 s of a fault's end, the backlog is gone in 60 s"
    )
    ends = sorted(event.at for event in book.events if event.is_terminal)
    stops = _merged([fault for fault in book.faults if fault.fault in _STOPS_ALL])
    worst, worst_of = 0.0, ""
    for fault in book.faults:
        healed = max(
            [
                fault.healed_at,
                *(
                    end
                    for begin, end in stops
                    if begin <= fault.healed_at + _FIRST_S and end > fault.healed_at
                ),
            ]
        )
        if healed >= book.times["answered"]:
            continue
        following = bisect_right(ends, healed)
        if following == len(ends):
            continue
        waited = ends[following] - healed
        session = book.plan.session_s if fault.fault in {*_KILLS, "F3", "F4"} else 0.0
        allowed = (_FIRST_S + session) * book.plan.patience
        if waited > worst:
            worst, worst_of = waited, fault.fault
        if waited > allowed:
            finding.blame(f"{fault.fault} {fault.what}: nothing ended for {waited:.1f} s after it")
    last = max([book.times["sent"], *(fault.healed_at for fault in book.faults)])
    backlog = max([0.0, *(at - last for at in ends[-1:])])
    if backlog > _BACKLOG_S * book.plan.patience:
        finding.blame(f"the backlog took {backlog:.0f} s after the last message and the last fault")
    finding.numbers = {
        "longest wait, s": round(worst, 1),
        "after": worst_of,
        "backlog gone after, s": round(backlog, 1),
    }
    return finding


def _merged(faults: Sequence[Fault]) -> list[tuple[float, float]]:
    merged: list[tuple[float, float]] = []
    for fault in sorted(faults, key=lambda fault: fault.at):
        if merged and fault.at <= merged[-1][1] + 5.0:
            merged[-1] = merged[-1][0], max(merged[-1][1], fault.healed_at)
        else:
            merged.append((fault.at, fault.healed_at))
    return merged


def drain(book: Book) -> Finding:
    """SIGTERM → exit 0 within the drain time; a second one ends it at once; nobody else ends but by SIGKILL."""
    finding = Finding("I10", "drain: SIGTERM → exit 0 in time; no process ends by itself")
    codes: dict[str, int] = defaultdict(int)
    slowest = 0.0
    at_work = {event.header("worker_id") for event in book.statuses}
    for life in book.lives:
        stops = _heard(life)
        killed = any(name == "SIGKILL" for _, name in life.signals)
        codes[f"{life.code} {'SIGKILL' if killed else 'stopped' if stops else 'by itself'}"] += 1
        if killed:
            continue
        if life.code == _START_AGAIN and _stood_still(book, life):
            codes["fenced when the broker had stood still"] += 1
        elif not stops and life.code == _UNAVAILABLE and _was_away(book, life):
            codes["could not start while a dependency was away"] += 1
        elif _had_no_memory(book, life):
            codes["ended for want of memory"] += 1
        elif not stops:
            finding.blame(
                f"{life.worker} ended by itself with {life.code} after {life.ended - life.began:.1f} s"
            )
        elif life.worker not in at_work and _ended_at_start(life):
            codes["told to stop before it had begun"] += 1
        elif life.code != 0 and not (len(stops) > 1 and life.code == 130):
            finding.blame(
                f"{life.worker}: exit code {life.code} after {len(stops)} signals, {stops[0] - life.began:.1f} s old"
            )
        else:
            took = life.ended - stops[0]
            slowest = max(slowest, took)
            if took > (book.facts["drain_s"] + _CLOSE_S) * book.plan.patience:
                finding.blame(f"{life.worker} took {took:.1f} s to stop")
    for slot in book.facts["late"]:
        finding.blame(f"{slot} did not stop at the end")
    finding.numbers = {"processes": len(book.lives), "ends": dict(codes), "slowest, s": round(slowest, 1)}
    return finding


def _heard(life: Life) -> list[float]:
    """When it was told to stop. A SIGINT before the last one, while Python itself began, may be lost in its imports."""
    stops = [(at, name) for at, name in life.signals if name in {"SIGTERM", "SIGINT"}]
    lost = {at for at, name in stops[:-1] if name == "SIGINT" and at < life.began + _PYTHON_S}
    return [at for at, _ in stops if at not in lost]


def _ended_at_start(life: Life) -> bool:
    """As a process ends that does not listen yet; by Ctrl-C with the shell's code for it, as any command of ours."""
    by_ctrl_c = any(name == "SIGINT" for _, name in life.signals)
    return life.code in {-signal.SIGTERM, -signal.SIGINT} or (by_ctrl_c and life.code == _CTRL_C)


def _stood_still(book: Book, life: Life) -> bool:
    return any(
        fault.fault in _STANDS_STILL and fault.at <= life.ended <= fault.healed_at + _UNTIL_TOLD_S
        for fault in book.faults
    )


def _had_no_memory(book: Book, life: Life) -> bool:
    """Whoever gets none may end, by its own word or that of a library that needs it; an orchestrator starts it again."""
    return any(
        fault.what == NO_MEMORY
        and fault.worker == life.worker
        and fault.at <= life.ended <= fault.healed_at + 5.0
        for fault in book.faults
    )


def _was_away(book: Book, life: Life) -> bool:
    return any(
        fault.fault in _AWAY and fault.at <= life.ended and fault.healed_at >= life.began
        for fault in book.faults
    )


def kills(book: Book) -> Finding:
    """No invariant: how much was in flight at each kill, and how soon the same partitions had a terminal event."""
    finding = Finding("kills", "SIGKILL: work in flight, and how soon its partitions go on")
    history = _Histories(book)
    in_flight, recovery = [], defaultdict(list)
    for fault in book.faults:
        if fault.fault not in _KILLS:
            continue
        runs = history.at_work(fault.worker, fault.at)
        in_flight.append(len(runs))
        if fault.back and runs:
            waited = history.next_end(runs, fault)
            disturbed = any(
                other.fault in _STOPS_ALL
                and other.at <= fault.at + (waited or 60.0)
                and other.healed_at >= fault.at
                for other in book.faults
            )
            if waited is not None and not disturbed:
                recovery[fault.back].append(waited)
    finding.numbers = {
        "kills": len(in_flight),
        "on busy workers": sum(count > 0 for count in in_flight),
        "in flight at each": in_flight,
        "same instance back, s": _spread(recovery["same"]),
        "another member, s": _spread(recovery["other"]),
    }
    return finding


def _spread(seconds: Sequence[float]) -> dict[str, float]:
    if not seconds:
        return {}
    return {
        "count": len(seconds),
        "median": round(median(seconds), 2),
        "worst": round(max(seconds), 2),
    }


class _Histories:
    """What each worker had begun and not ended at any moment, by the status topic with what was aborted."""

    def __init__(self, book: Book) -> None:
        self._begun: dict[str, dict[str, float]] = defaultdict(dict)
        self._ended: dict[str, list[float]] = defaultdict(list)
        self._ends: dict[int, list[tuple[float, str]]] = defaultdict(list)
        for event in book.statuses:
            run = event.header("run")
            if event.header("status") == "2":
                self._begun[event.header("worker_id")].setdefault(run, event.at)
            elif event.committed:
                self._note_end(run, event)
        for ends in self._ends.values():
            ends.sort()

    def _note_end(self, run: str, event: Lying) -> None:
        self._ended[run].append(event.at)
        if place := place_of(event):
            self._ends[place[0]].append((event.at, event.header("worker_id")))

    def at_work(self, worker: str, at: float) -> list[str]:
        return [
            run
            for run, begun in self._begun[worker].items()
            if begun <= at and not any(ended <= at for ended in self._ended[run])
        ]

    def next_end(self, runs: Sequence[str], fault: Fault) -> float | None:
        """Seconds to the next terminal event of these runs' partitions by anybody else."""
        partitions = {int(run.rsplit("/", 2)[1]) for run in runs}
        found = [
            at
            for partition in partitions
            for at, worker in self._ends[partition]
            if at > fault.at and worker != fault.worker
        ]
        return min(found) - fault.at if found else None
