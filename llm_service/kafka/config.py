"""librdkafka properties, each with the reason for its value."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

from confluent_kafka import KafkaError, KafkaException

from llm_service.errors import SettingsInvalid


@contextmanager
def accepted() -> Iterator[None]:
    """Around making a client: what librdkafka finds wrong with its properties is SettingsInvalid."""
    try:
        yield
    except KafkaException as error:
        raise SettingsInvalid(f"Kafka's client refuses the settings: {error.args[0].str()}") from error


@dataclass(frozen=True, slots=True)
class ConnectionConfig:
    """How the cluster is reached: addresses, TLS, SASL; the same for every client."""

    bootstrap_servers: str
    security_protocol: str = "plaintext"
    sasl_mechanism: str | None = None
    sasl_username: str | None = None
    sasl_password: str | None = field(default=None, repr=False)
    ssl_ca_location: str | None = None
    ssl_certificate_location: str | None = None
    ssl_key_location: str | None = None
    extra: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    """Further properties of the deployment's own; they go before ours. A value may be a password."""
    producer_extra: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    """The same for producers alone."""

    def properties(self) -> dict[str, str | int | float]:
        optional = {
            "sasl.mechanisms": self.sasl_mechanism,
            "sasl.username": self.sasl_username,
            "sasl.password": self.sasl_password,
            "ssl.ca.location": self.ssl_ca_location,
            "ssl.certificate.location": self.ssl_certificate_location,
            "ssl.key.location": self.ssl_key_location,
        }
        return {
            "bootstrap.servers": self.bootstrap_servers,
            "security.protocol": self.security_protocol,
            # A broker that is back is found within 2 s; librdkafka's default of 10 s is most of a readiness limit.
            "reconnect.backoff.max.ms": 2000,
            # librdkafka's own lines go past the log, twenty a second while a broker is away; what they say comes as
            # errors too, and is told from there.
            "log_level": 0,
            **{name: value for name, value in optional.items() if value},
            **dict(self.extra),
        }


@dataclass(frozen=True, slots=True)
class GroupConfig:
    """How this worker is a member of its group; milliseconds."""

    group_id: str
    auto_offset_reset: str
    group_protocol: str
    assignment_strategy: str
    group_instance_id: str | None
    session_timeout_ms: int
    heartbeat_interval_ms: int
    max_poll_interval_ms: int
    extra: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    """Further properties of the consumer; they go before ours, and the settings let none in that may not."""


def consumer_properties(
    connection: ConnectionConfig,
    group: GroupConfig,
    on_error: Callable[[KafkaError], None],
    on_statistics: Callable[[str], None],
) -> dict[str, object]:
    """The worker's consumer."""
    classic: Mapping[str, object] = {
        "partition.assignment.strategy": group.assignment_strategy,
        "session.timeout.ms": group.session_timeout_ms,
        "heartbeat.interval.ms": group.heartbeat_interval_ms,
    }
    return {
        **connection.properties(),
        "group.id": group.group_id,
        "group.protocol": group.group_protocol,
        # KIP-848: session and heartbeat are the broker's, and librdkafka refuses them here.
        **(classic if group.group_protocol == "classic" else {}),
        **({"group.instance.id": group.group_instance_id} if group.group_instance_id else {}),
        "max.poll.interval.ms": group.max_poll_interval_ms,
        "auto.offset.reset": group.auto_offset_reset,
        # Offsets are ours alone: what is committed is the lowest unfinished one.
        "enable.auto.commit": False,
        "enable.auto.offset.store": False,
        "isolation.level": "read_committed",
        # A lone message is fetched at once rather than after half a second.
        "fetch.wait.max.ms": 100,
        # A request that a silent broker never answers is given up; librdkafka's minute would hold the thread in a commit.
        "socket.timeout.ms": 10_000,
        # Prefetch a little more than a batch: the default of 100,000 messages is 64 MB of a small worker's memory.
        "queued.min.messages": 1000,
        "queued.max.messages.kbytes": 16384,
        # The lag, for the metrics: as often as they are scraped or more.
        "statistics.interval.ms": 5000,
        **dict(group.extra),
        "error_cb": on_error,
        "stats_cb": on_statistics,
    }


def producer_properties(
    connection: ConnectionConfig,
    publish_timeout_ms: int,
    message_max_bytes: int,
    batch_max_bytes: int,
    on_error: Callable[[KafkaError], None],
) -> dict[str, object]:
    """The plain producer of status events; ``batch_max_bytes`` is what every topic it writes to takes."""
    return {
        **connection.properties(),
        "enable.idempotence": True,
        # Java's default for keyed messages; librdkafka's own puts most keys elsewhere.
        "partitioner": "murmur2_random",
        # Long enough to join the events of one wake-up in a request, short against any task.
        "linger.ms": 2,
        "message.timeout.ms": publish_timeout_ms,
        "message.max.bytes": message_max_bytes,
        # A topic's max.message.bytes counts whole batches: it refuses a larger one with all messages in it.
        "batch.size": batch_max_bytes,
        **dict(connection.producer_extra),
        "error_cb": on_error,
    }
