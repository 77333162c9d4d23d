"""What the HTTP answers are made of; the container implements it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Workers:
    """Worker slots: how many there are, and how many are taken."""

    max: int
    active: int


@dataclass(frozen=True, slots=True)
class Queues:
    """Tasks that are here and unfinished, and finished ones remembered to answer repeats."""

    processing: int
    deduplication: int


class ServiceState(Protocol):
    """The service as it is now. Asked on the event loop; each answer must be quick and hold no secret."""

    def uptime_s(self) -> float:
        """Seconds since the start."""
        ...

    def workers(self) -> Workers: ...

    def queues(self) -> Queues: ...

    def shutting_down(self) -> bool:
        """Whether the service has begun to stop."""
        ...

    def unready_reasons(self) -> Sequence[str]:
        """Why no new work should be expected of this worker, one sentence each; empty when it is ready."""
        ...

    def consumer_silence_s(self) -> float | None:
        """Seconds since the consumer's thread last stepped; None while it is not meant to run."""
        ...

    def notes(self) -> Mapping[str, str]:
        """What is away and not needed for any task, by name, and why; for ``/health``."""
        ...

    def details(self) -> Mapping[str, object]:
        """More fields for ``/status``, JSON values only; none replaces one of the contract."""
        ...
