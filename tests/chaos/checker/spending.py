"""I6, I7, I13: what the providers were asked, as their stand-ins saw it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from tests.chaos.checker.book import Book
from tests.chaos.checker.finding import Finding
from tests.standins.request_log import LoggedRequest

# A stand-in sees that its client is gone when the kernel has told it so and its loop has come round.
_GONE_S = 2.0
# Who wakes up, or is cut off, learns that its partitions are gone with its next heartbeat.
_ZOMBIE_S = 4.0
_ZOMBIES = {"F4", "F8", "F9", "F10", "F11", "F12", "F13"}
# A process without a descriptor to spare makes its call again once it has one.
_CUTS = {*_ZOMBIES, "F28"}


def concurrency(book: Book) -> Finding:
    """Calls in progress ≤ pool × live workers."""
    finding = Finding("I6", "concurrency: calls in progress ≤ pool × live workers")
    steps: list[tuple[float, int]] = []
    for call in book.calls:
        steps += [(call.started, 1), (call.ended or book.times["ended"], -1)]
    alive = [(life.began, 1) for life in book.lives]
    alive += [(life.ended + _GONE_S, -1) for life in book.lives if life.ended]
    active = workers = most = 0
    for _at, is_call, step in sorted([(at, 0, n) for at, n in alive] + [(at, 1, n) for at, n in steps]):
        if not is_call:
            workers += step
            continue
        active += step
        most = max(most, active)
        if step > 0 and active > book.plan.pool * workers:
            finding.blame(f"{active} calls with {workers} workers")
    finding.numbers = {"most calls at once": most, "pool": book.plan.pool, "workers": book.plan.workers}
    return finding


def spend(book: Book) -> Finding:
    """Calls beyond one run each are paid for by crashes and revokes; none for what was committed."""
    finding = Finding("I7", "spend: calls ≤ tasks + retries + what crashes and revokes cost")
    done = {task_id: _committed_at(book, task_id) for task_id in book.by_task}
    zombies = [
        (fault.at, fault.healed_at + _ZOMBIE_S + book.plan.session_s * (fault.fault != "F4"))
        for fault in book.faults
        if fault.fault in _ZOMBIES
    ]
    cuts = [(fault.at, fault.healed_at + _ZOMBIE_S) for fault in book.faults if fault.fault in _CUTS]
    announced = Counter(event.task_id for event in book.statuses if event.header("status") == "2")
    beyond = late = of_zombies = unannounced = 0
    for task_id, calls in book.calls_of.items():
        messages = book.by_task.get(task_id, [])
        rounds = len(book.rounds.get(task_id, ()))
        wanted = sum(message.calls for message in messages) + rounds
        costly = [call for call in calls if _may_cost(call)]
        beyond += max(0, len(costly) - wanted)
        if messages and len(costly) > announced[task_id] * max(message.calls for message in messages):
            # Within one run a call is made again where it was cut, or its worker slept past the call's limit.
            unannounced += 1
            if not any(_overlaps(call, begin, end) for call in costly for begin, end in cuts):
                finding.blame(
                    f"{task_id}: {len(costly)} calls, {announced[task_id]} times PROCESSING, and none was cut"
                )
        for call in calls:
            committed = done.get(task_id)
            if committed is None or rounds or call.started <= committed:
                continue
            if any(begin <= call.started <= end for begin, end in zombies):
                of_zombies += 1
            else:
                late += 1
                finding.blame(f"{task_id}: asked {call.started - committed:.1f} s after it was committed")
    allowed = _disruptions(book) * 2 * book.plan.pool
    if beyond > allowed:
        finding.blame(f"{beyond} calls beyond one run each, where {allowed} were allowed")
    finding.numbers = {
        "calls": len(book.calls),
        "refused": sum(call.outcome == "refused" for call in book.calls),
        "beyond one run each": beyond,
        "allowed": allowed,
        "tasks with a call made again within a run": unannounced,
        "after the commit": late,
        "after the commit, by zombies": of_zombies,
    }
    return finding


def _overlaps(call: LoggedRequest, begin: float, end: float) -> bool:
    return call.started <= end and begin <= (call.ended or end)


def _committed_at(book: Book, task_id: str) -> float | None:
    """When all messages of a task were seen committed; None where one never was."""
    found = [book.covered_at.get((one.partition, one.offset)) for one in book.by_task[task_id]]
    return None if None in found else max(at for at in found if at is not None)


def _may_cost(call: LoggedRequest) -> bool:
    return call.outcome != "refused"


def _disruptions(book: Book) -> int:
    """Processes that ended while others went on, and faults that may move partitions."""
    moves = sum(fault.fault in _ZOMBIES for fault in book.faults) * book.plan.workers
    return len(book.lives) + moves


def breaker(book: Book) -> Finding:
    """While the provider is away, calls are those in flight, those that trip the breaker, and probes."""
    finding = Finding("I13", "breaker: an outage is met by the threshold and by probes, not by all tasks")
    threshold, open_s = int(book.facts["breaker_threshold"]), float(book.facts["breaker_open_s"])
    most = 0.0
    outages = [fault for fault in book.faults if fault.fault == "F18" and not fault.what.endswith("429")]
    for fault in outages:
        calls = [
            call for call in book.calls if fault.at <= call.started <= fault.healed_at and call.status >= 500
        ]
        seconds = fault.healed_at - fault.at
        processes = [
            life for life in book.lives if life.began <= fault.healed_at and not 0 < life.ended < fault.at
        ]
        # A task of its own making that is answered 500 twice may be among them.
        allowed = len(processes) * (book.plan.pool + threshold + seconds / open_s + 2) + _told_to_fail(calls)
        most = max(most, len(calls) / allowed)
        if len(calls) > allowed:
            finding.blame(
                f"{fault.what}: {len(calls)} calls in {seconds:.0f} s, where {allowed:.0f} were allowed"
            )
    finding.numbers = {"outages": len(outages), "largest share of what is allowed": round(most, 2)}
    return finding


def _told_to_fail(calls: Sequence[LoggedRequest]) -> int:
    return len(calls) // 20
