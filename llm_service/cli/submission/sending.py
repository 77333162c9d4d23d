"""A sender as the settings have it, put away when it is left."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from confluent_kafka import KafkaError

from llm_service.cli.submission.sender import Sender
from llm_service.container.files import build_store
from llm_service.container.kafka import connection_config
from llm_service.kafka.config import accepted, producer_properties
from llm_service.kafka.publisher import Publisher
from llm_service.resilience.clock import Clock
from llm_service.settings import Settings

# Each task has been acknowledged, or given up with a reason, before.
_FLUSH_S = 0.5


@asynccontextmanager
async def sending(settings: Settings, clock: Clock, new_id: Callable[[], str]) -> AsyncIterator[Sender]:
    """Connects when something is sent. Raises SettingsInvalid."""
    kafka = settings.kafka
    with accepted():
        publisher = Publisher(
            producer_properties(
                connection_config(settings),
                int(kafka.publish_timeout_s * 1000),
                kafka.message_max_bytes,
                kafka.message_max_bytes,
                _ignore,
            )
            # librdkafka writes of what is fatal to stderr by itself; it is told with the task that it keeps back.
            | {"logger": _silent()}
        )
    store = build_store(settings)
    publisher.start()
    try:
        yield Sender(publisher, kafka.tasks_topic, store, settings.minio.bucket_name, new_id, clock)
    finally:
        await publisher.close(_FLUSH_S)
        if store is not None:
            store.close()


def _silent() -> logging.Logger:
    """Its lines go where a log is kept, and nowhere else."""
    logger = logging.getLogger("llm_service.submission")
    logger.addHandler(logging.NullHandler())
    return logger


def _ignore(error: KafkaError) -> None:
    """What keeps a task from being acknowledged is told with that task."""
