"""A scripted consumer port: a log per partition, rebalances and answers as the test says."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence

from llm_service.contract.record import Headers
from llm_service.kafka.port import Committed, KafkaMessage, RebalanceListener, TopicPartition
from llm_service.kafka.tracker import Position
from llm_service.tasks.ports import Delivery

TOPIC = "tasks_llm"
PENDING: Headers = (("status", b"1"),)


class FakePort:
    """The broker's side of one consumer."""

    def __init__(self) -> None:
        self.listener: RebalanceListener | None = None
        self.queue: deque[KafkaMessage] = deque()
        self._fed: list[KafkaMessage] = []
        self.actions: deque[tuple[str, list[TopicPartition]]] = deque()
        self.stored: dict[TopicPartition, Committed] = {}
        self.silent = False
        self.commit_error: str | None = None
        self.commits: list[Position] = []
        self.paused: set[TopicPartition] = set()
        self.starts: dict[TopicPartition, int] = {}
        """From where the listener wanted each to be read."""
        self.seeks: list[tuple[TopicPartition, int]] = []
        self.polls: list[float] = []
        self.closed = False

    # --- the test's side ---

    def feed(self, partition: int, *offsets: int, headers: Headers = PENDING) -> None:
        for offset in offsets:
            message = KafkaMessage(TOPIC, partition, offset, b"key", b"{}", headers)
            self.queue.append(message)
            self._fed.append(message)

    def assign(self, *partitions: int) -> None:
        self.actions.append(("assign", [TopicPartition(TOPIC, partition) for partition in partitions]))

    def revoke(self, *partitions: int) -> None:
        self.actions.append(("revoke", [TopicPartition(TOPIC, partition) for partition in partitions]))

    def lose(self, *partitions: int) -> None:
        self.actions.append(("lose", [TopicPartition(TOPIC, partition) for partition in partitions]))

    def committed_offset(self, partition: int) -> int | None:
        stored = self.stored.get(TopicPartition(TOPIC, partition))
        return stored.offset if stored else None

    # --- ConsumerPort ---

    def subscribe(self, topics: Sequence[str], listener: RebalanceListener) -> None:
        assert list(topics) == [TOPIC]
        self.listener = listener

    def poll(self, timeout: float) -> KafkaMessage | None:
        self.polls.append(timeout)
        assert self.listener is not None
        if self.actions:
            action, partitions = self.actions.popleft()
            match action:
                case "assign":
                    self.starts |= self.listener.on_assign(partitions)
                case "revoke":
                    self.listener.on_revoke(partitions)
                case _:
                    self.listener.on_lost(partitions)
            return None
        return self.queue.popleft() if self.queue else None

    def consume(self, limit: int) -> Sequence[KafkaMessage]:
        return [self.queue.popleft() for _ in range(min(limit, len(self.queue)))]

    def committed(self, partitions: Sequence[TopicPartition], timeout: float) -> Sequence[Committed]:
        del timeout
        if self.silent:
            return []
        return [
            self.stored.get(place, Committed(place.topic, place.partition, None, "")) for place in partitions
        ]

    def commit_async(self, positions: Sequence[Position]) -> None:
        assert self.listener is not None
        self.listener.on_commit(positions, self.commit(positions))

    def commit(self, positions: Sequence[Position]) -> str | None:
        if self.commit_error is not None:
            return self.commit_error
        for position in positions:
            place = TopicPartition(position.topic, position.partition)
            before = self.stored.get(place)
            assert before is None or before.offset is None or before.offset <= position.offset
            self.stored[place] = Committed(
                position.topic, position.partition, position.offset, position.metadata
            )
            self.commits.append(position)
        return None

    def pause(self, partitions: Sequence[TopicPartition]) -> None:
        self.paused |= set(partitions)

    def resume(self, partitions: Sequence[TopicPartition]) -> None:
        self.paused -= set(partitions)

    def seek(self, place: TopicPartition, offset: int) -> None:
        self.seeks.append((place, offset))
        again = [message for message in self._fed if message.place == place and message.offset >= offset]
        self.queue = deque([*(message for message in self.queue if message.place != place), *again])

    def close(self) -> None:
        self.closed = True


class Downstream:
    """The tasks' side: keeps what it is given, and does at a revoke what the test says."""

    def __init__(self) -> None:
        self.deliveries: list[Delivery] = []
        self.crowding: list[tuple[str, int, int]] = []
        self.revoked: list[dict[TopicPartition, int]] = []
        self.at_revoke: list[Delivery] = []
        self.finish: Callable[[Delivery], None] = lambda _: None

    def deliver(self, deliveries: Sequence[Delivery]) -> None:
        self.deliveries += deliveries

    def crowded(self, message: tuple[str, int, int]) -> None:
        self.crowding.append(message)

    def revoke(self, epochs: dict[TopicPartition, int], timeout: float) -> None:
        del timeout
        self.revoked.append(epochs)
        for delivery in self.at_revoke:
            self.finish(delivery)

    def offsets(self) -> list[int]:
        return [delivery.offset for delivery in self.deliveries]
