"""The checker's verdict as text."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def text(found: Mapping[str, Any]) -> str:
    plan = found["plan"]
    head = (
        f"{plan['mode']}, {plan['protocol']} protocol, {plan['workers']} workers × {plan['pool']}, "
        f"{plan['partitions']} partitions, seed {plan['seed']}"
    )
    lines = [
        head,
        *(f"{name}: {value}" for name, value in found["about"].items()),
        f"services: {'; '.join(found['services'])}",
        f"tasks: {plan['tasks']} in {found['seconds']:.0f} s, {found['tasks a second']} a second",
        f"faults: {_pairs(found['faults'])}",
        f"signals: {_pairs(found['signals'])}",
        "",
    ]
    for one in found["invariants"]:
        state = "ok  " if one["holds"] else "FAIL"
        lines.append(f"{state} {one['name']:5} {one['title']}")
        lines.append(f"           {_pairs(one['numbers'])}")
        lines += [f"           - {sentence}" for sentence in one["wrong"]]
        if one["violations"] > len(one["wrong"]):
            lines.append(f"           … {one['violations']} in all")
    failed = [one["name"] for one in found["invariants"] if not one["holds"]]
    lines += ["", f"FAILED: {', '.join(failed)}" if failed else "all invariants hold"]
    return "\n".join(lines) + "\n"


def _pairs(numbers: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} {_shown(value)}" for name, value in numbers.items()) or "-"


def _shown(value: object) -> str:
    if isinstance(value, dict):
        return "(" + ", ".join(f"{name}: {inner}" for name, inner in value.items()) + ")"
    if isinstance(value, list):
        return " ".join(str(one) for one in value)
    return str(value)
