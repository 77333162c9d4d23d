"""One seed's cluster, tasks and bad days."""

from __future__ import annotations

import json
import random
import uuid
from collections.abc import Collection
from dataclasses import dataclass, field, replace
from urllib.parse import quote_plus

from llm_service.contract.notification import Drop
from llm_service.contract.record import Headers, Record
from llm_service.drops.task import drop_id
from tests.simulation.cluster import PROTOCOLS

TASKS, STATUS, LETTERS, RETRY, DROPS = "tasks", "status", "letters", "retry", "drops"
GROUP = "group"
FEATURES = {"rounds": 0.15, "poison": 0.04, "drops": 0.12, "ledger": 0.12}
"""What not every deployment has, or is spared, and in which share of the seeds it is there."""
ROUND_ATTEMPTS = 3
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
    topic: str = TASKS
    asked: str = ""
    """What the provider is asked for it, where that is not the id."""
    drop_id: str | None = None
    """Of a notification that is to become a task."""

    @property
    def asks(self) -> str:
        """By what the provider knows it."""
        return self.asked or self.task_id

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
    features: frozenset[str] = frozenset()
    round_s: float = 0.0
    """The delay of the retry topic."""
    gaps: float = 0.0
    """How often compaction has removed offsets before a record."""

    @property
    def consumed(self) -> tuple[str, ...]:
        """The topics that are read."""
        return (TASKS, *([RETRY] if self.round_s else []), *([DROPS] if "drops" in self.features else []))


def draw(
    rng: random.Random, tasks: int, mode: str | None, protocol: str | None, features: Collection[str] = ()
) -> Scenario:
    """The scenario of a seed; ``mode``, ``protocol`` and further ``features`` where the caller wants them."""
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
    drawn = {name for name, share in FEATURES.items() if rng.random() < share}
    scenario.features = frozenset(drawn | set(features))
    scenario.round_s = rng.choice((1.0, 3.0)) if "rounds" in scenario.features else 0.0
    spread = rng.choice((0.1, 5.0, 15.0))
    special = _special(rng, scenario.features)
    shares = rng.choice(((100, 0, 0, 0, 0, 0, 0), (80, 6, 3, 3, 3, 2, 3), (40, 30, 5, 5, 5, 5, 10)))
    while len(scenario.sent) < tasks:
        kind = special.pop() if special else rng.choices(_KINDS, shares)[0]
        at = rng.random() * spread
        for later, expected in _dropped(rng) if kind == "dropped" else _make(rng, kind):
            scenario.sent.append((at + later, expected))
    scenario.sent.sort(key=lambda sent: sent[0])
    return scenario


_KINDS = ("plain", "repeated", "refused", "broken", "large", "conflict", "skipped")


def _special(rng: random.Random, features: Collection[str]) -> list[str]:
    kinds = ["poison"] * ("poison" in features)
    kinds += ["flaky"] * rng.randrange(1, 6) * ("rounds" in features)
    kinds += ["dropped"] * rng.randrange(1, 8) * ("drops" in features)
    return kinds


def _make(rng: random.Random, kind: str) -> list[tuple[float, Expected]]:
    task_id = str(uuid.UUID(int=rng.getrandbits(128), version=4))
    wanted = {"refused": "refuse", "large": "large", "poison": "kill"}.get(kind, "answer")
    if kind == "flaky":
        wanted = f"flaky-{rng.randrange(3, 8)}"
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
        case "flaky":
            return [(again * turn, plain) for turn in range(rng.choice((1, 1, 2)))]
        case "poison" | "refused":
            return [(0.0, replace(plain, statuses=("4",), letter=True))]
        case "broken":
            return [(0.0, replace(plain, body=b"{", statuses=("4",), letter=True))]
        case "skipped":
            plain = replace(plain, headers=(("status", b"3"),), statuses=())
    return [(0.0, plain)]


BUCKET = "files"


def _dropped(rng: random.Random) -> list[tuple[float, Expected]]:
    """A file that is dropped once or again later, each time told once or twice; or what is no drop at all."""
    name = f"dropped/{rng.getrandbits(64):016x} +%.txt"
    if rng.random() < 0.15:
        other = Expected(name, "no drop", b"{", name.encode(), statuses=(), letter=True, topic=DROPS)
        return [(0.0, other)]
    told: list[tuple[float, Expected]] = []
    for turn in range(rng.choice((1, 1, 2))):
        sequencer = f"{turn:02d}{rng.getrandbits(40):010x}"
        drop = Drop(BUCKET, name, sequencer)
        expected = Expected(
            name,
            "dropped",
            _notification(drop),
            f"{BUCKET}/{name}".encode(),
            statuses=(),
            topic=DROPS,
            asked=name,
            drop_id=drop_id(drop, ""),
        )
        at = turn * rng.random() * 5.0
        told += [(at + rng.random() * 4.0 * again, expected) for again in range(rng.choice((1, 2, 3)))]
    return told


def _notification(drop: Drop) -> bytes:
    """As MinIO sends it."""
    thing = {"key": quote_plus(drop.key), "size": 9, "sequencer": drop.sequencer}
    record = {"eventName": "s3:ObjectCreated:Put", "s3": {"bucket": {"name": drop.bucket}, "object": thing}}
    body = {"EventName": record["eventName"], "Key": f"{drop.bucket}/{drop.key}", "Records": [record]}
    return json.dumps(body).encode()
