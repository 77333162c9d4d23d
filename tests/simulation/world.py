"""Virtual time: all that happens is an event in one queue, in an order that the seed decides."""

from __future__ import annotations

import hashlib
import heapq
import random
from collections import Counter, deque
from collections.abc import Callable

# Events of a run that are shown when it fails: the last minutes of a worker's life.
_SHOWN = 400
# Of one seed; a run has some tens of thousands.
_MOST_EVENTS = 3_000_000


class Stuck(AssertionError):
    """The run did not come to its end."""


class Event:
    """Something that is due; ``cancel`` forgets it."""

    __slots__ = ("action", "process")

    def __init__(self, process: Process | None, action: Callable[[], None]) -> None:
        self.process = process
        self.action: Callable[[], None] | None = action

    def cancel(self) -> None:
        self.action = None


class World:
    """Time, chance, and what was seen of both."""

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self.rng = random.Random(seed)
        self.now = 0.0
        self.is_over = False
        self.hits: Counter[str] = Counter()
        self.shown: deque[str] = deque(maxlen=_SHOWN)
        self._digest = hashlib.sha256()
        self._queue: list[tuple[float, float, int, Event]] = []
        self._count = 0
        self._ended = 0

    def after(self, seconds: float, action: Callable[[], None], process: Process | None = None) -> Event:
        """Do it in so many seconds; events of one moment come in an order of chance."""
        event = Event(process, action)
        self._count += 1
        heapq.heappush(self._queue, (self.now + max(seconds, 0.0), self.rng.random(), self._count, event))
        return event

    def run(self, is_over: Callable[[], bool], until: float) -> bool:
        """Whether it was over by then. Raises what an event raises."""
        while not is_over():
            if not self._queue or self._queue[0][0] > until:
                self.now = until
                return False
            self.now, _, _, event = heapq.heappop(self._queue)
            action, process = event.action, event.process
            if action is None or (process is not None and not process.lets(event)):
                continue
            self._ended += 1
            if self._ended > _MOST_EVENTS:
                raise Stuck("something spins: too many events")
            action()
        return True

    def note(self, who: str, what: str) -> None:
        """For the trace: the same seed must give the same lines."""
        if self.is_over:
            return  # what is swept away may still speak
        line = f"{self.now:11.4f} {who:<6} {what}"
        self.shown.append(line)
        self._digest.update(line.encode())

    @property
    def trace(self) -> str:
        """The hash of all lines."""
        return self._digest.hexdigest()

    def between(self, low: float, high: float) -> float:
        return low + (high - low) * self.rng.random()


class Process:
    """One operating system process: it may be killed, or stopped for a while."""

    def __init__(self, world: World, name: str) -> None:
        self.world = world
        self.name = name
        self.dead = False
        self._is_paused = False
        self.was_paused = False
        """Whether it ever was: then its own limits of time say nothing."""
        self._deferred: list[Event] = []
        self.on_death: list[Callable[[], None]] = []

    def after(self, seconds: float, action: Callable[[], None]) -> Event:
        """Do it inside this process: not when it is dead, and not before it runs again."""
        return self.world.after(seconds, action, self)

    def lets(self, event: Event) -> bool:
        """Whether the event may happen now."""
        if self.dead:
            return False
        if self._is_paused:
            self._deferred.append(event)
            return False
        return True

    def kill(self, why: str) -> None:
        """Nothing of it happens any more."""
        if not self.dead:
            self.dead = True
            self.note(f"killed: {why}")
            for told in self.on_death:
                told()

    def pause(self, seconds: float) -> None:
        self._is_paused = self.was_paused = True
        self.note(f"stopped for {seconds:.1f} s")
        self.world.after(seconds, self._go_on)

    @property
    def is_running(self) -> bool:
        return not self.dead and not self._is_paused

    def note(self, what: str) -> None:
        self.world.note(self.name, what)

    def _go_on(self) -> None:
        if self.dead:
            return
        self._is_paused = False
        self.note("goes on")
        deferred, self._deferred = self._deferred, []
        for event in deferred:
            if event.action is not None:
                self.world.after(0.0, event.action, self)
                event.action = None
