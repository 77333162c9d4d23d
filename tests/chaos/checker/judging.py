"""All invariants in their order."""

from __future__ import annotations

from collections import Counter
from typing import Any

from tests.chaos.checker import answers, breaking, offsets, progress, spending, surroundings
from tests.chaos.checker.book import Book
from tests.chaos.checker.finding import Finding
from tests.chaos.plan import FAULTS


def judge(book: Book) -> list[Finding]:
    return [
        answers.no_loss(book),
        answers.no_conflict(book),
        answers.monotone(book),
        offsets.offsets(book),
        offsets.conservation(book),
        spending.concurrency(book),
        spending.spend(book),
        progress.goes_on(book),
        answers.poison(book),
        progress.drain(book),
        surroundings.agreement(book),
        surroundings.metrics(book),
        breaking.breaker(book),
        surroundings.leaks(book),
        surroundings.secrecy(book),
        progress.kills(book),
    ]


def verdict(book: Book, findings: list[Finding]) -> dict[str, Any]:
    """As JSON holds it."""
    faults = Counter(fault.fault for fault in book.faults)
    signals = Counter(name for life in book.lives for _, name in life.signals)
    seconds = book.times["answered"] - book.times["began"]
    return {
        "holds": all(finding.holds for finding in findings),
        "plan": book.plan.plain(),
        "about": book.facts["about"],
        "services": book.facts["services"],
        "seconds": round(seconds, 1),
        "tasks a second": round(len(book.by_task) / seconds, 1) if seconds else 0.0,
        "faults": dict(sorted(faults.items())),
        # What they were when this was recorded: later there may be more to a fault.
        "words": dict(FAULTS),
        "signals": dict(sorted(signals.items())),
        "invariants": [finding.plain() for finding in findings],
    }
