"""A scripted transaction port: what the brokers hold, and how the next transactions end."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence

from llm_service.contract.record import Record
from llm_service.errors import DeliveryError
from llm_service.kafka.grouping import Waiting
from llm_service.kafka.port import Committed, TopicPartition
from llm_service.kafka.tracker import Position
from llm_service.kafka.transaction import Outgoing
from llm_service.tasks.ports import Delivery

TOPIC = "tasks_llm"


class FakeTransactions:
    """The broker's side of one transactional producer."""

    def __init__(self) -> None:
        self.ends: deque[Exception] = deque()
        self.commits_then_fails = False
        """The next failure comes after the commit: its reply is lost."""
        self.silent = False
        self.asked: list[list[TopicPartition]] = []
        """Of which partitions it was asked what is committed."""
        self.opened = 0
        self.before: Callable[[], None] = lambda: None
        self.log: list[tuple[list[Outgoing], dict[int, tuple[int, str]], bytes]] = []
        """Committed transactions: messages, offset and map by partition, the membership they came under."""
        self.tried: list[int] = []
        """Messages in each transaction, committed or not."""
        self.open_fails: deque[Exception] = deque()

    def open(self) -> None:
        if self.open_fails:
            raise self.open_fails.popleft()
        self.opened += 1

    def run(self, messages: Sequence[Outgoing], positions: Sequence[Position], metadata: bytes) -> None:
        self.before()
        self.tried.append(len(messages))
        entry = list(messages), {p.partition: (p.offset, p.metadata) for p in positions}, metadata
        if self.ends:
            if self.commits_then_fails:
                self.log.append(entry)
            raise self.ends.popleft()
        self.log.append(entry)

    def committed(self, places: Sequence[TopicPartition]) -> Sequence[Committed]:
        self.asked.append(list(places))
        if self.silent:
            return []
        found = {partition: at for _, positions, _ in self.log for partition, at in positions.items()}
        return [Committed(p.topic, p.partition, *found.get(p.partition, (None, ""))) for p in places]

    def give_up(self) -> None:
        """Nothing is ever repeated here."""

    def close(self) -> None:
        """Nothing is open."""

    def values(self) -> list[bytes | None]:
        """What a read_committed reader sees."""
        return [outgoing.record.value for messages, _, _ in self.log for outgoing in messages]


class Answer:
    """Who waits in ``settle``."""

    def __init__(self) -> None:
        self.given: list[DeliveryError | None] = []

    def __call__(self, error: DeliveryError | None) -> None:
        self.given.append(error)


def delivery(offset: int, partition: int = 0, epoch: int = 1) -> Delivery:
    return Delivery(TOPIC, partition, offset, epoch, b"key", b"{}", (), 0.0)


def waiting(
    offset: int, partition: int = 0, epoch: int = 1, *, topic: str = "status", size: int = 10
) -> Waiting:
    record = Record(b"key", f"{partition}/{offset}".encode().ljust(size, b" "), ())
    return Waiting(delivery(offset, partition, epoch), [Outgoing(topic, record)], Answer())


def answers(one: Waiting) -> list[DeliveryError | None]:
    assert isinstance(one.answer, Answer)
    return one.answer.given
