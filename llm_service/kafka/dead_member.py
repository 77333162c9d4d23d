"""Ending the transaction that a dead member left open over partitions that are ours now.

``committed()`` waits while a transaction over the offsets is undecided, and that wait is what makes a takeover right. A dead
member's transaction holds it until the broker ends it, 10 s and its sweep. Its id stands in the metadata of what it
committed last, which a ``read_uncommitted`` reader is told at once; a producer of that id, opened and thrown away, ends it.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from concurrent.futures import Future

from confluent_kafka import Consumer, KafkaException, Producer
from confluent_kafka import TopicPartition as ConfluentPartition

from llm_service.kafka.aside import begun
from llm_service.kafka.confluent import answers_of
from llm_service.kafka.offset_map import OffsetMapInvalid, read
from llm_service.kafka.port import TopicPartition

# Between two tries. A living member's transaction was decided long before we are told of a partition; who is fenced
# without need opens its producer anew.
_PAUSE_S = 3.0
_ANSWER_S = 2.0
_END_S = 5.0
# Of one look and of what it ends: some dead members' transactions, each in the time above. Beyond that the calls do not
# come back (decision 0016), and the next look is made beside them.
_LOOK_LIMIT_S = 20.0
# Each holds a client with its threads. By then the broker has ended the transaction itself.
_MOST_LEFT_BEHIND = 2


class DeadMembers:
    """Told by the consumer's thread of partitions that don't start; asks and ends on a thread of its own."""

    def __init__(
        self,
        producer: Mapping[str, object],
        reader: Mapping[str, object],
        own_id: str,
        trouble: Callable[[str], None],
        monotonic: Callable[[], float],
    ) -> None:
        """``producer``: a transactional producer's properties. ``reader``: those of a consumer that never joins."""
        self._producer_config = dict(producer)
        self._reader_config = {**reader, "isolation.level": "read_uncommitted"}
        self._own_id = own_id
        self._trouble = trouble
        self._monotonic = monotonic
        self._look: Future[None] | None = None
        self._since = 0.0
        self._left_behind: list[Future[None]] = []
        self._next: dict[TopicPartition, float] = {}

    def overdue(self, places: Collection[TopicPartition]) -> None:
        """The brokers have not said for a second what is committed for these."""
        now = self._monotonic()
        self._next = {place: self._next.get(place, now) for place in places}
        late = [place for place, due in self._next.items() if now >= due]
        if not late or self._is_looking(now):
            return
        self._next.update(dict.fromkeys(late, now + _PAUSE_S))
        self._look, self._since = begun(lambda: self._end(late), "kafka-dead-member"), now

    def _is_looking(self, now: float) -> bool:
        """Whether the last look is still under way, and may yet come to something."""
        look = self._look
        if look is None or look.done():
            return False
        if now < self._since + _LOOK_LIMIT_S:
            return True
        self._left_behind = [left for left in self._left_behind if not left.done()]
        if len(self._left_behind) >= _MOST_LEFT_BEHIND:
            return True
        self._left_behind.append(look)
        self._trouble(
            f"looking for dead members' transactions did not come back from librdkafka within {_LOOK_LIMIT_S:g} s; "
            "it is left behind, and the next look is made beside it"
        )
        return False

    def _end(self, places: Collection[TopicPartition]) -> None:
        try:
            for owner in self._owners(places) - {self._own_id}:
                Producer({**self._producer_config, "transactional.id": owner}).init_transactions(_END_S)
                self._trouble(f"ended the transaction that {owner} may have left open")
        except KafkaException as error:
            self._trouble(f"ending a dead member's transaction: {error.args[0].str()}")

    def _owners(self, places: Collection[TopicPartition]) -> set[str]:
        reader = Consumer(self._reader_config)
        try:
            asked = [ConfluentPartition(place.topic, place.partition) for place in places]
            answers = answers_of(reader.committed(asked, _ANSWER_S))
        finally:
            reader.close()
        owners = set()
        for answer in answers:
            try:
                owners.add(read(answer.metadata, answer.offset or 0).owner)
            except OffsetMapInvalid:
                continue
        return {owner for owner in owners if owner is not None}
