"""The timeline: a table with the state below it, or JSON lines."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from llm_service.cli.printable import json_line, printable_line
from llm_service.cli.tracing.moment import Fate, Kind, Moment
from llm_service.cli.tracing.verdict import Place, Verdict
from llm_service.contract.status import iso

_SHOWN = (
    "worker_id",
    "due",
    "attempt",
    "round",
    "run",
    "event_id",
    "message",
    "attempts",
    "letter",
    "metadata",
    "error",
)
_MOST_CHARS = 300


def show(moments: Sequence[Moment], place: Place | None, verdict: Verdict, *, as_json: bool) -> None:
    """On stdout."""
    if as_json:
        for moment in moments:
            print(json_line(_fields(moment)))
        committed = None if place is None else place.committed
        group = {"committed": committed, "position": None if place is None else place.words}
        print(json_line({"kind": "state", "state": verdict.state, "sentence": verdict.sentence, **group}))
        return
    _show_table(moments)
    if place is not None:
        print(f"Group: {place.words}.")
    print(printable_line(f"{verdict.sentence[:1].upper()}{verdict.sentence[1:]}."))


def _show_table(moments: Sequence[Moment]) -> None:
    # A pipe has no width: no line is broken there.
    console = Console(highlight=False, width=None if sys.stdout.isatty() else 400)
    table = Table(box=box.SIMPLE_HEAD if sys.stdout.isatty() else None, pad_edge=False)
    for name in ("Time", "", "What", "Where", "Details"):
        table.add_column(name, overflow="fold")
    for moment in moments:
        at = "" if moment.at is None else f"{moment.at.astimezone():%Y-%m-%d %H:%M:%S.%f}"[:-3]
        what = f"{moment.what}{_FATES[moment.fate]}"
        cells = (at, moment.kind.value, what, moment.place, _details(moment))
        table.add_row(*(Text(printable_line(cell)) for cell in cells))
    console.print(table)


_FATES = {
    Fate.COMMITTED: "",
    Fate.ABORTED: " (of an aborted transaction: no reader with read_committed sees it)",
    Fate.OPEN: " (its transaction is not decided yet)",
}


def _details(moment: Moment) -> str:
    names = ("task_id", "trace_id") if moment.kind is Kind.TASK else _SHOWN
    told = " ".join(f"{name}={moment.details[name]}" for name in names if moment.details.get(name))
    return told if len(told) <= _MOST_CHARS else told[: _MOST_CHARS - 1] + "…"


def _fields(moment: Moment) -> dict[str, object]:
    is_row = moment.kind is Kind.ROW
    return {
        "kind": moment.kind.value,
        "what": moment.what,
        "time": None if moment.at is None else iso(moment.at),
        "topic": None if is_row else moment.topic,
        "partition": None if is_row else moment.partition,
        "offset": None if is_row else moment.offset,
        "table": moment.topic if is_row else None,
        "transaction": None if is_row else moment.fate.value,
        "details": dict(moment.details),
    }
