"""librdkafka's in-process broker: a real TCP server in memory, for a first run without Kafka.

It holds 5 MiB or 100,000 messages a partition, forgets all when it ends, and proves nothing about durability.
https://github.com/confluentinc/librdkafka/blob/master/src/rdkafka_mock.h
"""

from __future__ import annotations

from collections.abc import Sequence

from confluent_kafka import KafkaException, Producer

from llm_service.errors import DependencyUnavailable

_START_S = 10.0


class EmbeddedBroker:
    """One broker that lives as long as this object. Blocking calls, each within some seconds."""

    def __init__(self) -> None:
        self._host = Producer({"bootstrap.servers": "embedded", "test.mock.num.brokers": 1, "log_level": 0})
        self.bootstrap = self._address()

    def create_topics(self, topics: Sequence[str]) -> None:
        """Make topics of the broker's own partition count: it has no admin requests, but makes what is asked for."""
        for topic in topics:
            self._host.list_topics(topic, _START_S)

    def _address(self) -> str:
        try:
            brokers = self._host.list_topics(timeout=_START_S).brokers.values()
        except KafkaException as error:
            raise DependencyUnavailable(
                f"the embedded broker did not start: {error.args[0].str()}"
            ) from error
        broker = next(iter(brokers))
        return f"{broker.host}:{broker.port}"
