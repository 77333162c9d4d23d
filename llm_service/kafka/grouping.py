"""Group commit: which of the outcomes that wait go into the next transaction.

Pure bookkeeping. ``add`` and ``Waiting.abandoned`` are for any thread, everything else for the settling thread.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from llm_service.errors import DeliveryError
from llm_service.kafka.transaction import Outgoing
from llm_service.tasks.ports import Delivery

# A broker's default for the largest message: so much is taken at once in any case.
LARGEST_GROUP_BYTES = 1_000_000
# Seconds until the outcomes for a topic that can't be written are offered again: doubled from first to last.
_FIRST_DELAY_S = 0.5
_LAST_DELAY_S = 10.0


@dataclass(slots=True, eq=False)
class Waiting:
    """An outcome that waits to be settled."""

    delivery: Delivery
    messages: Sequence[Outgoing]
    answer: Callable[[DeliveryError | None], None]
    """To be called on the event loop."""
    alone: bool = False
    """Whether a topic refused it in company: a broker refuses a batch for the size of all that is in it."""
    abandoned: bool = False
    """Whether nobody waits for it any more."""

    @property
    def size(self) -> int:
        return sum(outgoing.record.size for outgoing in self.messages)

    @property
    def topics(self) -> set[str]:
        return {outgoing.topic for outgoing in self.messages}


@dataclass(slots=True)
class _Parked:
    """The outcomes for a topic that can't be written."""

    until: float
    delay: float
    waiting: deque[Waiting] = field(default_factory=deque)


class Grouping:
    """The outcomes that wait, in the order of their arrival."""

    def __init__(self, largest: int = LARGEST_GROUP_BYTES) -> None:
        self._largest = largest
        self._limit = largest
        self._arrived: deque[Waiting] = deque()
        self._again: deque[Waiting] = deque()
        self._alone: deque[Waiting] = deque()
        self._parked: dict[str, _Parked] = {}

    def __len__(self) -> int:
        parked = sum(len(parked.waiting) for parked in self._parked.values())
        return len(self._arrived) + len(self._again) + len(self._alone) + parked

    def add(self, waiting: Waiting) -> None:
        self._arrived.append(waiting)

    def take(self, now: float) -> list[Waiting]:
        """Up to the limit of bytes, or one outcome; those that go alone when nothing else waits."""
        probe = self._probe(now)
        if probe is not None:
            return [probe]
        taken: list[Waiting] = []
        size = 0
        while (queue := self._again or self._arrived) and (not taken or size + queue[0].size <= self._limit):
            waiting = queue.popleft()
            parked = next((self._parked[topic] for topic in waiting.topics if topic in self._parked), None)
            if parked is not None:
                parked.waiting.append(waiting)
            elif not waiting.abandoned:
                taken.append(waiting)
                size += waiting.size
        while not taken and self._alone:
            waiting = self._alone.popleft()
            if not waiting.abandoned:
                taken.append(waiting)
        return taken

    def put_back(self, waiting: Sequence[Waiting]) -> None:
        """Before all others, in their order."""
        for one in reversed(waiting):
            if one.alone:
                self._alone.appendleft(one)
            else:
                self._again.appendleft(one)

    def park(self, topic: str, waiting: Sequence[Waiting], now: float) -> None:
        """Keep these, and all that come for this topic, until it can be written again."""
        parked = self._parked.get(topic)
        if parked is None:
            parked = self._parked[topic] = _Parked(now + _FIRST_DELAY_S, _FIRST_DELAY_S)
        else:
            parked.delay = min(parked.delay * 2, _LAST_DELAY_S)
            parked.until = now + parked.delay
        parked.waiting.extendleft(reversed(waiting))

    def not_tried(self, waiting: Sequence[Waiting]) -> None:
        """None of these was offered to its topic: where one was to show that it can be written, the next one is."""
        for one in waiting:
            for topic in one.topics & self._parked.keys():
                self._parked[topic].until = 0.0

    def settled(self, waiting: Iterable[Waiting]) -> None:
        """A transaction with these was committed: their topics can be written, and its size is no trouble."""
        for one in waiting:
            for topic in one.topics & self._parked.keys():
                self._again.extend(self._parked.pop(topic).waiting)
        self._limit = min(self._limit * 2, self._largest)

    def halve(self) -> None:
        """A transaction took too long."""
        self._limit = max(self._limit // 2, 1)

    def _probe(self, now: float) -> Waiting | None:
        """One of a topic's outcomes, in a transaction of its own: the others follow when it was taken."""
        for topic, parked in list(self._parked.items()):
            if now < parked.until:
                continue
            parked.until = now + parked.delay
            while parked.waiting:
                waiting = parked.waiting.popleft()
                if not waiting.abandoned:
                    return waiting
            del self._parked[topic]
        return None
