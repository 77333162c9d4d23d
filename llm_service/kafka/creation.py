"""Topics that are to be made: how many partitions and copies, which settings, and why."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta

from confluent_kafka.cimpl import NewTopic

from llm_service.errors import DependencyUnavailable
from llm_service.kafka.cluster import AlreadyThere, Cluster, answer

# Kafka's own default for max.message.bytes: 1 MiB and the 12 bytes of a record batch's log overhead.
BROKER_DEFAULT_MAX_BYTES = 1_048_588
# A dead letter is the task with its headers and seven of ours, each bounded; 64 KiB holds them with room.
DEAD_LETTER_ALLOWANCE = 65_536
# So many workers can share the tasks at most; it divides by 2, 3, 4 and 6, so that they share evenly.
PARTITIONS = 12
_MOST_COPIES = 3
# What is not read in its time is deleted: longer than the longest holidays nobody looks after the service in.
_RETENTION = timedelta(days=14)
# The cooperative assignor and KIP-848's uniform one even out the sum over all topics of a group. With as many partitions as
# the tasks topic has (12, and two workers one after the other) one worker had all tasks and the other all retries; with
# one partition they had 7 and 5.
_RETRY_PARTITIONS = 1
# People look at dead letters, when they come to it, and may want to send them again.
_DEAD_LETTER_RETENTION = timedelta(days=90)


@dataclass(frozen=True, slots=True)
class TopicPlan:
    """A topic that is not there yet."""

    name: str
    partitions: int
    replication: int
    config: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What a plan depends on."""

    brokers: int
    tasks_max_bytes: int = BROKER_DEFAULT_MAX_BYTES
    """Largest message that the tasks topic takes."""
    replication: int | None = None
    """Copies of each partition where somebody asks for a number."""


def plan_tasks(name: str, partitions: int, around: Surroundings) -> TopicPlan:
    """The tasks topic; its messages may be as large as the brokers take them."""
    return _plan(name, partitions, around, _RETENTION, {})


def plan_status(name: str, partitions: int, around: Surroundings, message_max_bytes: int) -> TopicPlan:
    """The status topic; ``message_max_bytes`` is the largest message that workers produce."""
    larger = message_max_bytes > BROKER_DEFAULT_MAX_BYTES
    size = {"max.message.bytes": str(message_max_bytes)} if larger else {}
    return _plan(name, partitions, around, _RETENTION, size)


def plan_dead_letters(name: str, partitions: int, around: Surroundings) -> TopicPlan:
    """The dead-letter topic: each task has room in it, with the reason beside."""
    size = {"max.message.bytes": str(around.tasks_max_bytes + DEAD_LETTER_ALLOWANCE)}
    return _plan(name, partitions, around, _DEAD_LETTER_RETENTION, size)


def plan_retries(name: str, around: Surroundings) -> TopicPlan:
    """The retry topic: each task has room in it, with our headers beside, and stays as long as tasks do."""
    size = {"max.message.bytes": str(around.tasks_max_bytes + DEAD_LETTER_ALLOWANCE)}
    return _plan(name, _RETRY_PARTITIONS, around, _RETENTION, size)


def create(
    cluster: Cluster, plans: Sequence[TopicPlan], timeout_s: float, *, dry_run: bool = False
) -> dict[str, DependencyUnavailable | None]:
    """Make them: why not, or None, by name. Blocks. ``dry_run`` has the brokers check the request and do nothing.

    One that is there by now, since a second of our kind was quicker, is made.
    """
    if not plans:
        return {}
    futures = cluster.admin.create_topics(
        [NewTopic(plan.name, plan.partitions, plan.replication, config=dict(plan.config)) for plan in plans],
        operation_timeout=timeout_s,
        request_timeout=timeout_s,
        validate_only=dry_run,
    )
    outcomes: dict[str, DependencyUnavailable | None] = {}
    for name, future in futures.items():
        try:
            answer(future, timeout_s)
            outcomes[name] = None
        except AlreadyThere:
            outcomes[name] = None
        except DependencyUnavailable as error:
            outcomes[name] = error
    return outcomes


def _plan(
    name: str, partitions: int, around: Surroundings, retention: timedelta, size: Mapping[str, str]
) -> TopicPlan:
    replication = around.replication or max(1, min(_MOST_COPIES, around.brokers))
    # Two of three copies must have a message before it is acknowledged: one broker may then be lost, or be restarted.
    in_sync = {"min.insync.replicas": "2"} if replication >= _MOST_COPIES else {}
    config = {
        "cleanup.policy": "delete",
        "retention.ms": str(int(retention.total_seconds() * 1000)),
        **in_sync,
        **size,
    }
    return TopicPlan(name, partitions, replication, config)
