"""What goes wrong in a run: every seed draws some kinds of fault and how often each strikes, and counts the hits."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from tests.simulation.world import Process, World

KAFKA_CALLS = (
    "produce",
    "transaction's messages",
    "transaction's offsets",
    "transaction's end",
    "transaction's abort",
    "producer's begin",
    "committed offsets",
    "commit",
    "commit in passing",
    "join",
    "heartbeat",
    "leave",
)
CALLS = (*KAFKA_CALLS, "provider", "store", "ledger")
WAYS = ("fails", "slow", "done and reported as failed")
BOUNDARIES = tuple(
    f"{side} {name}"
    for name in ("poll", *(call for call in CALLS if call not in ("join", "heartbeat", "commit in passing")))
    for side in ("before", "after")
)
EVENTS = (
    "kill",
    "pause longer than the session",
    "short pause",
    "graceful stop",
    "new worker",
    "all killed together",
    "leader moves",
    "coordinator moves",
    "clock jumps",
    "event loop blocked",
    "topic denied",
    "provider away",
    "provider asks for rest",
    "ledger away",
    "offset reset of map",
)
# Counted where they happen, without anybody doing them.
CONSEQUENCES = (
    "session expired",
    "transaction ended by its timeout",
    "membership refused",
    "producer fenced",
    "offsets undecided",
    "the client forgets its offset",
    "partitions lost",
    "breaker opened",
    "stopped while tasks wait",
    "a task kills its process",
    "a task goes round",
    "answered after going round",
    "the ledger stands aside",
    "a row by the fold alone",
    "a drop became a task",
    "a drop told again",
    "the same file dropped again",
)
_RARE = {"commit": 15.0, "leave": 15.0, "transaction's abort": 5.0, "producer's begin": 5.0, "store": 5.0}
"""Calls that a run makes a few times at most, and how much oftener they fail: each kind is to be met in 1,000 seeds."""
_NEVER = {"join: done and reported as failed", "offset reset of map"}


def all_kinds() -> list[str]:
    """Each must have been hit by the end of a long run."""
    calls = [f"{call}: {way}" for call in CALLS for way in WAYS]
    crashes = [f"killed {boundary}" for boundary in BOUNDARIES]
    return [kind for kind in (*calls, *crashes, *EVENTS, *CONSEQUENCES) if kind not in _NEVER]


class CallFailed(Exception):
    """A simulated call failed, as far as its caller can see."""


@dataclass(slots=True)
class Faults:
    """Draws; ``calm`` ends all of it."""

    world: World
    calm: bool = False
    _chance: dict[str, float] = field(default_factory=dict)
    _crashes: dict[str, int] = field(default_factory=dict)
    """Boundaries at which the process that comes by is killed, and how often they are passed before."""
    on_crash: Callable[[Process], None] = lambda _: None

    def draw(self) -> None:
        """Some seeds are nearly healthy, others are nothing but trouble."""
        rng = self.world.rng
        share = rng.choice((0.0, 0.1, 0.3, 0.6))
        strength = rng.choice((0.005, 0.02, 0.08))
        for call in CALLS:
            for way in WAYS:
                if rng.random() < share:
                    often = 2 * _RARE.get(call, 1.0)
                    self._chance[f"{call}: {way}"] = min(strength * rng.random() * often, 0.5)
        for _ in range(rng.choice((0, 0, 1, 2, 3, 4))):
            boundary = rng.choice(BOUNDARIES)
            is_rare = boundary.partition(" ")[2] in _RARE
            self._crashes[boundary] = int(rng.random() ** 2 * (3 if is_rare else 60))

    def of(self, call: str) -> str:
        """How this call goes wrong; empty where it does not."""
        if self.calm or not self._chance:
            return ""
        for way in WAYS:
            kind = f"{call}: {way}"
            chance = self._chance.get(kind)
            if chance is not None and self.world.rng.random() < chance:
                self.hit(kind)
                return way
        return ""

    def passes(self, process: Process, boundary: str) -> bool:
        """Whether the process lives on past this boundary."""
        left = self._crashes.get(boundary)
        if left is None or self.calm:
            return True
        if left > 0:
            self._crashes[boundary] = left - 1
            return True
        del self._crashes[boundary]
        self.hit(f"killed {boundary}")
        process.kill(boundary)
        self.on_crash(process)
        return False

    def hit(self, kind: str) -> None:
        self.world.hits[kind] += 1
        self.world.note("fault", kind)


def missing(hits: dict[str, int]) -> Iterator[str]:
    """The kinds that were never hit."""
    return (kind for kind in all_kinds() if not hits.get(kind))
