"""A mutant that no test noticed, and why that is accepted where somebody has looked at it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import yaml

ACCEPTED = Path(__file__).with_name("accepted.yaml")
# mutmut's name of a mutant: the module, then x_function or xǁClassǁmethod, then its number.
_NAME = re.compile(r"\.x(?:_(?P<function>\w+)|ǁ(?P<owner>\w+)ǁ(?P<method>\w+))__mutmut_\d+$")


@dataclass(frozen=True, slots=True)
class Mutant:
    """Known by what it changes and where, not by mutmut's number: that moves with every edit of the function."""

    place: str
    was: str
    became: str


def mutant(name: str, diff: str) -> Mutant:
    """From mutmut's name and unified diff. Raises ValueError where the name has another form."""
    found = _NAME.search(name)
    if found is None:
        raise ValueError(
            f"mutmut calls a mutant {name}, which is no form that is known: has it been upgraded?"
        )
    place = found["function"] or f"{found['owner']}.{found['method']}"
    return Mutant(place, _side(diff, "-"), _side(diff, "+"))


def accepted() -> dict[str, dict[Mutant, str]]:
    """By module, the mutants that may survive, each with its reason."""
    known = yaml.safe_load(ACCEPTED.read_text("utf-8")) or {}
    return {
        module: {Mutant(one["in"], str(one["was"]), str(one["became"])): one["why"] for one in entries}
        for module, entries in known.items()
    }


def _side(diff: str, sign: str) -> str:
    return " ".join(
        line[1:].strip()
        for line in diff.splitlines()
        if line.startswith(sign) and not line.startswith(sign * 3)
    )
