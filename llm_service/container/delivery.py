"""The delivery mode, from settings: the one place that knows there are two."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable
from typing import Protocol

from llm_service import events
from llm_service.container.kafka import connection_config, own_lines
from llm_service.kafka.bounded_transactions import BoundedTransactions
from llm_service.kafka.commits import Commits
from llm_service.kafka.config import accepted, producer_properties
from llm_service.kafka.dead_member import DeadMembers
from llm_service.kafka.exactly_once import ExactlyOnceSettler, TransactionalCommits
from llm_service.kafka.news import KafkaNews
from llm_service.kafka.port import GroupMember
from llm_service.kafka.publisher import Publisher
from llm_service.kafka.settling import AtLeastOnceSettler, OutcomeTopics
from llm_service.kafka.settling_loop import SettlingPolicy
from llm_service.kafka.source import KafkaSource
from llm_service.kafka.topics import TopicFacts
from llm_service.kafka.transactional_producer import (
    TransactionalProducer,
    committed_properties,
    transactional_properties,
)
from llm_service.resilience.clock import Clock
from llm_service.settings import Settings
from llm_service.tasks.ports import Settler

# A transaction that is under way at the stop is decided in some milliseconds, or left to who comes next.
_CLOSE_S = 1.0


class Delivery(Protocol):
    """One of the modes."""

    @property
    def record_first(self) -> bool:
        """Whether the ledger has an event before Kafka does: where two workers may answer one message, its row decides.

        Else the row is written after the commit, which alone decides.
        """
        ...

    async def open(self) -> None:
        """Look whether the cluster can. Raises DependencyUnavailable, SettingsInvalid."""
        ...

    @property
    def refusal(self) -> str | None:
        """Why nothing can be settled for now; None where it can."""
        ...

    def connect(
        self, publisher: Publisher, member: GroupMember, source: Callable[[], KafkaSource]
    ) -> tuple[Settler, Commits | None]:
        """How outcomes are settled and offsets written; None: by the consumer itself."""
        ...

    async def close(self) -> None: ...


def build_delivery(
    settings: Settings, facts: TopicFacts, clock: Clock, rng: random.Random, observe: events.Observer
) -> Delivery:
    """The mode of ``KAFKA_DELIVERY``."""
    topics = OutcomeTopics(facts.status, facts.dead_letter, facts.retry or "", facts.tasks)
    if settings.kafka.delivery == "exactly_once":
        return _ExactlyOnce(settings, facts, topics, rng, observe)
    return _AtLeastOnce(topics, clock, observe)


def plain_properties(settings: Settings, facts: TopicFacts, news: KafkaNews) -> dict[str, object]:
    """The producer of progress, and of outcomes in ``at_least_once``."""
    kafka = settings.kafka
    properties = producer_properties(
        connection_config(settings),
        int(kafka.publish_timeout_s * 1000),
        kafka.message_max_bytes,
        min(kafka.message_max_bytes, *facts.written_max_bytes),
        news.on_error,
    )
    return properties | own_lines()


class _AtLeastOnce:
    record_first = True
    refusal = None

    def __init__(self, topics: OutcomeTopics, clock: Clock, observe: events.Observer) -> None:
        self._topics = topics
        self._clock = clock
        self._observe = observe

    async def open(self) -> None:
        """Any cluster can."""

    def connect(
        self, publisher: Publisher, member: GroupMember, source: Callable[[], KafkaSource]
    ) -> tuple[Settler, Commits | None]:
        del member
        return AtLeastOnceSettler(publisher, source, self._topics, self._clock, self._observe), None

    async def close(self) -> None:
        """Nothing of its own."""


class _ExactlyOnce:
    record_first = False

    def __init__(
        self,
        settings: Settings,
        facts: TopicFacts,
        topics: OutcomeTopics,
        rng: random.Random,
        observe: events.Observer,
    ) -> None:
        kafka = settings.kafka
        # Two processes of one id would fence each other in turn for ever.
        self._id = f"{kafka.group_id}-{kafka.group_instance_id or f'{rng.getrandbits(64):016x}'}"
        self._topics = topics
        self._observe = observe
        properties = plain_properties(settings, facts, KafkaNews(observe))
        connection = connection_config(settings)
        extra = dict(connection.producer_extra)
        self._producer_config = transactional_properties(properties, self._id, extra)
        self._reader_config = committed_properties(connection.properties(), kafka.group_id)
        self._port = BoundedTransactions(
            lambda: TransactionalProducer(self._producer_config, self._reader_config)
        )
        self._settler: ExactlyOnceSettler | None = None

    @property
    def refusal(self) -> str | None:
        return self._port.refusal

    async def open(self) -> None:
        with accepted():
            await asyncio.to_thread(self._port.open)

    def connect(
        self, publisher: Publisher, member: GroupMember, source: Callable[[], KafkaSource]
    ) -> tuple[Settler, Commits | None]:
        del publisher
        self._settler = settler = ExactlyOnceSettler(
            self._port,
            SettlingPolicy(self._id),
            self._topics,
            self._observe,
            lambda error: source().fail(error),
            lambda: source().wake(),
        )
        loop = asyncio.get_running_loop()

        def on_trouble(reason: str) -> None:
            if not loop.is_closed():
                loop.call_soon_threadsafe(self._observe, events.Trouble("kafka", reason))

        dead = DeadMembers(self._producer_config, self._reader_config, self._id, on_trouble, time.monotonic)
        settler.start()
        return settler, TransactionalCommits(member, settler.loop, dead.overdue)

    async def close(self) -> None:
        if self._settler is not None:
            await self._settler.close(_CLOSE_S)
        else:
            await asyncio.to_thread(self._port.close)
