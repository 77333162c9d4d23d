"""What a run is asked to be."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from types import MappingProxyType
from typing import Any, Literal

Mode = Literal["exactly_once", "at_least_once"]
Protocol = Literal["classic", "consumer"]

# What four workers of this pool do with ease on two cores while a quarter of them is away at any time.
RATE = 34.0

FAULTS: Mapping[str, str] = MappingProxyType(
    {
        "F1": "worker SIGKILL at random",
        "F3": "all workers killed together",
        "F4": "SIGSTOP longer than the session, then SIGCONT",
        "F5": "SIGTERM, SIGTERM twice, SIGINT",
        "F6": "a member joins or leaves every 2-5 s",
        "F7": "tasks longer than max.poll.interval.ms",
        "F8": "broker stopped and continued, every other time for longer than the session",
        "F9": "broker SIGKILL and restart on its own log",
        "F10": "300 ms ± 200 and 3 Mbit/s to a dependency",
        "F11": "cut off from a dependency, one way and both ways",
        "F12": "all connections to a dependency reset, once a second",
        "F13": "done, but the reply is lost",
        "F14": "dead-letter topic takes no message (NOT_ENOUGH_REPLICAS)",
        "F15": "PostgreSQL killed, stopped and continued, its sessions terminated",
        "F17": "object store killed, stopped and continued, answering 503, slow",
        "F18": "provider 429, 500, 502, 503",
        "F20": "token expired, revoked, token server down",
        "F21": "messages that crash the parser; one that kills its worker each time",
        "F26": "status topic takes no message (NOT_ENOUGH_REPLICAS)",
        "F28": "64 file descriptors; no more memory",
    }
)

NO_MEMORY = "no more memory"
"""What is noted of F28 where a process gets no byte more than it has."""


@dataclass(frozen=True, slots=True)
class Plan:
    """Everything that is decided before the run; the seed decides the rest."""

    seed: int
    tasks: int
    seconds: float
    """From the first message to the last."""
    faults: tuple[str, ...] = tuple(FAULTS)
    mode: Mode = "exactly_once"
    protocol: Protocol = "classic"
    workers: int = 4
    partitions: int = 12
    retry_partitions: int = 12
    pool: int = 40
    slowest_s: float = 1.0
    """Of one answer of the provider."""
    session_s: float = 6.0
    shared: bool = False
    """Tasks and statuses on one topic."""
    intensity: float = 1.0
    """How many more faults than usual."""
    patience: float = 1.0
    """How many times slower than wanted the machine may be: for the limits of time alone."""
    ends_within_s: float = 90.0
    """After the last message and the last fault: beyond this nothing comes, and the checker names what is missing."""
    dedup_window: int = 20_000
    """Finished tasks that a worker remembers."""
    look_every_s: float = 2.0
    """How often the kernel and the workers' pages are asked."""
    patch: str = ""
    """A patch of the worker, by its name; see ``tests.chaos.patched``."""

    def plain(self) -> dict[str, Any]:
        return asdict(self)

    @staticmethod
    def of(values: Mapping[str, Any]) -> Plan:
        return Plan(**{**values, "faults": tuple(values["faults"])})
