"""docs/mutation.md, made from docs/evidence/mutation.json, which ``./scripts/mutate --record`` keeps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

_HEAD = """# Mutation testing

Made by `./scripts/mutate --page` from [the record](evidence/mutation.json); don't edit it by hand.

`./scripts/mutate` breaks the modules that keep the offsets, the maps and the settling in one small way after another
(another comparison, another number, `None` in place of a value, an argument left out) and runs the module's own unit
tests each time. A mutant is found when a test fails, or when the tests don't end. One that no test notices is either
accepted, with a reason in `scripts/mutation/accepted.yaml`, or not explained, and then the command exits with 1, as it
does where fewer than 90 % of a module's mutants are found.

[mutmut](https://mutmut.readthedocs.io) makes the mutants and chooses the tests that reach each. It leaves alone what
has a decorator (so properties too) and what is outside of functions (constants), and deletes no statement. Property
tests run with the same examples each time (`scripts/mutation/profile.py`), so that a run can be repeated.
"""


def page(rows: Sequence[Mapping[str, Any]]) -> str:
    """The rows are those of the record."""
    parts = [
        _HEAD,
        "`./scripts/mutate --record` on the machine, at the commit and on the day that are named:\n",
        _table(rows),
        "## What survived\n",
        *(_survivors(row) for row in rows if row["survivors"]),
    ]
    return "\n".join(parts).rstrip() + "\n"


def _table(rows: Sequence[Mapping[str, Any]]) -> str:
    lines = [
        "| Module | Commit, date, machine | Mutants | Found | of them by time | Survived | Found, % |",
        "|---|---|---:|---:|---:|---:|---:|",
    ]
    totals = [sum(row[name] for row in rows) for name in ("mutants", "found", "timeouts", "survived")]
    named = [
        (f"`{row['path']}` | {row['commit']}, {row['date']}, {row['machine']}", *_numbers(row))
        for row in rows
    ]
    for name, *numbers in [*named, ("All |", *totals)]:
        cells = " | ".join(map(str, numbers))
        lines.append(f"| {name} | {cells} | {100 * numbers[1] / numbers[0]:.1f} |")
    return "\n".join(lines) + "\n"


def _numbers(row: Mapping[str, Any]) -> tuple[int, ...]:
    return row["mutants"], row["found"], row["timeouts"], row["survived"]


def _survivors(row: Mapping[str, Any]) -> str:
    items = [_survivor(one) for one in row["survivors"]]
    return "\n".join([f"### `{row['path']}`\n", *items]) + "\n"


def _survivor(one: Mapping[str, Any]) -> str:
    """No fenced block: the blocks of the pages are executed by a test."""
    reached = "" if one["reached"] else " (no test reaches it)"
    why = one["why"] or "**Not explained yet.**"
    return f"- `{one['in']}`{reached}: `{one['was']}` became `{one['became']}`. {why}"
