"""What was found on each partition: a table, or JSON lines."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from rich import box
from rich.console import Console
from rich.table import Table

from llm_service.cli.printable import json_line
from llm_service.contract.status import iso
from llm_service.kafka.adoption.plan import PartitionPlan
from llm_service.kafka.adoption.survey import Survey
from llm_service.kafka.port import TopicPartition

_COUNTS = ("tasks", "answered", "unanswered", "to_run_again", "sent_again", "unknown", "on_retry_topic")
_HEADS = (
    "Partition",
    "Tasks",
    "Answered",
    "Unanswered",
    "To run again",
    "Sent after answer",
    "Unknown",
    "On retry topic",
)


@dataclass(frozen=True, slots=True)
class Shown:
    """A survey and what became of it."""

    found: Survey
    committed: Mapping[TopicPartition, int]
    against: Sequence[str]
    is_written: bool


def show(shown: Shown, *, as_json: bool) -> None:
    """On stdout."""
    if as_json:
        _show_json(shown)
    else:
        _show_table(shown)


def _show_json(shown: Shown) -> None:
    for part in shown.found.parts:
        print(json_line({"kind": "partition", **_fields(part, shown)}))
    found = shown.found
    totals = {name: sum(_counts(part)[name] for part in found.parts) for name in _COUNTS}
    horizon = found.horizon
    told = {
        "kind": "total",
        "tasks_topic": found.tasks_topic,
        "status_topic": found.status_topic,
        **totals,
        "to_run": found.total(lambda part: part.to_run),
        "statuses_known_since": None if horizon is None else iso(horizon),
        "written": shown.is_written,
        "against": list(shown.against),
    }
    print(json_line(told))


def _show_table(shown: Shown) -> None:
    # A pipe has no width: no line is broken there.
    console = Console(highlight=False, width=None if sys.stdout.isatty() else 200)
    table = Table(box=box.SIMPLE_HEAD if sys.stdout.isatty() else None, pad_edge=False, show_footer=True)
    parts = shown.found.parts
    totals = [str(sum(_counts(part)[name] for part in parts)) for name in _COUNTS]
    for head, foot in zip(_HEADS, ("all", *totals), strict=True):
        table.add_column(head, foot, justify="right")
    table.add_column(
        "Oldest unanswered", min((iso(part.oldest)[:19] for part in parts if part.oldest), default="")
    )
    table.add_column("Committed", justify="right")
    table.add_column("Begins at", justify="right")
    for part in parts:
        committed = shown.committed.get(part.place)
        table.add_row(
            str(part.place.partition),
            *(str(count) for count in _counts(part).values()),
            iso(part.oldest)[:19] if part.oldest else "",
            "" if committed is None else str(committed),
            str(part.position.offset),
        )
    console.print(table)


def _counts(part: PartitionPlan) -> dict[str, int]:
    return {
        "tasks": part.tasks,
        "answered": part.answered,
        "unanswered": len(part.unanswered),
        "to_run_again": part.again,
        "sent_again": part.sent_again,
        "unknown": part.unknown,
        "on_retry_topic": part.parked,
    }


def _fields(part: PartitionPlan, shown: Shown) -> dict[str, object]:
    return {
        "topic": part.place.topic,
        "partition": part.place.partition,
        **_counts(part),
        "oldest_unanswered": iso(part.oldest) if part.oldest else None,
        "committed": shown.committed.get(part.place),
        "offset": part.position.offset,
        "metadata": part.position.metadata,
    }
