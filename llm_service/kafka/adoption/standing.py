"""A group that nobody is in: what is committed for it, and writing it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager

from confluent_kafka import Consumer, KafkaException
from confluent_kafka import TopicPartition as ConfluentPartition

from llm_service.errors import DependencyUnavailable
from llm_service.kafka.backlog import Member, group, has_begun, places, reading
from llm_service.kafka.cluster import Cluster, NotPermitted, answered
from llm_service.kafka.config import ConnectionConfig
from llm_service.kafka.confluent import answers_of, offsets_of
from llm_service.kafka.port import Committed, TopicPartition
from llm_service.kafka.tracker import Position

# The brokers' word for a commit from outside a group that has members.
_HAS_MEMBERS = frozenset(
    {"UNKNOWN_MEMBER_ID", "ILLEGAL_GENERATION", "REBALANCE_IN_PROGRESS", "STALE_MEMBER_EPOCH"}
)

# A commit's partitions are one batch of the brokers' offsets topic, which takes a megabyte unless told otherwise; with the
# longest maps these are 400 kB.
_AT_ONCE = 100


class GroupAtWork(DependencyUnavailable):
    """The group has members: its offsets are theirs."""


class GroupStanding:
    """The group from outside. Blocks, so off the event loop."""

    def __init__(
        self, connection: ConnectionConfig, group_id: str, timeout_s: float, reader: Consumer
    ) -> None:
        self._cluster = Cluster(connection, timeout_s)
        self._group_id = group_id
        self._timeout_s = timeout_s
        self._reader = reader

    def members(self) -> tuple[Member, ...]:
        """Who is in it. Raises DependencyUnavailable."""
        with _permitted(self._group_id):
            return group(self._cluster, self._group_id, self._timeout_s).members

    def committed(self, topic: str, partitions: int) -> Mapping[TopicPartition, int]:
        """Only partitions that have an offset. Raises DependencyUnavailable.

        It waits where a transaction over the offsets is undecided, and that it waited in vain is such an error.
        """
        with _permitted(self._group_id):
            found = places(self._cluster, self._reader, topic, partitions, self._timeout_s)
        return {
            TopicPartition(topic, place.partition): place.committed
            for place in found
            if place.committed is not None
        }

    def position(self, topic: str, partition: int) -> Committed:
        """What is committed in one partition, with its metadata. Raises DependencyUnavailable."""
        with _permitted(self._group_id), answered():
            asked = [ConfluentPartition(topic, partition)]
            found = answers_of(self._reader.committed(asked, timeout=self._timeout_s))
        return found[0] if found else Committed(topic, partition, None, "")

    def positions(self, places: Iterable[TopicPartition]) -> Mapping[TopicPartition, Committed]:
        """What is committed in these, with its metadata; only those that have an offset. Raises DependencyUnavailable."""
        found = {place: self.position(place.topic, place.partition) for place in places}
        return {place: known for place, known in found.items() if known.offset is not None}

    def write(self, positions: Sequence[Position]) -> None:
        """Commit them.

        The brokers take it only while nobody is in the group, so a worker that has begun is never set back.
        Raises GroupAtWork then, and DependencyUnavailable.
        """
        for start in range(0, len(positions), _AT_ONCE):
            self._write(positions[start : start + _AT_ONCE])

    def _write(self, positions: Sequence[Position]) -> None:
        try:
            answers = self._reader.commit(offsets=offsets_of(positions), asynchronous=False)
            refused = next((answer.error for answer in answers or () if answer.error is not None), None)
            if refused is not None:
                raise KafkaException(refused)
        except KafkaException as error:
            reason = error.args[0]
            if reason.name() in _HAS_MEMBERS:
                raise GroupAtWork(
                    f"the group {self._group_id} has members by now: its offsets are theirs"
                ) from error
            raise DependencyUnavailable(
                f"the offsets of the group {self._group_id} were not taken: {reason.name()}: {reason.str()}"
            ) from error


@contextmanager
def _permitted(group_id: str) -> Iterator[None]:
    try:
        yield
    except NotPermitted as error:
        raise NotPermitted(
            f"the group {group_id} may not be used ({error.message}): "
            "grant READ and DESCRIBE on it, or correct KAFKA_GROUP_ID"
        ) from error


@contextmanager
def standing(connection: ConnectionConfig, group_id: str, timeout_s: float) -> Iterator[GroupStanding]:
    """Ask about a group without joining it. Raises SettingsInvalid."""
    with reading(connection, group_id) as reader:
        yield GroupStanding(connection, group_id, timeout_s, reader)


def is_known(connection: ConnectionConfig, group_id: str, topic: str, timeout_s: float) -> bool:
    """Whether the group has worked on the topic already.

    Told at once, also while the transaction of a member that was killed is undecided: whoever starts then must not wait
    for its end. Blocks. Raises DependencyUnavailable.
    """
    with reading(connection, group_id, stable=False) as reader, _permitted(group_id):
        return has_begun(reader, topic, timeout_s)
