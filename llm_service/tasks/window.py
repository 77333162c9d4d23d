"""The dedup window: which ids are in flight, and what the last finished ones were answered."""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import Callable
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
    """A task that is being worked on, and where its end is announced: None when it was released or goes round."""

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


@dataclass(frozen=True, slots=True)
class OnRetry:
    """A task that waits on the retry topic."""

    run: Place
    digest: str
    round: int
    until: float
    """When it is due, in seconds of the monotonic clock: from then on another worker may have it."""


@dataclass(frozen=True, slots=True)
class Elsewhere:
    """The same id waits on the retry topic."""

    waiting: OnRetry


Admission: TypeAlias = Claimed | Repeat | Answered | Conflict | Elsewhere

# Nobody moves more tasks within one delay than this; beyond it a repeat is worked on, as one that comes later.
_MOST_ON_RETRY = 100_000


class DedupWindow:
    """Ids in flight, without limit (their number is bounded by the consumer), and the last finished ones.

    And those that wait on the retry topic, for as long as it is certain that they do.
    """

    def __init__(self, size: int, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._size = size
        self._monotonic = monotonic
        self._on_retry: OrderedDict[str, OnRetry] = OrderedDict()
        self._in_flight: dict[str, InFlight] = {}
        self._finished: OrderedDict[str, Finished] = OrderedDict()

    @property
    def in_flight(self) -> int:
        return len(self._in_flight)

    @property
    def on_retry(self) -> int:
        """Ids that are known to wait on the retry topic."""
        return len(self._on_retry)

    def __len__(self) -> int:
        return len(self._in_flight) + len(self._finished)

    def admit(self, task_id: str, place: Place, digest: str, rounds: int = 0) -> Admission:
        """Decide what becomes of a delivery of ``task_id``; a claim must end in ``finish``, ``park`` or ``release``.

        ``place`` is where its run began, ``rounds`` how often it has gone round since.
        """
        flight = self._in_flight.get(task_id)
        if flight is not None:
            return Repeat(flight)
        waiting = self._waiting(task_id)
        if waiting is not None and not (waiting.run == place and rounds >= waiting.round):
            return Elsewhere(waiting)
        self._on_retry.pop(task_id, None)
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

    def park(self, task_id: str, waiting: OnRetry) -> None:
        """The task of this id has gone to the retry topic: its repeats are answered by it."""
        self._on_retry[task_id] = waiting  # the youngest: its claim took out what was known of it
        now = self._monotonic()
        while self._on_retry:
            oldest = next(iter(self._on_retry))
            if len(self._on_retry) <= _MOST_ON_RETRY and self._on_retry[oldest].until > now:
                break
            del self._on_retry[oldest]
        self._end(task_id, None)

    def forget(self, task_id: str) -> None:
        """What waits on the retry topic no longer answers for this id."""
        self._on_retry.pop(task_id, None)

    def release(self, task_id: str) -> None:
        """The task of this id was given back undecided: the first who waits takes its place."""
        self._end(task_id, None)

    def _waiting(self, task_id: str) -> OnRetry | None:
        waiting = self._on_retry.get(task_id)
        return waiting if waiting is not None and waiting.until > self._monotonic() else None

    def _end(self, task_id: str, finished: Finished | None) -> None:
        flight = self._in_flight.pop(task_id)
        if not flight.ended.done():
            flight.ended.set_result(finished)
