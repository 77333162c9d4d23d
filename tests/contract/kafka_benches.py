"""A script's view of a Kafka: members, transactional producers, readers; the same for the real and the simulated one."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from llm_service.kafka.port import Committed, ConsumerPort, TopicPartition
from llm_service.kafka.tracker import Position
from llm_service.kafka.transaction import TransactionPort

LARGEST = 20_000
"""Bytes of a message that the status topic takes."""
PARTITIONS = 2
_POLL_S = 0.05
PATIENCE_S = 30.0
# Twice what the product waits for an answer in its assign callback.
COMMITTED_S = 2.0


@dataclass(slots=True)
class Seen:
    """What a member was told and given so far."""

    told: list[tuple[str, frozenset[int]]] = field(default_factory=list)
    """assign, revoke or lost, with the partitions, in their order; those of none are left out."""
    held: set[int] = field(default_factory=set)
    messages: list[tuple[int, int, bytes | None]] = field(default_factory=list)
    """Partition, offset, value."""


class Seat:
    """A consumer port with its listener, as its process has it."""

    def __init__(self, port: ConsumerPort, topic: str) -> None:
        self._port: Any = port
        self._seen = Seen()
        self._topic = topic
        self._starts: dict[TopicPartition, int] = {}

    def subscribe(self, starts: Mapping[int, int]) -> None:
        """``starts``: from where it wants to read partitions when it is given them."""
        self._starts = {TopicPartition(self._topic, number): start for number, start in starts.items()}
        self._port.subscribe([self._topic], self)

    def seek(self, partition: int, offset: int) -> None:
        self._port.seek(TopicPartition(self._topic, partition), offset)

    def poll(self) -> Seen:
        message = self._port.poll(_POLL_S)
        if message is not None:
            self._seen.messages.append((message.partition, message.offset, message.value))
        return self._seen

    def commit(self, positions: Sequence[Position]) -> str | None:
        refusal: str | None = self._port.commit(positions)
        return refusal

    def committed(self, places: Sequence[TopicPartition]) -> Sequence[Committed]:
        answers: Sequence[Committed] = self._port.committed(places, COMMITTED_S)
        return answers

    def metadata(self) -> bytes | None:
        found: bytes | None = self._port.group_metadata()
        return found

    def close(self) -> Seen:
        self._port.close()
        return self._seen

    # --- the listener ---------------------------------------------------------------------------

    def on_assign(self, partitions: Sequence[TopicPartition]) -> Mapping[TopicPartition, int]:
        self._seen.held |= self._note("assign", partitions)
        return {place: self._starts[place] for place in partitions if place in self._starts}

    def on_revoke(self, partitions: Sequence[TopicPartition]) -> None:
        self._seen.held -= self._note("revoke", partitions)

    def on_lost(self, partitions: Sequence[TopicPartition]) -> None:
        self._seen.held -= self._note("lost", partitions)

    def on_commit(self, positions: Sequence[Position], error: str | None) -> None: ...

    def _note(self, what: str, partitions: Sequence[TopicPartition]) -> frozenset[int]:
        numbers = frozenset(place.partition for place in partitions)
        if numbers:
            self._seen.told.append((what, numbers))
        return numbers


class Member:
    """A member wherever it lives; ``do`` calls its seat."""

    def __init__(self, do: Callable[..., Any]) -> None:
        self._do = do
        self.seen = Seen()

    def subscribe(self, starts: Mapping[int, int] | None = None) -> None:
        self._do("subscribe", starts or {})

    def seek(self, partition: int, offset: int) -> None:
        self._do("seek", partition, offset)

    def poll(self) -> None:
        self.seen = self._do("poll")

    def commit(self, positions: Sequence[Position]) -> str | None:
        refusal: str | None = self._do("commit", positions)
        return refusal

    def committed(self, places: Sequence[TopicPartition]) -> Sequence[Committed]:
        answers: Sequence[Committed] = self._do("committed", places)
        return answers

    def metadata(self) -> bytes:
        found: bytes | None = self._do("metadata")
        assert found is not None, "it is no member"
        return found

    def close(self) -> None:
        self.seen = self._do("close")


class Transactions(TransactionPort, Protocol):
    """A transactional producer that can be stopped before the end of a transaction."""

    hold: bool

    def finish(self) -> None:
        """Commit what is held."""
        ...

    def drop(self) -> None:
        """Abort what is held."""
        ...


class Bench(Protocol):
    """One cluster with its topics ``tasks`` (two partitions) and ``status`` (one)."""

    name: str
    tasks: str
    status: str
    session_s: float

    def now(self) -> float: ...

    def member(self, *, apart: bool = False) -> Member:
        """Not subscribed. ``apart``: in a process of its own, which can be stopped."""
        ...

    def stop(self, member: Member, seconds: float) -> None:
        """Its process does nothing for so long."""
        ...

    def idle(self, seconds: float) -> None:
        """Nobody calls anything; what works in the background does."""
        ...

    def transactions(self, name: str) -> Transactions: ...

    def stranger(self) -> bytes:
        """The group metadata of a consumer that has not joined."""
        ...

    def send(self, partition: int, *values: bytes) -> None:
        """Plain messages of the tasks topic."""
        ...

    def publish(self, topic: str, value: bytes) -> None: ...

    def read(self, topic: str, isolation: str) -> list[tuple[int, bytes | None]]:
        """Offset and value of all that such a reader sees of the first partition."""
        ...


def until(bench: Bench, true: Callable[[], bool], *members: Member) -> None:
    """Let all of them poll in turn."""
    deadline = bench.now() + PATIENCE_S
    while not true():
        assert bench.now() < deadline, [member.seen for member in members]
        for member in members:
            member.poll()
