"""What is there of the service's topics, and what is wrong with it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass

from llm_service.cli.checking.collection import Collection
from llm_service.cli.checking.finding import Finding, Verdict
from llm_service.cli.checking.kafka_topics import Role, TopicReview, roles_of
from llm_service.container.kafka import connection_config, topic_names
from llm_service.errors import DependencyUnavailable
from llm_service.kafka.backlog import extent
from llm_service.kafka.cluster import Cluster, LoginRefused, Metadata, Topic
from llm_service.kafka.topics import TopicNames
from llm_service.settings import Settings

# A broker answers in milliseconds; one that is not there is waited for as long as this.
LIMIT_S = 4.0


@dataclass(frozen=True, slots=True)
class Entry:
    """One role and its topic."""

    role: Role
    topic: Topic | None
    """None where it is missing or may not be seen."""
    hidden: str | None
    """Why it may not be seen."""
    messages: int | None
    """How many it holds; None where that can't be told."""
    findings: Sequence[Finding]

    @property
    def faults(self) -> list[Finding]:
        """What is wrong with it."""
        return [finding for finding in self.findings if finding.verdict in {Verdict.FAILED, Verdict.WARNING}]


@dataclass(frozen=True, slots=True)
class Inventory:
    """All of them, and the cluster they are on."""

    cluster: Cluster
    metadata: Metadata
    names: TopicNames
    entries: Sequence[Entry]


def take(settings: Settings) -> Inventory:
    """Look; blocks. Raises DependencyUnavailable where no broker answers, and SettingsInvalid."""
    cluster = Cluster(connection_config(settings), LIMIT_S)
    names = topic_names(settings)
    roles = roles_of(names)
    try:
        metadata = cluster.metadata()
    except LoginRefused as error:
        raise DependencyUnavailable(
            f"Kafka refuses the login of {settings.kafka.sasl_username!r} ({error.message}): "
            "correct KAFKA_SASL_USERNAME and KAFKA_SASL_PASSWORD"
        ) from error
    except DependencyUnavailable as error:
        raise DependencyUnavailable(
            f"{error.message}; llm-service check kafka looks for the cause"
        ) from error
    topics = cluster.topics([role.topic for role in roles])
    limit = settings.kafka.message_max_bytes
    entries = [_entry(cluster, role, topics, names, len(metadata.brokers), limit) for role in roles]
    return Inventory(cluster, metadata, names, entries)


def _entry(
    cluster: Cluster,
    role: Role,
    topics: Mapping[str, Topic | DependencyUnavailable],
    names: TopicNames,
    brokers: int,
    message_max_bytes: int,
) -> Entry:
    found = Collection("kafka")
    TopicReview(names, topics, brokers, message_max_bytes, found).review(role)
    topic = topics.get(role.topic)
    if not isinstance(topic, Topic):
        hidden = topic.message if topic is not None else None
        return Entry(role, None, hidden, None, found.findings)
    messages = None
    with suppress(DependencyUnavailable):
        messages = sum(
            end - first for first, end in extent(cluster, topic.name, len(topic.partitions), LIMIT_S)
        )
    return Entry(role, topic, None, messages, found.findings)
