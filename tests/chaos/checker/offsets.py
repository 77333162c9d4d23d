"""I4, I5: what was committed, and that nothing is unaccounted for."""

from __future__ import annotations

from collections import Counter

from tests.chaos.checker.book import Book
from tests.chaos.checker.finding import Finding

# The broker's stamp is in whole milliseconds, and a leap of the scheduler lies between two readings of one clock.
_CLOCK_S = 0.02


def offsets(book: Book) -> Finding:
    """No sample calls a message finished that had no terminal event or dead letter by then."""
    finding = Finding("I4", "offsets: nothing committed, by offset or map, before it was answered")
    ends = {task_id: sorted(event.at for event in events) for task_id, events in book.terminal.items()}
    by_place = {(message.partition, message.offset): message for message in book.sent}
    claimed: Counter[str] = Counter()
    for covered in book.covered:
        message = by_place[covered.place]
        if not message.status:
            continue
        claimed[message.task_id] += 1
        answers = sum(at <= covered.at + _CLOCK_S for at in ends.get(message.task_id, ()))
        parked = any(at <= covered.at + _CLOCK_S for at in book.rounds.get(message.task_id, ()))
        if not parked and answers < claimed[message.task_id]:
            finding.blame(
                f"{message.partition}/{message.offset}, {message.kind} {message.task_id}: committed {covered.at:.3f}, "
                f"when {answers} of {claimed[message.task_id]} answers were there"
            )
    highest: dict[int, int] = {}
    went_back = 0
    for sample in book.samples:
        for partition, (base, _) in sample.committed.items():
            if base < highest.get(partition, 0):
                went_back += 1
                # Plain commits overtake each other where a broker comes back: work is repeated, and none is lost.
                if book.is_exactly_once:
                    finding.blame(
                        f"the committed offset of {partition} went back from {highest[partition]} to {base}"
                    )
            highest[partition] = base
    longest = max((len(map_) for one in book.samples for _, map_ in one.committed.values()), default=0)
    finding.numbers = {
        "samples": book.facts["samples"],
        "samples with news": len(book.samples),
        "messages seen committed": len(book.covered),
        "longest map": longest,
        "went back": went_back,
    }
    return finding


def conservation(book: Book) -> Finding:
    """Every message received is skipped, a repeat, in flight, terminal, dead-lettered or parked."""
    finding = Finding("I5", "conservation: every message is accounted for, and the group has no lag")
    skipped = sum(not message.status for message in book.sent)
    repeats = sum(len(messages) - 1 for messages in book.by_task.values())
    answered = sum(bool(book.terminal.get(task_id)) for task_id in book.by_task)
    # On a shared topic our own events and the transactions' markers lie behind the last message.
    lag: dict[str, int] = {}
    final: dict[int, int] = {}
    for sample in book.samples:
        final |= {partition: base for partition, (base, _) in sample.committed.items()}
    for partition, end in book.facts["ends"].items():
        behind = int(end) - final.get(int(partition), 0)
        if behind > int(book.plan.shared):
            lag[partition] = behind
            finding.blame(
                f"partition {partition} ends at {end} and is committed to {final.get(int(partition), 0)}"
            )
    places = {(message.partition, message.offset) for message in book.sent}
    if len(places) != len(book.sent):
        finding.blame("two messages were acknowledged at one place")
    if missing := [place for place in places if place not in book.covered_at]:
        finding.blame(f"{len(missing)} messages were never seen committed: {sorted(missing)[:5]}")
    in_flight = len(book.by_task) - answered
    if len(book.sent) != skipped + repeats + answered + in_flight:
        finding.blame("the sums differ")
    finding.numbers = {
        "received": len(book.sent),
        "skipped": skipped,
        "repeats": repeats,
        "answered": answered,
        "in flight": in_flight,
        "lag": sum(lag.values()),
    }
    return finding
