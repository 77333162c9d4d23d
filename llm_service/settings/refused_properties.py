"""librdkafka properties that a deployment may not set by itself, each with the reason.

Their names: https://github.com/confluentinc/librdkafka/blob/master/CONFIGURATION.md
"""

from __future__ import annotations

from collections.abc import Mapping

from llm_service.settings.properties import Properties

_OFFSETS = "what is committed is the lowest unfinished task, which the service alone knows"
_ACKNOWLEDGED = "a status counts as sent when all in-sync replicas have it, once"
_CALLBACK = "it is a function of the client, and the service has its own"

_EVERYWHERE: Mapping[str, str] = {
    "bootstrap.servers": "set KAFKA_BOOTSTRAP_SERVERS",
    "metadata.broker.list": "set KAFKA_BOOTSTRAP_SERVERS",
    "security.protocol": "set KAFKA_SECURITY_PROTOCOL",
    "sasl.mechanism": "set KAFKA_SASL_MECHANISM",
    "sasl.mechanisms": "set KAFKA_SASL_MECHANISM",
    "sasl.username": "set KAFKA_SASL_USERNAME",
    "sasl.password": "set KAFKA_SASL_PASSWORD",
    "ssl.ca.location": "set KAFKA_SSL_CA_LOCATION",
    "ssl.certificate.location": "set KAFKA_SSL_CERTIFICATE_LOCATION",
    "ssl.key.location": "set KAFKA_SSL_KEY_LOCATION",
    "test.mock.num.brokers": "it replaces the brokers by one in memory, which forgets everything",
    "default.topic.config": "write its properties directly",
    "error_cb": _CALLBACK,
    "stats_cb": _CALLBACK,
    "throttle_cb": _CALLBACK,
    "oauth_cb": _CALLBACK,
    "logger": _CALLBACK,
}

OF_CONSUMER: Mapping[str, str] = {
    **_EVERYWHERE,
    "group.id": "set KAFKA_GROUP_ID",
    "group.protocol": "set KAFKA_GROUP_PROTOCOL",
    "group.instance.id": "set KAFKA_GROUP_INSTANCE_ID",
    "partition.assignment.strategy": "set KAFKA_ASSIGNMENT_STRATEGY",
    "session.timeout.ms": "set KAFKA_SESSION_TIMEOUT_MS",
    "heartbeat.interval.ms": "set KAFKA_HEARTBEAT_INTERVAL_MS",
    "max.poll.interval.ms": "set KAFKA_MAX_POLL_INTERVAL_MS",
    "auto.offset.reset": "set KAFKA_AUTO_OFFSET_RESET",
    "enable.auto.commit": _OFFSETS,
    "auto.commit.enable": _OFFSETS,
    "auto.commit.interval.ms": "set KAFKA_COMMIT_INTERVAL_MS",
    "enable.auto.offset.store": _OFFSETS,
    "offset.store.method": _OFFSETS,
    "offset.store.path": _OFFSETS,
    "offset.store.sync.interval.ms": _OFFSETS,
    "isolation.level": "tasks of a transaction that was taken back must not be worked on",
    "enable.partition.eof": "the end of a partition is nothing the service waits for, and would be logged as trouble",
    "on_commit": _CALLBACK,
}

OF_PRODUCER: Mapping[str, str] = {
    **_EVERYWHERE,
    "enable.idempotence": _ACKNOWLEDGED,
    "acks": _ACKNOWLEDGED,
    "request.required.acks": _ACKNOWLEDGED,
    "message.timeout.ms": "set KAFKA_PUBLISH_TIMEOUT_SECONDS",
    "delivery.timeout.ms": "set KAFKA_PUBLISH_TIMEOUT_SECONDS",
    "message.max.bytes": "set KAFKA_MESSAGE_MAX_BYTES",
    "batch.size": "a topic refuses a batch above its max.message.bytes with all that is in it, so it follows from there",
    "transactional.id": "set KAFKA_DELIVERY=exactly_once, which gives each process an id of its own",
    "enable.gapless.guarantee": "a message that a topic refuses would end the producer, with all that is under way",
    "transaction.timeout.ms": "what is repeated and what is given up within a transaction follows from it",
    "partitioner": "Java's clients must find a task's events on the partition where they put its key",
    "delivery.report.only.error": "an offset is committed when its event is acknowledged, so each must be reported",
    "dr_cb": _CALLBACK,
    "dr_msg_cb": _CALLBACK,
    "on_delivery": _CALLBACK,
}

IN_FLIGHT = ("max.in.flight", "max.in.flight.requests.per.connection")
MOST_IN_FLIGHT = 5
"""Above it a broker can't tell a repeat, and events of a task could change places."""


def refusals(properties: Properties, refused: Mapping[str, str]) -> str:
    """Why some of them can't be taken, each by its name; empty when all can."""
    found = [f"{name} is refused: {refused[name]}" for name, _ in properties if name in refused]
    for name, value in properties:
        if name in IN_FLIGHT and _number(value.get_secret_value()) > MOST_IN_FLIGHT:
            found.append(f"{name} is refused above {MOST_IN_FLIGHT}: events of a task could change places")
    return "; ".join(found)


def _number(text: str) -> int:
    """What is no number librdkafka refuses by itself."""
    return int(text) if text.isdecimal() else 0
