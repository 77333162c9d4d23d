"""What the page of the guarantee says of the soak."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import median
from typing import Any

Report = Mapping[str, Any]

_OF_ALL = ("ended a second", "p50, s", "p99, s", "not answered, most", "metadata, bytes", "load")
_OF_EACH = (
    "memory, MB",
    "CPU a task, ms",
    "descriptors",
    "threads",
    "loop tasks",
    "unfinished",
    "in flight",
    "lag",
)


def text(found: Report) -> str:
    """Markdown without a heading."""
    soak, plan = found["soak"], found["plan"]
    lost, beyond = _number(found, "I1", "lost"), _number(found, "I2", "events beyond one a message")
    grown = [one for one in soak["growth"] if not one["holds"]]
    broken = [one["name"] for one in found["invariants"] if not one["holds"]]
    said = "nothing grew beyond its bound" if not grown else f"{len(grown)} measures grew beyond their bounds"
    head = (
        f"**{_number(found, 'I1', 'tasks'):,} tasks in {plan['seconds'] / 60:g} minutes, {lost} lost, {beyond} terminal "
        f"events beyond one a message; {said}.**"
    )
    lines = [
        head,
        "",
        *(f"- {name}: {value}" for name, value in found["about"].items() if name != "command"),
        f"- command: `{found['about']['command']}`",
        f"- mode: `{plan['mode']}`, {plan['protocol']} protocol, seed {plan['seed']}",
        _half(plan, soak),
        f"- invariants that did not hold: {', '.join(broken) or 'none'}",
        "",
        "| one value a minute | least | median | most |",
        "|---|--:|--:|--:|",
        *(_spread(name, [row[name] for row in soak["minutes"]]) for name in _OF_ALL),
    ]
    for worker, rows in soak["workers"].items():
        lines += [_spread(f"{worker}: {name}", [row[name] for row in rows]) for name in _OF_EACH]
    return "\n".join([*lines, "", *_growth(soak)]) + "\n"


def _half(plan: Report, soak: Report) -> str:
    """Uniform from none to the slowest: one answer takes half of it."""
    carried = plan["workers"] * plan["pool"] / (plan["slowest_s"] / 2)
    return (
        f"- {plan['workers']} workers, each with {plan['pool']} slots; answers of up to {plan['slowest_s']:g} s, so that "
        f"they carry {carried:g} a second; slots busy, measured: {100 * soak['slots busy']:.0f} %"
    )


def _growth(soak: Report) -> list[str]:
    lines = [
        f"Growth from the end of a warm-up of {soak['warm-up, s'] / 60:g} minutes to the last message, by the straight line",
        "through all measurements (one every 10 s). A task's id, the least that could be kept of it, has 85 bytes; of what",
        "is held for a task while it is at work a quarter of the pool may be more at the end.",
        "",
        "| worker | measure | grew by | bound | holds |",
        "|---|---|--:|--:|---|",
    ]
    for one in soak["growth"]:
        held = "yes" if one["holds"] else "**no**"
        lines.append(
            f"| {one['worker']} | {one['measure']}, {one['unit']} | {one['grew']:g} | {one['bound']:g} | {held} |"
        )
    notes = [f"- {measure}: {note}" for measure, note in soak.get("notes", {}).items()]
    return [*lines, "", *notes] if notes else lines


def _spread(name: str, values: Sequence[float]) -> str:
    if not values:
        return f"| {name} | – | – | – |"
    return f"| {name} | {min(values):g} | {median(values):g} | {max(values):g} |"


def _number(found: Report, invariant: str, name: str) -> int:
    numbers = next(one for one in found["invariants"] if one["name"] == invariant)["numbers"]
    return int(numbers[name])
