"""The parts that the commands work with, as the settings have them."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from confluent_kafka import KafkaError

from llm_service.cli.printable import printable_line
from llm_service.container.kafka import connection_config, topic_names
from llm_service.errors import DependencyUnavailable
from llm_service.kafka.cluster import Cluster
from llm_service.kafka.config import accepted, producer_properties
from llm_service.kafka.letter_sender import LetterSender, PlainSender, TransactionalSender
from llm_service.kafka.letters import LetterReader
from llm_service.kafka.topics import is_compacted, letter_topic, max_bytes, require_tasks_topic
from llm_service.settings import Settings

LOOK_S = 5.0
# A broker that has gone is told after this; leaders move in some seconds.
SILENCE_S = 15.0
# An original with the headers around it as the brokers count them.
_SLACK_BYTES = 65_536


@contextmanager
def reading(settings: Settings) -> Iterator[LetterReader]:
    """Raises DependencyUnavailable where there is no topic or no broker, and SettingsInvalid."""
    connection, names = connection_config(settings), topic_names(settings)
    if is_compacted(letter_topic(connection, names, LOOK_S)):
        say(
            f"Warning: {names.dead_letter} is compacted, so a letter replaces an older one of the same key: set its "
            "cleanup.policy to delete"
        )
    with LetterReader(connection, names.dead_letter, SILENCE_S) as reader:
        yield reader


@contextmanager
def sending(settings: Settings) -> Iterator[LetterSender]:
    """Opened, by transactions where the cluster has them. Raises DependencyUnavailable, SettingsInvalid."""
    sender = _transactional(settings)
    try:
        try:
            sender.open()
        except DependencyUnavailable as error:
            if settings.kafka.delivery == "exactly_once":
                raise
            say(
                f"Warning: {error.message}. Each letter is sent, and marked after that: a run that is cut off between "
                "the two sends one letter again"
            )
            sender.close()
            sender = _plain(settings)
        yield sender
    finally:
        sender.close()


def largest_message(settings: Settings) -> int:
    """What an original may have: the worker's own limit may be below that of its topic. Raises as ``reading``."""
    connection, names = connection_config(settings), topic_names(settings)
    require_tasks_topic(connection, names, LOOK_S)
    config = Cluster(connection, LOOK_S).configs([names.tasks]).get(names.tasks, {})
    return max(settings.kafka.message_max_bytes, max_bytes(config))


def say(text: str) -> None:
    """To whoever reads along."""
    print(printable_line(text), file=sys.stderr, flush=True)


def _properties(settings: Settings) -> dict[str, object]:
    limit = largest_message(settings)
    properties = producer_properties(
        connection_config(settings),
        int(settings.kafka.publish_timeout_s * 1000),
        limit + _SLACK_BYTES,
        min(settings.kafka.message_max_bytes, limit),
        _unheard,
    )
    # librdkafka writes of what is fatal to stderr by itself; it is told as an error.
    logger = logging.getLogger("llm_service.letters")
    logger.addHandler(logging.NullHandler())
    return properties | {"logger": logger}


def _transactional(settings: Settings) -> LetterSender:
    extra = dict(connection_config(settings).producer_extra)
    with accepted():
        # With the group's name before it, so that the worker's own right to transactional ids is enough.
        return TransactionalSender(_properties(settings), extra, f"{settings.kafka.group_id}-dlq")


def _plain(settings: Settings) -> LetterSender:
    with accepted():
        return PlainSender(_properties(settings))


def _unheard(_: KafkaError) -> None:
    """What becomes of each message is told by its report."""
