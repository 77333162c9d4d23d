"""``llm-service dlq resume``: the word to workers that stopped because of too many dead letters."""

from __future__ import annotations

from confluent_kafka import KafkaError, Producer

from llm_service.cli.exit_codes import ExitCode
from llm_service.cli.letters.opening import LOOK_S, say
from llm_service.container.kafka import connection_config, topic_names
from llm_service.contract.resolution import Resume, encode_resume
from llm_service.errors import DependencyUnavailable, TopicNotWritable
from llm_service.kafka.config import accepted, producer_properties
from llm_service.kafka.publisher import error_of
from llm_service.kafka.topics import letter_topic
from llm_service.resilience.clock import Clock
from llm_service.settings import Settings

# A broker acknowledges in milliseconds, and a new leader is elected in some seconds.
_ACKNOWLEDGED_S = 15.0


def resume(settings: Settings, clock: Clock) -> ExitCode:
    """Write it. Raises DependencyUnavailable, SettingsInvalid."""
    connection, topic, group = connection_config(settings), settings.kafka.dlq_topic, settings.kafka.group_id
    letter_topic(connection, topic_names(settings), LOOK_S)
    limit = settings.kafka.message_max_bytes
    with accepted():
        producer = Producer(
            producer_properties(connection, int(_ACKNOWLEDGED_S * 1000), limit, limit, lambda _: None)
        )
    failed: list[KafkaError] = []
    record = encode_resume(Resume(group, clock.now()))
    producer.produce(
        topic,
        record.value,
        record.key,
        # By no key's hash: workers read all partitions, and the first is always there.
        partition=0,
        on_delivery=lambda error, _: failed.append(error) if error is not None else None,
        headers=list(record.headers),
    )
    unsent = producer.flush(_ACKNOWLEDGED_S + LOOK_S)
    if failed:
        reason = error_of(topic, failed[0])
        raise reason if isinstance(reason, TopicNotWritable) else DependencyUnavailable(reason.message)
    if unsent:
        raise DependencyUnavailable(f"{topic} did not take it within {_ACKNOWLEDGED_S:.0f} s")
    say(f"Told the workers of group {group}: those that stopped go on within some seconds (/ready says so).")
    return ExitCode.OK
