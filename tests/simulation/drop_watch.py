"""What must become of notifications: one task for each drop, however often it is told, and another for the next one."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterator, Sequence

from tests.simulation.scenario import Expected
from tests.simulation.world import World


class DropWatch:
    """All notifications lie in one partition, so that one worker at a time has them."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._offsets: list[int] = []
        self._told: list[str] = []
        """The drop that each of them tells of."""
        self.tasks: Counter[str] = Counter()
        """Messages on the tasks topic, by the drop that they are made of."""
        self.expected: dict[str, Expected] = {}
        """The task that each drop is to become."""
        self._left: set[str] = set()
        self._keys: dict[str, str] = {}
        self._committed = 0
        self.moves = 0
        """How often the notifications have changed hands."""

    def note_sent(self, offset: int, expected: Expected) -> None:
        """A notification that tells of a drop."""
        drop = expected.drop_id or ""
        if drop not in self.expected:
            self._left.add(drop)
        if drop in self.expected:
            self._world.hits["a drop told again"] += 1
        elif expected.asked in self._keys:
            self._world.hits["the same file dropped again"] += 1
        self._keys[expected.asked] = drop
        self._offsets.append(offset)
        self._told.append(drop)
        self.expected[drop] = Expected(drop, "of a drop", b"", drop.encode(), asked=expected.asked)

    def note_task(self, drop: str) -> None:
        self._world.hits["a drop became a task"] += 1
        self.tasks[drop] += 1
        self._left.discard(drop)

    def unmade(self, start: int, end: int) -> Sequence[int]:
        """The notifications from ``start`` up to ``end`` of whose drops there is no task."""
        first, last = bisect_left(self._offsets, start), bisect_left(self._offsets, end)
        return [self._offsets[n] for n in range(first, last) if not self.tasks[self._told[n]]]

    def note_committed(self, offset: int) -> None:
        self._committed = offset

    @property
    def is_done(self) -> bool:
        """Each has its task, and nobody will read it again and make another."""
        return not self._left and (not self._offsets or self._committed > self._offsets[-1])

    def broken(self, *, exactly: bool) -> Iterator[str]:
        for drop, expected in self.expected.items():
            if not self.tasks[drop]:
                yield f"I1: the drop {drop} of {expected.asked} has become no task"
            # Who takes the notifications over does not know what was made of them by the one before.
            if exactly and self.tasks[drop] > 1 + self.moves:
                yield f"I2: the drop {drop} of {expected.asked} has become {self.tasks[drop]} tasks"
