"""The dedup window: which ids are in flight, and what the last finished ones were answered."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from dataclasses import dataclass
from typing import TypeAlias

from llm_service.contract.record import Record

Place: TypeAlias = tuple[str, int, int]


@dataclass(frozen=True, slots=True)
class Finished:
    """How a task ended."""

    place: Place
    digest: str
    succeeded: bool
    status: Record | None
    dead_letter: Record | None


@dataclass(frozen=True, slots=True)
class InFlight:
    """A task that is being worked on, and where its end is announced: None when it was released."""

    place: Place
    digest: str
    ended: asyncio.Future[Finished | None]


@dataclass(frozen=True, slots=True)
class Claimed:
    """The id is this delivery's to work on."""

    flight: InFlight


@dataclass(frozen=True, slots=True)
class Repeat:
    """The same id is in flight: wait for its end."""

    flight: InFlight


@dataclass(frozen=True, slots=True)
class Answered:
    """The same id, or this very message, has its outcome: it is settled again as it was."""

    finished: Finished


@dataclass(frozen=True, slots=True)
class Conflict:
    """Another body came under an id that succeeded."""

    finished: Finished


Admission: TypeAlias = Claimed | Repeat | Answered | Conflict


class DedupWindow:
    """Ids in flight, without limit (their number is bounded by the consumer), and the last finished ones."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._in_flight: dict[str, InFlight] = {}
        self._finished: OrderedDict[str, Finished] = OrderedDict()

    @property
    def in_flight(self) -> int:
        return len(self._in_flight)

    def __len__(self) -> int:
        return len(self._in_flight) + len(self._finished)

    def admit(self, task_id: str, place: Place, digest: str) -> Admission:
        """Decide what becomes of a delivery of ``task_id``; a claim must end in ``finish`` or ``release``."""
        flight = self._in_flight.get(task_id)
        if flight is not None:
            return Repeat(flight)
        finished = self._finished.get(task_id)
        if finished is not None:
            if finished.place == place or (finished.succeeded and finished.digest == digest):
                return Answered(finished)
            if finished.succeeded:
                return Conflict(finished)
            # After FAILED the same id is a new run: that is how replay and sending again work.
        flight = InFlight(place, digest, asyncio.get_running_loop().create_future())
        self._in_flight[task_id] = flight
        return Claimed(flight)

    def finish(self, task_id: str, finished: Finished) -> None:
        """The task of this id is terminal: those who wait get its outcome."""
        self._end(task_id, finished)
        self._finished[task_id] = finished
        self._finished.move_to_end(task_id)
        while len(self._finished) > max(self._size, len(self._in_flight)):
            self._finished.popitem(last=False)

    def release(self, task_id: str) -> None:
        """The task of this id was given back undecided: the first who waits takes its place."""
        self._end(task_id, None)

    def _end(self, task_id: str, finished: Finished | None) -> None:
        flight = self._in_flight.pop(task_id)
        if not flight.ended.done():
            flight.ended.set_result(finished)
