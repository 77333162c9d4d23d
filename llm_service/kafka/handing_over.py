"""Which of the messages that are here may be handed over to the tasks' side, and which wait.

A message waits until it is written that it may have been started, so that a process that it kills leaves word of it; for
room in its partition's offset map; and while one that is suspect of killing its process runs alone.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence

from llm_service.kafka.commits import Commits
from llm_service.kafka.port import KafkaMessage, TopicPartition
from llm_service.kafka.suspects import AHEAD, runs_alone
from llm_service.kafka.tracker import PartitionTracker

# A suspect waits so long for what was begun before it. What still runs then is slow, or stuck, and the count of those is
# raised along with it should the process end, so they would run alone in their turn.
_PATIENCE_S = 60.0


class HandingOver:
    """The messages that came and were not taken, per partition in their order. The consumer's thread alone."""

    def __init__(self, commits: Commits, poison_takeovers: int, monotonic: Callable[[], float]) -> None:
        """``poison_takeovers``: from so many unclean takeovers on a message is not run, and so needs not be alone."""
        self._commits = commits
        self._poison_takeovers = poison_takeovers
        self._monotonic = monotonic
        self._waiting: dict[TopicPartition, deque[KafkaMessage]] = {}
        self._before: dict[TopicPartition, dict[int, int]] = {}
        """Takeovers of those that are here and were counted before they went round, by offset."""
        self._alone: tuple[PartitionTracker, int] | None = None
        """The suspect that runs."""
        self._since: float | None = None
        """When a suspect began to wait for what runs beside it."""
        self.without_room: set[TopicPartition] = set()
        """The partitions whose offset maps have no room."""
        self.is_asking = False
        """Whether something waits for its turn, or for the brokers' word, both of which come in an instant."""

    def __len__(self) -> int:
        return sum(len(waiting) for waiting in self._waiting.values())

    def add(self, place: TopicPartition, message: KafkaMessage, before: int) -> None:
        """``before``: takeovers that it brings from where it was before it went round."""
        self._waiting.setdefault(place, deque()).append(message)
        if before:
            self._before.setdefault(place, {})[message.offset] = before

    def waiting(self, place: TopicPartition) -> int:
        """How many of this partition are here and not taken."""
        return len(self._waiting.get(place, ()))

    def drop(self, places: Sequence[TopicPartition]) -> None:
        for place in places:
            self._waiting.pop(place, None)
            self._before.pop(place, None)
            self.without_room.discard(place)

    def takeable(
        self, trackers: Mapping[TopicPartition, PartitionTracker], excused: int
    ) -> Iterator[KafkaMessage]:
        """Those that may be taken by now, each taken before the next is asked for.

        ``excused``: so many unfinished ones wait for a blocked provider, and run nothing meanwhile.
        """
        self.is_asking = False
        if not self._waiting:
            return
        is_busy = sum(tracker.unfinished for tracker in trackers.values()) > excused
        if self._is_alone(trackers) and is_busy:
            self.is_asking = True
            return
        place = next((place for place in self._waiting if self._is_suspect(place, trackers)), None)
        if place is None:
            self._since = None
            for waiting in list(self._waiting):
                yield from self._some(waiting, trackers[waiting])
        else:
            self.is_asking = True
            yield from self._one(place, trackers, is_busy=is_busy)

    # --- one at a time --------------------------------------------------------------------------

    def _is_alone(self, trackers: Mapping[TopicPartition, PartitionTracker]) -> bool:
        if self._alone is None:
            return False
        tracker, offset = self._alone
        held = trackers.get(TopicPartition(tracker.topic, tracker.partition))
        if held is tracker and tracker.is_unfinished(offset):
            return True
        self._alone = None
        return False

    def _is_suspect(self, place: TopicPartition, trackers: Mapping[TopicPartition, PartitionTracker]) -> bool:
        tracker, waiting = trackers[place], self._waiting[place]
        return bool(waiting) and self._runs_alone(tracker, waiting[0])

    def _runs_alone(self, tracker: PartitionTracker, message: KafkaMessage) -> bool:
        takeovers = tracker.suspects.takeovers(message.offset) + self._before.get(message.place, {}).get(
            message.offset, 0
        )
        return runs_alone(takeovers, self._poison_takeovers)

    def _one(
        self,
        place: TopicPartition,
        trackers: Mapping[TopicPartition, PartitionTracker],
        *,
        is_busy: bool,
    ) -> Iterator[KafkaMessage]:
        """The suspect, when nothing else runs and that is written for all partitions."""
        now = self._monotonic()
        if self._since is None:
            self._since = now
        chosen, offset = trackers[place], self._waiting[place][0].offset
        is_turn = not is_busy or now >= self._since + _PATIENCE_S
        chosen.arrived(offset)
        written = [
            self._is_narrow(at, tracker, offset + 1 if tracker is chosen and is_turn else None)
            for at, tracker in trackers.items()
        ]
        if self._commits.whole and not chosen.has_room(offset):
            self.without_room.add(place)
        elif is_turn and all(written) and chosen.may_start(offset):
            self._alone, self._since = (chosen, offset), None
            yield self._pop(place)

    def _is_narrow(self, place: TopicPartition, tracker: PartitionTracker, end: int | None) -> bool:
        """Whether it is written that nothing from ``end`` on was started."""
        if is_to_be_written := tracker.narrow(end):
            self._commits.urge(place)
        return not is_to_be_written

    # --- as many as there are -------------------------------------------------------------------

    def _some(self, place: TopicPartition, tracker: PartitionTracker) -> Iterator[KafkaMessage]:
        waiting = self._waiting[place]
        self.without_room.discard(place)
        while waiting and not self._runs_alone(tracker, waiting[0]):
            offset = waiting[0].offset
            tracker.arrived(offset)
            if self._commits.whole and not tracker.has_room(offset):
                self.without_room.add(place)
                return
            if not self._is_granted(place, tracker, offset):
                self.is_asking = True
                return
            yield self._pop(place)

    def _is_granted(self, place: TopicPartition, tracker: PartitionTracker, offset: int) -> bool:
        is_quiet = tracker.suspects.end <= offset
        if not tracker.may_start(offset) or (is_quiet and tracker.room_ahead < AHEAD // 2):
            furthest = self._furthest(place, tracker)
            if tracker.reach(max(furthest, offset + AHEAD) if is_quiet else furthest):
                self._commits.urge(place)
        return tracker.may_start(offset)

    def _furthest(self, place: TopicPartition, tracker: PartitionTracker) -> int:
        """The last of those that are here and may be started together: no further, for their counts are told by it."""
        furthest = self._waiting[place][0].offset
        for message in self._waiting[place]:
            if self._runs_alone(tracker, message):
                break
            furthest = message.offset
        return furthest

    def _pop(self, place: TopicPartition) -> KafkaMessage:
        waiting = self._waiting[place]
        message = waiting.popleft()
        if before := self._before.get(place):
            before.pop(message.offset, None)
        if not waiting:
            del self._waiting[place]
        return message
