"""One Kafka transaction as the settling thread sees it, and the ways in which it can end.

The settling loop is written against this port, so that a simulated one can drive the very same code.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from llm_service.contract.record import Record
from llm_service.errors import DeliveryError, MessageTooLarge, TopicNotWritable
from llm_service.kafka.port import Committed, TopicPartition
from llm_service.kafka.tracker import Position


@dataclass(frozen=True, slots=True)
class Outgoing:
    """One message of a transaction."""

    topic: str
    record: Record
    partition: int | None = None
    """None: by its key."""


class Aborted(DeliveryError):
    """The transaction was aborted: nothing of it counts, and it may be tried again."""


class MembershipRefused(Aborted):
    """The broker refused the group membership that the offsets were sent under: it is a former one."""


class MessagesRefused(Aborted):
    """Some messages of the transaction are not taken by their topics; the transaction was aborted."""

    def __init__(self, named: Mapping[int, MessageTooLarge | TopicNotWritable]) -> None:
        super().__init__(next(iter(named.values())).message)
        self.named = named
        """By the number of the message in the transaction."""


class Undecided(DeliveryError):
    """Whether the transaction was committed is not known, and the producer can't be used any more: open it anew."""


class TransactionPort(Protocol):
    """A transactional producer, and what is committed for its group; one thread calls it."""

    def open(self) -> None:
        """Begin anew, for some seconds at most: an older producer of the same id is fenced, its transaction ended.

        Raises DependencyUnavailable; what is wrong with the cluster is in the message, with the remedy.
        """
        ...

    def run(self, messages: Sequence[Outgoing], positions: Sequence[Position], metadata: bytes) -> None:
        """Return when messages and positions are committed together.

        Raises Aborted, MembershipRefused, MessagesRefused, Undecided.
        """
        ...

    def committed(self, places: Sequence[TopicPartition]) -> Sequence[Committed]:
        """What is decided for the group; a partition without an answer is left out: ask again."""
        ...

    def give_up(self) -> None:
        """Any thread: a call that would be repeated for as long as Kafka is away ends with Undecided."""
        ...

    def close(self) -> None: ...
