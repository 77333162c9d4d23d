"""The Kafka parts, from settings."""

from __future__ import annotations

import logging

from llm_service.kafka.config import ConnectionConfig, GroupConfig
from llm_service.kafka.consumer_policy import ConsumerPolicy
from llm_service.kafka.topics import TopicNames
from llm_service.settings import Settings
from llm_service.settings.properties import of_connection, revealed


def connection_config(settings: Settings) -> ConnectionConfig:
    kafka = settings.kafka
    return ConnectionConfig(
        bootstrap_servers=kafka.bootstrap_servers,
        security_protocol=kafka.security_protocol,
        sasl_mechanism=kafka.sasl_mechanism,
        sasl_username=kafka.sasl_username,
        sasl_password=kafka.sasl_password.get_secret_value() if kafka.sasl_password is not None else None,
        ssl_ca_location=kafka.ssl_ca_location,
        ssl_certificate_location=kafka.ssl_certificate_location,
        ssl_key_location=kafka.ssl_key_location,
        # Whoever asks the brokers reaches them the same way.
        extra=tuple(revealed(of_connection(kafka.consumer_extra)).items()),
        producer_extra=tuple(revealed(kafka.producer_extra).items()),
    )


def group_config(settings: Settings) -> GroupConfig:
    kafka = settings.kafka
    return GroupConfig(
        group_id=kafka.group_id,
        auto_offset_reset=kafka.auto_offset_reset,
        group_protocol=kafka.group_protocol,
        assignment_strategy=kafka.assignment_strategy,
        group_instance_id=kafka.group_instance_id,
        session_timeout_ms=kafka.session_timeout_ms,
        heartbeat_interval_ms=kafka.heartbeat_interval_ms,
        max_poll_interval_ms=kafka.max_poll_interval_ms,
        extra=tuple(revealed(kafka.consumer_extra).items()),
    )


def own_lines() -> dict[str, object]:
    """What librdkafka says on its own goes the log's way, where KAFKA_…_EXTRA makes a client say anything."""
    return {"logger": logging.getLogger("librdkafka")}


def topic_names(settings: Settings) -> TopicNames:
    kafka = settings.kafka
    return TopicNames(
        kafka.tasks_topic,
        kafka.status_topic,
        kafka.dlq_topic,
        retry=kafka.retry_topic_in_use,
        drops=kafka.file_drop_topic,
    )


def window(settings: Settings) -> int:
    """Twice the pool: while one half works the other half is here, so that no slot waits for a fetch."""
    return 2 * settings.worker.max_concurrent_tasks


def waiting_share(settings: Settings) -> int:
    """Tasks that may wait for a provider beside the window."""
    return int(window(settings) * settings.worker.waiting_share)


def consumer_policy(settings: Settings) -> ConsumerPolicy:
    kafka = settings.kafka
    retry = kafka.retry_topic_in_use
    others = [topic for topic in (retry, kafka.file_drop_topic) if topic is not None]
    return ConsumerPolicy(
        topics=(kafka.tasks_topic, *others),
        retry_topic=retry,
        retry_delay_s=kafka.retry_delay_s,
        group=kafka.group_id,
        window=window(settings),
        poll_timeout_s=settings.kafka.consumer_poll_timeout_s,
        commit_interval_s=settings.kafka.commit_interval_ms / 1000,
        poison_takeovers=settings.worker.poison_max_takeovers,
    )
