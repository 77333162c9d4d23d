"""Kafka: the way to the brokers, the login, the topics, what we may do, and how far the group is behind."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from confluent_kafka import Consumer

from llm_service.cli.checking.collection import LIMIT_S, Collection
from llm_service.cli.checking.finding import Finding
from llm_service.cli.checking.kafka_brokers import Brokers
from llm_service.cli.checking.kafka_group import GroupReview
from llm_service.cli.checking.kafka_listener import BOOTSTRAP
from llm_service.cli.checking.kafka_topics import TopicReview, Topics, roles_of
from llm_service.cli.checking.wording import counted
from llm_service.container.kafka import connection_config, group_config, topic_names
from llm_service.errors import DependencyUnavailable
from llm_service.kafka import backlog
from llm_service.kafka.aside import aside
from llm_service.kafka.cluster import Astray, Cluster, LoginRefused, Metadata, NotPermitted, Topic
from llm_service.kafka.handshake import CONSUMER_GROUP_HEARTBEAT, Greeting
from llm_service.kafka.topics import DEFAULT_STATUS_TOPIC
from llm_service.kafka.transactional_producer import TransactionalProducer, transactional_properties
from llm_service.resilience.clock import Clock
from llm_service.settings import Settings

# A broker answers in milliseconds; two such waits in a row, after connecting, stay within the probe's 8 s.
_ANSWER_S = 2.5
_READ_S = 1.5
# Of librdkafka's calls, together: less than the probe has, so that what did not come back is named.
_CALLS_S = LIMIT_S - 1.0


async def probe(settings: Settings, clock: Clock) -> Sequence[Finding]:
    """What is found at KAFKA_BOOTSTRAP_SERVERS, within 8 s. Raises SettingsInvalid for what Kafka's client refuses."""
    found = Collection("kafka")
    remedy = f"See whether the brokers are overloaded, and that {BOOTSTRAP} names them; check again."
    return await found.within(_Look(settings, clock, found).all(), remedy, LIMIT_S)


class _Look:
    def __init__(self, settings: Settings, clock: Clock, found: Collection) -> None:
        self._settings = settings
        self._clock = clock
        self._found = found
        self._connection = connection_config(settings)
        self._group = group_config(settings)
        self._names = topic_names(settings)
        self._cluster = Cluster(self._connection, _ANSWER_S)

    async def all(self) -> None:
        brokers = Brokers(self._connection, self._clock, self._found)
        greeting = await brokers.bootstrap()
        if greeting is None:
            return
        self._protocol(greeting)
        metadata = await self._metadata(brokers)
        if metadata is None:
            return
        transactions = asyncio.create_task(self._transactions())
        topics = await self._topics(metadata)
        tasks = topics.get(self._names.tasks)
        if isinstance(tasks, Topic):
            await self._group_of(tasks, topics, metadata)
        await transactions

    def _protocol(self, greeting: Greeting) -> None:
        if self._group.group_protocol == "consumer" and CONSUMER_GROUP_HEARTBEAT not in greeting.requests:
            self._found.failed(
                "group protocol",
                "KAFKA_GROUP_PROTOCOL=consumer, and these brokers do not know it (KIP-848 came with 4.0)",
                "Set KAFKA_GROUP_PROTOCOL=classic.",
            )

    async def _metadata(self, brokers: Brokers) -> Metadata | None:
        """The cluster, when it lets us in and can be reached where it sends its clients."""
        began = self._clock.monotonic()
        try:
            metadata = await aside(self._cluster.metadata, _CALLS_S, "the cluster")
        except LoginRefused as error:
            self._found.failed(
                "login",
                f"refused for user {self._connection.sasl_username!r} ({error.message})",
                "Correct KAFKA_SASL_USERNAME, KAFKA_SASL_PASSWORD and KAFKA_SASL_MECHANISM, or have the user made.",
            )
            return None
        except Astray as error:
            if await brokers.advertised(error.brokers):
                self._found.failed("cluster", error.message, "Look at the brokers' log; check again.")
            self._nowhere()
            return None
        except DependencyUnavailable as error:
            self._found.failed("cluster", error.message, "Look at the brokers' log; check again.")
            return None
        seconds = self._clock.monotonic() - began
        self._found.ok(
            "cluster", f"{metadata.cluster_id}, {counted(len(metadata.brokers), 'broker')}", seconds
        )
        if await brokers.advertised(metadata.brokers):
            return metadata
        self._nowhere()
        return None

    def _nowhere(self) -> None:
        self._found.skipped(
            "topics and group", "of no use: no broker can be reached where it sends its clients"
        )

    async def _transactions(self) -> None:
        """Whether the cluster makes transactions for us: one with nothing in it is begun and given up."""
        if self._settings.kafka.delivery != "exactly_once":
            return
        began = self._clock.monotonic()
        name = f"{self._group.group_id}-check"
        port = TransactionalProducer(transactional_properties(self._connection.properties(), name), {})
        try:
            await aside(port.open, _CALLS_S, "a transaction")
        except DependencyUnavailable as error:
            remedy = (
                "Do so; or set KAFKA_DELIVERY=at_least_once, where a crash may give a task a second answer."
            )
            self._found.failed("transactions", error.message, remedy)
        else:
            self._found.ok("transactions", "they can be begun", self._clock.monotonic() - began)
            # One that did not come back has the producer, and is left behind with it.
            port.close()

    async def _topics(self, metadata: Metadata) -> dict[str, Topic | DependencyUnavailable]:
        roles = roles_of(self._names)
        names = [role.topic for role in roles]
        try:
            topics = await aside(lambda: self._cluster.topics(names), _CALLS_S, "the topics")
        except DependencyUnavailable as error:
            self._found.failed("topics", error.message, "Look at the brokers' log; check again.")
            return {}
        limit = self._settings.kafka.message_max_bytes
        review = TopicReview(self._names, topics, len(metadata.brokers), limit, self._found)
        for role in roles:
            review.review(role)
        return topics

    async def _group_of(self, tasks: Topic, topics: Topics, metadata: Metadata) -> None:
        review = GroupReview(self._group, tasks, self._found)
        subject = f"group {self._group.group_id}"
        retry, first = topics.get(self._names.retry or ""), metadata.brokers[0].id
        try:
            behind, broker = await asyncio.gather(
                aside(lambda: self._backlog(tasks, retry), _CALLS_S, "the group"),
                aside(lambda: self._cluster.broker_config(first), _CALLS_S, "a broker's settings"),
            )
        except NotPermitted as error:
            seen = f"this user may not see it ({error.message})"
            remedy = f"Grant DESCRIBE and READ on group {self._group.group_id}, and both on topic {tasks.name}, to it."
            self._found.failed(subject, seen, remedy)
            return
        except DependencyUnavailable as error:
            seen = f"it can't be looked at ({error.message})"
            self._found.failed(subject, seen, "Look at the brokers' log; check again.")
            return
        review.members(behind.group, sum(place.unread for place in behind.places))
        review.session(broker)
        review.lag(behind.places)
        self._adoption(review, behind, topics)
        review.retries(behind.retries, self._names.retry)
        review.retention(behind.oldest, self._clock.now())

    def _backlog(self, tasks: Topic, retry: Topic | DependencyUnavailable | None) -> _Backlog:
        """Blocks. Raises NotPermitted and DependencyUnavailable."""
        group_id = self._group.group_id
        with backlog.reading(self._connection, group_id) as reader:
            places = self._places(reader, tasks)
            group = backlog.group(self._cluster, group_id, _ANSWER_S)
            unread = any(place.unread for place in places)
            oldest = backlog.oldest_unread(reader, tasks.name, places, _READ_S) if unread else None
            retries = self._places(reader, retry) if isinstance(retry, Topic) else ()
            return _Backlog(group, places, oldest, retries)

    def _places(self, reader: Consumer, topic: Topic) -> tuple[backlog.Place, ...]:
        return backlog.places(self._cluster, reader, topic.name, len(topic.partitions), _ANSWER_S)

    def _adoption(self, review: GroupReview, behind: _Backlog, topics: Topics) -> None:
        """What a new group's first worker reads before it joins."""
        kafka = self._settings.kafka
        status = topics.get(self._names.status or DEFAULT_STATUS_TOPIC)
        if kafka.adopt == "auto" and kafka.auto_offset_reset == "earliest" and isinstance(status, Topic):
            review.may_adopt(status, behind.places)


@dataclass(frozen=True, slots=True)
class _Backlog:
    """The group, where it is in the tasks topic, and when the oldest message that waits was written."""

    group: backlog.Group
    places: tuple[backlog.Place, ...]
    oldest: datetime | None
    retries: tuple[backlog.Place, ...] = ()
    """Where the group is in the retry topic."""
