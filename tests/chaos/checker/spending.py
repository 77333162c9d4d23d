"""I6, I7: what the providers were asked, as their stand-ins saw it."""

from __future__ import annotations

from collections import Counter

from tests.chaos.checker.book import Book
from tests.chaos.checker.finding import Finding
from tests.chaos.checker.handovers import handed_over
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
    beyond = unannounced = cut = 0
    late: Counter[str] = Counter()
    for task_id, calls in book.calls_of.items():
        messages = book.by_task.get(task_id, [])
        rounds = len(book.rounds.get(task_id, ()))
        wanted = sum(message.calls for message in messages) + rounds
        costly = [call for call in calls if _may_cost(call)]
        beyond += max(0, len(costly) - wanted)
        if messages and len(costly) > announced[task_id] * max(message.calls for message in messages):
            # Within one run a call is made again where it was cut, or its worker slept past the call's limit.
            unannounced += 1
            cut += len(costly) - announced[task_id]
            if not any(_overlaps(call, begin, end) for call in costly for begin, end in cuts):
                finding.blame(
                    f"{task_id}: {len(costly)} calls, {announced[task_id]} times PROCESSING, and none was cut"
                )
        committed = None if rounds else done.get(task_id)
        for call in calls:
            if committed is not None and call.started > committed:
                is_zombie = any(begin <= call.started <= end for begin, end in zombies)
                late["by zombies" if is_zombie else "by others"] += 1
                if not is_zombie:
                    finding.blame(f"{task_id}: asked {call.started - committed:.1f} s after it was committed")
    moved = handed_over(book)
    for partition, offset in moved.without_cause:
        finding.blame(f"{partition}/{offset}: begun again by the process that had it, and nothing tells why")
    dearest = {task_id: max(one.calls for one in messages) for task_id, messages in book.by_task.items()}
    runs = [book.task_at.get(place, "") for place in (*moved.unfinished, *moved.again)]
    allowed = cut + sum(dearest.get(task_id, 0) for task_id in runs)
    if beyond > allowed:
        finding.blame(f"{beyond} calls beyond one run each, where {allowed} were allowed")
    finding.numbers = {
        "calls": len(book.calls),
        "refused": sum(call.outcome == "refused" for call in book.calls),
        "beyond one run each": beyond,
        "partitions handed over": moved.moves,
        "runs in flight there": len(moved.unfinished),
        "allowed": allowed,
        "tasks with a call made again within a run": unannounced,
        "after the commit": late["by others"],
        "after the commit, by zombies": late["by zombies"],
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
