"""The settings in force as a table for a terminal, group by group; what differs from its default stands out."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from typing import NamedTuple

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from llm_service.cli.configuration.shown import value_shown
from llm_service.cli.printable import printable_line
from llm_service.settings.in_force import InForce

MARK = "*"
"""Beside what differs from its default: seen without colours too."""
_WIDEST_VALUE, _LEAST = 60, 8
"""Columns; what is longer goes on below."""
_GAPS = 4
"""A space behind each column."""


def settings_table(rows: Sequence[InForce], width: int) -> Group:
    """A table per group for a terminal so wide, all with the same columns; values and origins give way, names never."""
    name = max((len(row.setting.name) for row in rows), default=0)
    room = width - len(MARK) - name - _GAPS
    origin = min(max((len(row.origin) for row in rows), default=0), max(_LEAST, room // 3))
    widths = _Widths(name, max(_LEAST, min(_WIDEST_VALUE, room - origin)), origin)
    parts: list[RenderableType] = []
    for title, group in groupby(rows, key=lambda row: row.setting.title):
        parts += [Text(f"\n{title}", style="bold underline"), _table(list(group), widths)]
    return Group(*parts)


class _Widths(NamedTuple):
    name: int
    value: int
    origin: int


def _table(rows: Sequence[InForce], widths: _Widths) -> Table:
    table = Table(box=None, padding=(0, 1, 0, 0), pad_edge=False, show_header=False)
    table.add_column(width=len(MARK))
    table.add_column(width=widths.name)
    table.add_column(width=widths.value, overflow="fold")
    table.add_column(width=widths.origin, overflow="fold")
    for row in rows:
        table.add_row(*_cells(row))
    return table


def _cells(row: InForce) -> tuple[Text, Text, Text, Text]:
    style = "bold" if row.is_changed else ""
    value = Text(value_shown(row), style=style) if row.is_set else Text("unset", style="dim")
    origin = Text(printable_line(row.origin), style="" if row.is_changed else "dim")
    return (
        Text(MARK if row.is_changed else "", style="bold"),
        Text(row.setting.name, style=style),
        value,
        origin,
    )
