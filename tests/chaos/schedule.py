"""When which fault strikes: all from the seed, so that a run can be repeated."""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from tests.chaos.plan import Plan

# How often each strikes in five minutes. F7, and of F21 what goes for the parser, are in the load itself.
IN_FIVE_MINUTES: Mapping[str, int] = MappingProxyType(
    {
        "F1": 36,
        "F3": 2,
        "F4": 7,
        "F5": 28,
        "F6": 2,
        "F8": 2,
        "F9": 2,
        "F10": 2,
        "F11": 3,
        "F12": 2,
        "F13": 3,
        "F14": 1,
        "F15": 4,
        "F17": 4,
        "F18": 4,
        "F20": 3,
        "F21": 1,
        "F26": 1,
        "F28": 2,
    }
)
# The workers have work by the first strike, and the load still runs when the last one comes.
_CALM_START_S = 6.0
_CALM_END_S = 8.0

# A message that kills its worker does so a dozen times before it ends as poison, each after a start and a takeover: some
# minutes, beside what else goes on. In a long run each has its own, in a short one the last two thirds are for it.
_EARLY = 0.3
_POISON_TAKES_S = 600.0


@dataclass(frozen=True, slots=True)
class Strike:
    """One fault at its time."""

    at: float
    """Seconds from the first message."""
    fault: str
    number: int
    """The how manieth of its kind, from 0: kinds take turns by it."""
    seed: int


def schedule(plan: Plan) -> list[Strike]:
    """In the order of time. Each kind is spread evenly over the run, at random within its share of it; F21 early in it."""
    rng = random.Random(plan.seed)
    first, last = _CALM_START_S, max(_CALM_START_S + 1.0, plan.seconds - _CALM_END_S)
    strikes = []
    for fault in plan.faults:
        if fault not in IN_FIVE_MINUTES:
            continue
        count = max(1, round(IN_FIVE_MINUTES[fault] * plan.seconds / 300.0 * plan.intensity))
        span = last - first
        if fault == "F21":
            span = max(span * _EARLY, span - _POISON_TAKES_S)
        share = span / count
        for number in range(count):
            at = first + (number + rng.random()) * share
            strikes.append(Strike(round(at, 3), fault, number, rng.getrandbits(32)))
    return sorted(strikes, key=lambda strike: strike.at)
