"""A terminal: one table that lives, the newest status at its bottom, then the answers that were asked for."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass

from rich import box
from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

from llm_service.cli.printable import printable, printable_line
from llm_service.cli.watching.answer_shown import STYLES, answer_panel, excerpt
from llm_service.cli.watching.arrival import Arrival
from llm_service.cli.watching.fates import Fates
from llm_service.contract.status import Status
from llm_service.resilience.clock import Clock

# Head, its rule, the line above, the line below and the cursor's.
_FRAME_LINES = 5
_ID_CHARS, _NARROW_ID_CHARS = 36, 16
# An id whole where 60 columns are left beside it: it is there to be copied.
_WIDE = 36 + 60
_PROVIDER_CHARS = 40
# More than any terminal has lines.
_KEPT = 500
_REFRESH = 8


@dataclass(slots=True)
class _Row:
    """The last status of a task; seconds since the epoch."""

    label: str
    status: Status
    said: str
    provider: str
    since: float
    ended_at: float | None = None
    took_s: float | None = None


class StatusTable:
    """Everything goes through ``Text``; of a body only an excerpt is kept."""

    def __init__(self, console: Console, errors: Console, clock: Clock, labels: Mapping[str, str]) -> None:
        """``labels``: what a task is called instead of its id, such as the name of its file."""
        self._console = console
        self._errors = errors
        self._clock = clock
        self._labels = labels
        self._rows: OrderedDict[str, _Row] = OrderedDict()
        self._live: Live | None = None

    def arrived(self, arrival: Arrival) -> None:
        known = self._rows.pop(arrival.task_id, None)
        self._rows[arrival.task_id] = self._row(arrival, known)
        while len(self._rows) > _KEPT:
            self._rows.popitem(last=False)
        if self._live is None:
            self._live = Live(
                console=self._console,
                get_renderable=self._table,
                refresh_per_second=_REFRESH,
                vertical_overflow="crop",
                # What is said on stderr goes there, also where that is a file.
                redirect_stderr=False,
            )
            self._live.start()

    def pulse(self) -> None:
        """The table refreshes itself."""

    def talk(self, message: str) -> None:
        # On one terminal with the table it must be written above it by whoever draws that.
        shared = self._live is not None and self._errors.is_terminal
        (self._console if shared else self._errors).print(Text(printable(message), "yellow"), soft_wrap=True)

    def ended(self, fates: Fates) -> None:
        self._stop()
        for task_id in fates.task_ids:
            if (end := fates.end_of(task_id)) is not None:
                label = self._labels.get(task_id)
                title, detail = (label, task_id) if label else (task_id, "")
                self._console.print(answer_panel(title, detail, end.status, end.fields))

    def close(self) -> None:
        self._stop()

    def _row(self, arrival: Arrival, known: _Row | None) -> _Row:
        body = arrival.fields
        running = known if known is not None and known.ended_at is None else None
        said = body.get("provider")
        provider = said if isinstance(said, str) else known.provider if known else ""
        row = _Row(
            self._labels.get(arrival.task_id, arrival.task_id),
            arrival.status,
            excerpt(arrival.status, arrival.body),
            printable_line(provider[:_PROVIDER_CHARS]),
            arrival.written_at if running is None else running.since,
        )
        if arrival.is_terminal:
            row.ended_at = arrival.written_at
            row.took_s = _took(arrival, None if running is None else running.since)
        return row

    def _table(self) -> Table:
        table = Table(box=box.SIMPLE_HEAD, pad_edge=False, expand=True)
        wide = self._console.width >= _WIDE
        chars = _ID_CHARS if wide else _NARROW_ID_CHARS
        table.add_column("Task", width=chars, no_wrap=True, overflow="ellipsis")
        table.add_column("Status", width=10, no_wrap=True)
        if wide:
            table.add_column("Provider", width=10, no_wrap=True, overflow="ellipsis", style="dim")
        table.add_column("Time", width=8, justify="right", no_wrap=True)
        table.add_column("Says", ratio=1, no_wrap=True, overflow="ellipsis")
        room = max(1, self._console.height - _FRAME_LINES)
        for row in list(self._rows.values())[-room:]:
            table.add_row(
                Text(printable_line(row.label)),
                Text(row.status.name, STYLES[row.status]),
                *((Text(row.provider),) if wide else ()),
                Text(self._time(row)),
                Text(row.said),
            )
        return table

    def _time(self, row: _Row) -> str:
        if row.ended_at is not None:
            return "" if row.took_s is None else _duration(row.took_s)
        return _duration(max(0.0, self._clock.now().timestamp() - row.since))

    def _stop(self) -> None:
        if self._live is not None:
            self._live.stop()
            self._live = None


def _took(arrival: Arrival, since: float | None) -> float | None:
    """From the first status that was seen to the end; where only the end was seen, what the worker says."""
    if since is not None:
        return max(0.0, arrival.written_at - since)
    said = arrival.fields.get("processing_time_ms")
    return said / 1000 if isinstance(said, int | float) and not isinstance(said, bool) else None


def _duration(seconds: float) -> str:
    """At most 8 characters."""
    if seconds < 100:
        return f"{seconds:.2f} s"
    if seconds < 3600:
        return f"{seconds // 60:.0f}m{seconds % 60:02.0f}s"
    return f"{seconds / 3600:.0f} h" if seconds < 3_600_000 else "—"
