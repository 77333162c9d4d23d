"""The simulated Kafka: topics, one group with its offsets, transactions."""

from __future__ import annotations

from collections.abc import Callable

from llm_service.contract.record import Record
from llm_service.kafka.port import TopicPartition
from tests.simulation.group_classic import ClassicGroup
from tests.simulation.group_consumer import ConsumerGroup
from tests.simulation.log import Entry, PartitionLog, Topic
from tests.simulation.offsets import Offsets
from tests.simulation.transactions import Transactions
from tests.simulation.world import World

PROTOCOLS = ("cooperative", "eager", "consumer")


class Cluster:
    """Brokers that agree with each other."""

    def __init__(self, world: World, topics: list[Topic], consumed: list[str], protocol: str) -> None:
        self.world = world
        self.topics = {topic.name: topic for topic in topics}
        self.offsets = Offsets()
        self.transactions = Transactions(world, self.offsets)
        self.coordinator_away_until = 0.0
        self.complaints: list[str] = []
        """What a broker refuses and no worker may ask for."""
        self.on_append: Callable[[TopicPartition, Entry], None] = lambda *_: None
        """Hears of each message that is written outside of transactions."""
        places = [
            TopicPartition(name, number)
            for name in consumed
            for number in range(len(self.topics[name].partitions))
        ]
        self.group: ClassicGroup | ConsumerGroup = (
            ConsumerGroup(world, places)
            if protocol == "consumer"
            else ClassicGroup(world, places, cooperative=protocol == "cooperative")
        )
        self.group.sessions.is_away = lambda: self.coordinator_away_until - world.now

    def append(self, topic: str, record: Record) -> TopicPartition:
        found = self.topics[topic]
        number = found.partition_of(record.key)
        place = TopicPartition(topic, number)
        self.on_append(place, found.partitions[number].append(record, self.world.now))
        return place

    def log(self, place: TopicPartition) -> PartitionLog:
        return self.topics[place.topic].partitions[place.partition]
