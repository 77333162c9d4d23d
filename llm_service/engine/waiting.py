"""Who goes next: by priority, then the sooner deadline, then arrival; what does not fit lets others pass, for a time."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from llm_service.engine.order import Order

# So long one that does not fit is passed by those that do; then what runs is let end until it fits, since a stream of
# small ones would hold it back for ever. Half of the shortest deadline that is usual (a minute).
PATIENCE_S = 30.0


@dataclass(slots=True)
class Waiter:
    """An order in the queue."""

    order: Order
    since: float

    @property
    def rank(self) -> tuple[float, float, float]:
        """Smaller goes first."""
        deadline = self.order.deadline
        return (-self.order.priority, math.inf if deadline is None else deadline, self.since)


class Queue:
    """Orders that wait for a place in the batch."""

    def __init__(self) -> None:
        self._waiters: list[Waiter] = []

    def __len__(self) -> int:
        return len(self._waiters)

    def add(self, waiter: Waiter) -> None:
        self._waiters.append(waiter)
        self._waiters.sort(key=lambda each: each.rank)

    def remove(self, name: str) -> Waiter | None:
        """Take out the order of that name, if it waits."""
        found = next((waiter for waiter in self._waiters if waiter.order.name == name), None)
        if found is not None:
            self._waiters.remove(found)
        return found

    def late(self, now: float) -> list[Waiter]:
        """Take out those whose deadline has passed."""
        gone = [
            each for each in self._waiters if each.order.deadline is not None and each.order.deadline <= now
        ]
        self._waiters = [each for each in self._waiters if each not in gone]
        return gone

    def admitted(self, fits: Callable[[Waiter], bool], now: float) -> Iterator[Waiter]:
        """Take out, in their order, those that fit; whoever has been passed for too long ends the search."""
        for waiter in tuple(self._waiters):
            if fits(waiter):
                self._waiters.remove(waiter)
                yield waiter
            elif now - waiter.since > PATIENCE_S:
                return
