"""The cluster, asked about itself: brokers, topics with their settings, what this service may do. Everything here blocks."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, TypeVar

from confluent_kafka import KafkaError, KafkaException, Node, TopicCollection
from confluent_kafka.admin import AdminClient
from confluent_kafka.admin._config import ConfigResource
from confluent_kafka.admin._resource import ResourceType
from confluent_kafka.admin._topic import TopicDescription

from llm_service.errors import DependencyUnavailable
from llm_service.kafka.config import ConnectionConfig, accepted

T = TypeVar("T")

_LOGIN_REFUSED = frozenset({"_AUTHENTICATION", "SASL_AUTHENTICATION_FAILED"})
_MOVES = frozenset({"NOT_COORDINATOR", "COORDINATOR_LOAD_IN_PROGRESS", "COORDINATOR_NOT_AVAILABLE"})
# Comes after each reason, and instead of one.
_SAYS_NOTHING = frozenset({"_ALL_BROKERS_DOWN", "_TIMED_OUT"})
# How librdkafka's errors begin: kafka:9092/1: Failed to resolve …
_BROKER = re.compile(r"(?:\w+://)?(\S+):(\d+)/(\d+): ")
_NOT_PERMITTED = frozenset(
    {"TOPIC_AUTHORIZATION_FAILED", "GROUP_AUTHORIZATION_FAILED", "CLUSTER_AUTHORIZATION_FAILED"}
)


class LoginRefused(DependencyUnavailable):
    """The brokers refuse the user name or the password."""


class Astray(DependencyUnavailable):
    """The brokers send their clients to addresses where none of them answers."""

    def __init__(self, message: str, brokers: tuple[Broker, ...]) -> None:
        super().__init__(message)
        self.brokers = brokers


class NotPermitted(DependencyUnavailable):
    """The brokers know who asks, and do not let this user ask that."""


class Absent(DependencyUnavailable):
    """There is no such topic."""


class CoordinatorMoves(DependencyUnavailable):
    """No broker coordinates the group at this moment; it is tried again."""


class AlreadyThere(DependencyUnavailable):
    """There is such a topic already."""


@dataclass(frozen=True, slots=True)
class Broker:
    """Where a broker tells its clients to come to (its advertised listener)."""

    id: int
    host: str
    port: int


@dataclass(frozen=True, slots=True)
class Metadata:
    """The cluster as one broker describes it."""

    cluster_id: str
    brokers: tuple[Broker, ...]
    topics: Mapping[str, int]
    """How many partitions each has, of those that this service may see."""


@dataclass(frozen=True, slots=True)
class Partition:
    """One partition and its copies."""

    number: int
    has_leader: bool
    replicas: int
    in_sync: int


@dataclass(frozen=True, slots=True)
class Topic:
    """A topic as it is."""

    name: str
    partitions: tuple[Partition, ...]
    config: Mapping[str, str] = field(default_factory=dict)
    """Its settings; empty where they can't be read (no right to, or a broker that does not know the request)."""
    operations: frozenset[str] | None = None
    """What this service may do with it, as ``READ``; None where the broker does not say."""

    @property
    def replication(self) -> int:
        """Copies of each partition, of the one that has the fewest."""
        return min((partition.replicas for partition in self.partitions), default=0)

    def number(self, setting: str) -> int | None:
        """A setting that is a number; None where it is not told."""
        return int(self.config[setting]) if setting in self.config else None


class Cluster:
    """Holds the client for as long as its futures run: they fail with "handle destroyed" once it is collected."""

    def __init__(self, connection: ConnectionConfig, timeout_s: float) -> None:
        """``timeout_s`` is for each request. Raises SettingsInvalid for what the client refuses."""
        self._timeout_s = timeout_s
        self._bootstrap = connection.bootstrap_servers
        self._errors: list[KafkaError] = []
        properties: dict[str, Any] = {**connection.properties(), "error_cb": self._errors.append}
        with accepted():
            self.admin = AdminClient(properties)

    def metadata(self) -> Metadata:
        """Brokers and topics. Raises LoginRefused and DependencyUnavailable."""
        try:
            seen = self.admin.list_topics(timeout=self._timeout_s)
        except KafkaException as error:
            # The reason of a failed connection comes by the callback, which is called from here.
            self.admin.poll(0)
            raise self._unreached(error.args[0]) from error
        brokers = tuple(Broker(broker.id, str(broker.host), broker.port) for broker in seen.brokers.values())
        topics = {name: len(topic.partitions) for name, topic in seen.topics.items() if topic.error is None}
        return Metadata(str(seen.cluster_id), brokers, topics)

    def topics(self, names: Iterable[str]) -> dict[str, Topic | DependencyUnavailable]:
        """Each by its name: as it is, or why it can't be looked at; left out where there is none."""
        wanted = sorted(set(names))
        futures = self.admin.describe_topics(
            TopicCollection(wanted), include_authorized_operations=True, request_timeout=self._timeout_s
        )
        configs = self.configs(wanted)
        found: dict[str, Topic | DependencyUnavailable] = {}
        for name, future in futures.items():
            try:
                found[name] = _topic(answer(future, self._timeout_s), configs.get(name, {}))
            except Absent:
                continue
            except DependencyUnavailable as error:
                found[name] = error
        return found

    def configs(self, topics: Iterable[str], timeout_s: float | None = None) -> dict[str, dict[str, str]]:
        """The topics' settings; those that can't be read are left out."""
        return self._configs(
            [ConfigResource(ResourceType.TOPIC, name) for name in sorted(topics)],
            timeout_s or self._timeout_s,
        )

    def broker_config(self, broker: int) -> dict[str, str]:
        """A broker's settings; empty where they can't be read."""
        resource = ConfigResource(ResourceType.BROKER, str(broker))
        return self._configs([resource], self._timeout_s).get(str(broker), {})

    def _configs(self, resources: list[ConfigResource], timeout_s: float) -> dict[str, dict[str, str]]:
        found: dict[str, dict[str, str]] = {}
        if not resources:
            return found
        futures = self.admin.describe_configs(resources, request_timeout=timeout_s)
        for resource, future in futures.items():
            with suppress(DependencyUnavailable):
                entries = answer(future, timeout_s)
                found[resource.name] = {
                    name: entry.value for name, entry in entries.items() if entry.value is not None
                }
        return found

    def _unreached(self, error: KafkaError) -> DependencyUnavailable:
        told = [known for known in (error, *self._errors) if known.name() not in _SAYS_NOTHING] or [error]
        refused = [known for known in told if known.name() in _LOGIN_REFUSED]
        if refused:
            return LoginRefused(refused[0].str())
        reason = told[-1].str()
        if astray := _named(told):
            places = ", ".join(sorted(f"{broker.host}:{broker.port}" for broker in astray))
            return Astray(
                f"Kafka at {self._bootstrap} sends its clients to {places}, where none of its brokers answers ({reason}): "
                "set the brokers' advertised.listeners to an address that is good from here too",
                astray,
            )
        return DependencyUnavailable(
            f"no broker answers at {self._bootstrap} ({reason}): check KAFKA_BOOTSTRAP_SERVERS and that Kafka runs"
        )


def _named(errors: Iterable[KafkaError]) -> tuple[Broker, ...]:
    """Brokers by number that these errors are about; those of the settings are called ``bootstrap`` instead."""
    found = [match for error in errors if (match := _BROKER.match(error.str()))]
    return tuple({int(match[3]): Broker(int(match[3]), match[1], int(match[2])) for match in found}.values())


def answer(future: Future[T], timeout_s: float) -> T:
    """The outcome of an admin request, for which is waited a second longer than librdkafka does.

    Raises DependencyUnavailable, and its kinds above.
    """
    try:
        with answered():
            return future.result(timeout_s + 1)
    except TimeoutError as error:
        raise DependencyUnavailable(f"the brokers did not answer within {timeout_s:g} s") from error


@contextmanager
def answered() -> Iterator[None]:
    """Around a request: what the brokers refuse is DependencyUnavailable, or one of its kinds above."""
    try:
        yield
    except KafkaException as error:
        raise _refusal(error.args[0]) from error


def _refusal(error: KafkaError) -> DependencyUnavailable:
    kinds = {
        **dict.fromkeys(_NOT_PERMITTED, NotPermitted),
        **dict.fromkeys(_MOVES, CoordinatorMoves),
        "UNKNOWN_TOPIC_OR_PART": Absent,
        "TOPIC_ALREADY_EXISTS": AlreadyThere,
    }
    return kinds.get(error.name(), DependencyUnavailable)(error.str())


def _topic(described: TopicDescription, config: Mapping[str, str]) -> Topic:
    partitions = tuple(
        Partition(part.id, _has_leader(part.leader), len(part.replicas), len(part.isr))
        for part in described.partitions
    )
    return Topic(described.name, partitions, config, operations(described.authorized_operations))


def operations(allowed: Iterable[Enum] | None) -> frozenset[str] | None:
    """Names of what is allowed; None where the broker does not say."""
    return None if allowed is None else frozenset(operation.name for operation in allowed)


def _has_leader(leader: Node | None) -> bool:
    return leader is not None and leader.id >= 0
