"""Judges what was answered from the topics; the worker is never asked."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from tests.acceptance.platform import Read


def differing(terminal: Sequence[Read]) -> dict[str, list[Read]]:
    """By run (the place of a message), the events of those messages that were given more than one answer.

    A producer's repeat is another message: it may get another answer where another worker reads it.
    """
    runs: dict[str, list[Read]] = defaultdict(list)
    for event in terminal:
        runs[event.header("run") or ""].append(event)
    return {run: events for run, events in runs.items() if len({e.header("event_id") for e in events}) > 1}
