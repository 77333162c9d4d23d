"""One seed's cluster, tasks and bad days."""

from __future__ import annotations

import json
import random
import uuid
from dataclasses import dataclass, field

from llm_service.contract.record import Headers, Record
from tests.simulation.cluster import PROTOCOLS

TASKS, STATUS, LETTERS = "tasks", "status", "letters"
MODES = ("exactly_once", "at_least_once")
START_S = 30.0
"""Tasks arrive and faults strike within so many seconds."""


@dataclass(frozen=True, slots=True)
class Expected:
    """One task as it is sent, and what must become of it."""

    task_id: str
    kind: str
    body: bytes
    key: bytes | None
    headers: Headers = ()
    statuses: tuple[str, ...] = ("3",)
    """Of its terminal event, one of these; none for a message that gets no event."""
    letter: bool = False

    @property
    def record(self) -> Record:
        return Record(self.key, self.body, self.headers)


@dataclass(slots=True)
class Scenario:
    """Everything that is fixed before the run begins."""

    mode: str
    protocol: str
    workers: int
    pool: int
    partitions: int
    slowest_s: float
    same_ids: bool
    """A restarted worker has the transactional id of the one before."""
    sent: list[tuple[float, Expected]] = field(default_factory=list)
    gaps: float = 0.0
    """How often compaction has removed offsets before a record."""


def draw(rng: random.Random, tasks: int, mode: str | None, protocol: str | None) -> Scenario:
    """The scenario of a seed; ``mode`` and ``protocol`` where the caller wants one."""
    drawn_mode = "exactly_once" if rng.random() < 0.65 else "at_least_once"
    drawn_protocol = rng.choice(PROTOCOLS)
    scenario = Scenario(
        mode=mode or drawn_mode,
        protocol=protocol or drawn_protocol,
        workers=rng.choice((1, 2, 2, 3, 4)),
        pool=rng.choice((1, 3, 8, 8, 20)),
        partitions=rng.choice((1, 2, 4, 6)),
        slowest_s=rng.choice((0.05, 0.3, 0.6)),
        same_ids=rng.random() < 0.3,
        gaps=rng.choice((0.0, 0.0, 0.1)),
    )
    spread = rng.choice((0.1, 5.0, 15.0))
    shares = rng.choice(((100, 0, 0, 0, 0, 0, 0), (80, 6, 3, 3, 3, 2, 3), (40, 30, 5, 5, 5, 5, 10)))
    while len(scenario.sent) < tasks:
        kind = rng.choices(
            ("plain", "repeated", "refused", "broken", "large", "conflict", "skipped"), shares
        )[0]
        at = rng.random() * spread
        for later, expected in _make(rng, kind):
            scenario.sent.append((at + later, expected))
    scenario.sent.sort(key=lambda sent: sent[0])
    return scenario


def _make(rng: random.Random, kind: str) -> list[tuple[float, Expected]]:
    task_id = str(uuid.UUID(int=rng.getrandbits(128), version=4))
    wanted = {"refused": "refuse", "large": "large"}.get(kind, "answer")
    body = json.dumps({"messages": [{"role": "user", "content": f"{task_id} {wanted}"}]}).encode()
    key = task_id.encode()
    plain = Expected(task_id, kind, body, key)
    again = rng.random() * rng.choice((0.01, 1.0, 10.0))
    match kind:
        case "repeated":
            return [(0.0, plain), *((again * turn, plain) for turn in range(1, rng.choice((2, 2, 3))))]
        case "conflict":
            other = body.replace(b"}]}", b'}], "task_type": "other"}')
            return [(0.0, plain), (again, Expected(task_id, kind, other, key))]
        case "refused":
            return [(0.0, Expected(task_id, kind, body, key, statuses=("4",), letter=True))]
        case "broken":
            return [(0.0, Expected(task_id, kind, b"{", key, statuses=("4",), letter=True))]
        case "skipped":
            return [(0.0, Expected(task_id, kind, body, key, (("status", b"3"),), statuses=()))]
        case _:
            return [(0.0, plain)]
