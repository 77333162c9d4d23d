"""Apache Kafka 4.2.0: one KRaft node that is its own controller."""

from __future__ import annotations

import time
import uuid
from collections.abc import Mapping
from pathlib import Path

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from tests.services.runtime import Runtime, Unavailable
from tests.services.service import Service

VERSION = "4.2.0"
_CALL_LIMIT_S = 15

# What every broker of ours is told, whoever runs it. One node has no second replica to wait for; KIP-848's
# and the classic protocol's bounds are lowered so that a takeover is seen in seconds, not in the default 45.
PROPERTIES: Mapping[str, str] = {
    "process.roles": "broker,controller",
    "node.id": "1",
    "controller.listener.names": "CONTROLLER",
    "inter.broker.listener.name": "PLAINTEXT",
    "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
    "offsets.topic.replication.factor": "1",
    "transaction.state.log.replication.factor": "1",
    "transaction.state.log.min.isr": "1",
    "share.coordinator.state.topic.replication.factor": "1",
    "share.coordinator.state.topic.min.isr": "1",
    # A killed broker is registered until its session ends, and its successor waits for that: 9 s by default.
    "broker.session.timeout.ms": "3000",
    "broker.heartbeat.interval.ms": "500",
    "group.initial.rebalance.delay.ms": "0",
    "auto.create.topics.enable": "false",
    "group.min.session.timeout.ms": "1000",
    "group.consumer.session.timeout.ms": "6000",
    "group.consumer.min.session.timeout.ms": "6000",
    "group.consumer.heartbeat.interval.ms": "1000",
    "group.consumer.min.heartbeat.interval.ms": "1000",
}


class Kafka(Service):
    """A real broker."""

    def __init__(self, bootstrap: str, runtime: Runtime, how: str) -> None:
        super().__init__(how, runtime)
        self.bootstrap = bootstrap

    def create_topic(self, name: str, partitions: int = 12, config: Mapping[str, str] | None = None) -> str:
        """Create it and return its name when every partition has a leader. Raises KafkaException."""
        # A client per call: one with futures in use while the broker was killed has aborted a process once.
        admin = self._admin()
        topic = NewTopic(name, partitions, 1, config=dict(config or {}))
        admin.create_topics([topic])[name].result(_CALL_LIMIT_S)
        deadline = time.monotonic() + _CALL_LIMIT_S
        while time.monotonic() < deadline:
            known = admin.list_topics(name, timeout=_CALL_LIMIT_S).topics[name]
            if len(known.partitions) == partitions and all(p.leader >= 0 for p in known.partitions.values()):
                return name
            time.sleep(0.02)
        raise Unavailable(f"topic {name} has no leaders after {_CALL_LIMIT_S} s")

    def topic(
        self, prefix: str = "topic", partitions: int = 12, config: Mapping[str, str] | None = None
    ) -> str:
        """A new topic of a name that no other test has."""
        return self.create_topic(self.unique(prefix), partitions, config)

    def delete_topic(self, name: str) -> None:
        """Raises KafkaException, but not when it is not there."""
        admin = self._admin()
        try:
            admin.delete_topics([name])[name].result(_CALL_LIMIT_S)
        except KafkaException as error:
            if error.args[0].code() != KafkaError.UNKNOWN_TOPIC_OR_PART:
                raise

    @staticmethod
    def unique(prefix: str) -> str:
        """A name for a topic, a group or a transactional id that no other test has."""
        return f"{prefix}-{uuid.uuid4().hex[:12]}"

    def _admin(self) -> AdminClient:
        # log_level 0: a broker that is not up yet is what is being waited for, not news.
        return AdminClient({"bootstrap.servers": self.bootstrap, "log_level": 0})

    def _serves(self) -> bool:
        try:
            return bool(self._admin().list_topics(timeout=2).brokers)
        except KafkaException:
            return False


def write_properties(path: Path, port: int, controller_port: int, data: Path) -> None:
    """server.properties for a broker on 127.0.0.1."""
    own = {
        "listeners": f"PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller_port}",
        "advertised.listeners": f"PLAINTEXT://127.0.0.1:{port}",
        "controller.quorum.voters": f"1@127.0.0.1:{controller_port}",
        "log.dirs": str(data),
    }
    path.write_text("".join(f"{key}={value}\n" for key, value in {**PROPERTIES, **own}.items()))
