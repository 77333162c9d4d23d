"""Messages of the retry topic that are here and not due yet: the head of each partition, and what came with it.

Nobody sleeps: the loop goes on polling, and takes them when their time has come. With one constant delay the order of
a partition is the order in which its messages are due, so nothing behind the head is due before it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence, Set
from dataclasses import dataclass, field
from datetime import datetime

from llm_service.contract.retry import decode
from llm_service.kafka.port import KafkaMessage, TopicPartition

# The first message after a resume comes a second late: so few are kept that a resume is rare, and so little that all
# partitions together take some tens of megabytes. What is prefetched by librdkafka waits beside.
_KEPT_MESSAGES = 100
_KEPT_BYTES = 1_000_000


@dataclass(slots=True)
class _Kept:
    messages: deque[tuple[float, KafkaMessage]] = field(default_factory=deque)
    """Each with the moment of the monotonic clock when it is due."""
    size: int = 0

    @property
    def is_full(self) -> bool:
        return len(self.messages) >= _KEPT_MESSAGES or self.size >= _KEPT_BYTES


class UntilDue:
    """Keeps what is not due. The consumer's thread alone, but for ``held``."""

    def __init__(
        self, topic: str | None, delay_s: float, monotonic: Callable[[], float], now: Callable[[], datetime]
    ) -> None:
        """``delay_s``: nothing is held for longer, whatever another machine's clock has said."""
        self._topic = topic
        self._delay_s = delay_s
        self._monotonic = monotonic
        self._now = now
        self._kept: dict[TopicPartition, _Kept] = {}

    @property
    def held(self) -> int:
        """Messages that are here and not due."""
        return sum(len(kept.messages) for kept in list(self._kept.values()))

    @property
    def full(self) -> Set[TopicPartition]:
        """Partitions of which nothing more is to be read for now."""
        return {place for place, kept in self._kept.items() if kept.is_full}

    def keep(self, message: KafkaMessage) -> bool:
        """Keep it if its time has not come; False where it is to be taken now."""
        if message.topic != self._topic:
            return False
        left = self._left(message)
        kept = self._kept.get(message.place)
        if kept is None:
            if left <= 0:
                return False
            kept = self._kept[message.place] = _Kept()
        kept.messages.append((self._monotonic() + left, message))
        kept.size += len(message.value or b"")
        return True

    def due(self, most: int) -> Iterator[KafkaMessage]:
        """Those whose time has come, of each partition in its order; ``most`` at once."""
        now = self._monotonic()
        for place in list(self._kept):
            kept = self._kept[place]
            while most > 0 and kept.messages and kept.messages[0][0] <= now:
                _, message = kept.messages.popleft()
                kept.size -= len(message.value or b"")
                most -= 1
                yield message
            if not kept.messages:
                del self._kept[place]

    def next_in(self) -> float | None:
        """Seconds until the first is due; None where none is held."""
        moments = [kept.messages[0][0] for kept in self._kept.values() if kept.messages]
        return max(0.0, min(moments) - self._monotonic()) if moments else None

    def drop(self, places: Sequence[TopicPartition]) -> None:
        for place in places:
            self._kept.pop(place, None)

    def _left(self, message: KafkaMessage) -> float:
        """Seconds until it is due: of two machines' clocks one may be wrong, and then the delay is the bound."""
        found = decode(message.headers)
        if found is None:
            return 0.0
        return min((found[0].due - self._now()).total_seconds(), self._delay_s)
