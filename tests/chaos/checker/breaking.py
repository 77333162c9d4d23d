"""I13: what each process asks of a provider that is away."""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Mapping, Sequence

from tests.chaos.checker.book import Book
from tests.chaos.checker.finding import Finding
from tests.chaos.recording import Fault
from tests.standins.request_log import LoggedRequest

# From the provider's last word to a loop that has read it: on a machine that is busy with as many processes.
_HEARD_S = 1.0
# Whoever hears late, or hears nothing, trips late.
_DEAF = {"F4", "F10", "F11", "F12", "F13", "F28"}
_AWAY = 500


def breaker(book: Book) -> Finding:
    """Each process that has met the threshold of failures in a row makes probes from then on, and no other calls."""
    finding = Finding("I13", "breaker: an outage is met by the threshold and by probes, not by all tasks")
    threshold, open_s = int(book.facts["breaker_threshold"]), float(book.facts["breaker_open_s"])
    heard_s = _HEARD_S * book.plan.patience
    asked = _by_process(book)
    tripped, most, most_allowed, before = 0, 0, 0, 0
    outages = [fault for fault in book.faults if fault.fault == "F18" and not fault.what.endswith("429")]
    for outage in outages:
        for worker, calls in asked.items():
            during = [call for call in calls if outage.at <= call.started <= outage.healed_at]
            at = _tripped_at(calls, outage, threshold)
            if at is None or _is_deaf(book, outage, worker):
                continue
            tripped += 1
            after = [call for call in during if call.started > at + heard_s]
            # The first when the breaker's time is over, then one each time; one that finds it well is followed by all.
            allowed = int((outage.healed_at - at) / open_s) + 1
            before = max(before, len(during) - len(after))
            if len(after) > most:
                most, most_allowed = len(after), allowed
            if len(after) > allowed:
                finding.blame(
                    f"{outage.what}: {len(after)} calls of {worker} after its breaker had opened, {allowed} are probes"
                )
    finding.numbers = {
        "outages": len(outages),
        "processes that met the threshold": tripped,
        "most calls until it was heard": before,
        "most calls after it": most,
        "probes allowed there": most_allowed,
    }
    return finding


def _by_process(book: Book) -> Mapping[str, Sequence[LoggedRequest]]:
    """The calls of GigaChat of each process: of a task's calls, those since it said that it is at work on it."""
    begun: dict[str, list[tuple[float, str]]] = defaultdict(list)
    for event in book.statuses:
        if event.header("status") == "2":
            begun[event.task_id].append((event.at, event.header("worker_id")))
    for times in begun.values():
        times.sort()
    found: dict[str, list[LoggedRequest]] = defaultdict(list)
    for call in book.gigachat:
        times = begun.get(call.marker, [])
        last = bisect_right(times, (call.started, "\uffff")) - 1
        if last >= 0:
            found[times[last][1]].append(call)
    return found


def _tripped_at(calls: Sequence[LoggedRequest], outage: Fault, threshold: int) -> float | None:
    """When the threshold of failures in a row was met in the outage; a success between two begins a new row."""
    row = 0
    for call in sorted(calls, key=lambda call: call.ended or 0.0):
        if call.ended is None or not outage.at <= call.ended <= outage.healed_at:
            continue
        if call.status >= _AWAY:
            row += 1
        elif call.outcome == "answered":
            row = 0
        if row == threshold:
            return call.ended
    return None


def _is_deaf(book: Book, outage: Fault, worker: str) -> bool:
    return any(
        fault.fault in _DEAF
        and fault.worker in {"", worker}
        and fault.at <= outage.healed_at
        and outage.at <= fault.healed_at
        for fault in book.faults
    )
