"""The topics the service needs: are they there, what do they take, and what is to be done when not."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from llm_service.contract.retry import RETRY_ALLOWANCE
from llm_service.errors import DependencyUnavailable
from llm_service.kafka.cluster import Cluster, LoginRefused, Metadata
from llm_service.kafka.config import ConnectionConfig
from llm_service.kafka.creation import (
    BROKER_DEFAULT_MAX_BYTES,
    DEAD_LETTER_ALLOWANCE,
    Surroundings,
    TopicPlan,
    create,
    plan_dead_letters,
    plan_retries,
)

DEFAULT_STATUS_TOPIC = "tasks_llm_status"
# A broker answers in milliseconds, or does not know the request at all, as the embedded one; then it costs this.
_DESCRIBE_S = 2.0


@dataclass(frozen=True, slots=True)
class Fault:
    """What is wrong with a topic, and what to do about it."""

    seen: str
    remedy: str

    def __str__(self) -> str:
        return f"{self.seen}: {self.remedy}"


@dataclass(frozen=True, slots=True)
class TopicNames:
    """The topics by role; ``status`` is None when the deployment names none."""

    tasks: str
    status: str | None
    dead_letter: str
    drops: str | None = None
    """None where dropped files are no tasks."""
    retry: str | None = None
    """None where no task goes round."""


@dataclass(frozen=True, slots=True)
class TopicFacts:
    """The topics as they are; sizes in bytes as the broker counts a batch."""

    tasks: str
    status: str
    dead_letter: str
    status_max_bytes: int
    dead_letter_max_bytes: int
    tasks_max_bytes: int = 0
    """0 where the broker does not tell."""
    created: tuple[str, ...] = ()
    retry: str | None = None
    retry_max_bytes: int = 0

    @property
    def written_max_bytes(self) -> tuple[int, ...]:
        """The largest batch of each topic that is written to."""
        retry = (self.retry_max_bytes,) if self.retry is not None else ()
        tasks = (self.tasks_max_bytes,) if self.tasks_max_bytes else ()
        return self.status_max_bytes, self.dead_letter_max_bytes, *retry, *tasks

    @property
    def warning(self) -> str | None:
        """What should not stay so."""
        if not self.tasks_max_bytes:
            return None
        faults = [
            letters_too_small(self.tasks, self.tasks_max_bytes, self.dead_letter, self.dead_letter_max_bytes)
        ]
        if self.retry is not None:
            faults.append(
                retries_too_small(self.tasks, self.tasks_max_bytes, self.retry, self.retry_max_bytes)
            )
        return "; ".join(str(fault) for fault in faults if fault is not None) or None


@dataclass(frozen=True, slots=True)
class StatusTopic:
    """Where statuses are, as a reader needs it."""

    name: str
    partitions: int
    shared: bool
    """Whether tasks are on it too."""


def find_status_topic(connection: ConnectionConfig, names: TopicNames, timeout: float) -> StatusTopic:
    """Look where statuses are, for at most ``timeout`` seconds; blocks, and creates nothing.

    Raises DependencyUnavailable, which says what to do, and SettingsInvalid.
    """
    topics = _seen(Cluster(connection, timeout), connection).topics
    status = _status_topic(names, topics)
    return StatusTopic(status, topics[status], status == names.tasks)


def require_tasks_topic(connection: ConnectionConfig, names: TopicNames, timeout: float) -> None:
    """Return when tasks can be produced as far as can be seen; else as ``find_status_topic``."""
    if names.tasks not in _seen(Cluster(connection, timeout), connection).topics:
        raise DependencyUnavailable(str(missing("KAFKA_TASKS_TOPIC", names.tasks)))


def letter_topic(connection: ConnectionConfig, names: TopicNames, timeout: float) -> Mapping[str, str]:
    """The settings of the dead-letter topic, empty where they are not told; else as ``find_status_topic``."""
    cluster = Cluster(connection, timeout)
    if names.dead_letter not in _seen(cluster, connection).topics:
        raise DependencyUnavailable(str(missing("KAFKA_DLQ_TOPIC", names.dead_letter)))
    return cluster.configs([names.dead_letter], min(timeout, _DESCRIBE_S)).get(names.dead_letter, {})


def survey(connection: ConnectionConfig, names: TopicNames, timeout: float) -> TopicFacts:
    """Look at the cluster, for at most ``timeout`` seconds a request; blocks.

    Creates the dead-letter and the retry topic when they are missing: they are ours alone.
    Raises DependencyUnavailable, which says what to do, and SettingsInvalid.
    """
    cluster = Cluster(connection, timeout)
    seen = _seen(cluster, connection)
    if names.tasks not in seen.topics:
        raise DependencyUnavailable(str(missing("KAFKA_TASKS_TOPIC", names.tasks)))
    status = _status_topic(names, seen.topics)
    if names.drops is not None and names.drops not in seen.topics:
        raise DependencyUnavailable(str(missing("KAFKA_FILE_DROP_TOPIC", names.drops)))
    read_ones = [name for name in (names.tasks, names.drops, names.retry) if name is not None]
    present = {*read_ones, status, names.dead_letter} & seen.topics.keys()
    configs = cluster.configs(present, min(timeout, _DESCRIBE_S))
    for read in read_ones:
        if is_compacted(configs.get(read, {})):
            raise DependencyUnavailable(str(compacted(read)))
    tasks_max = max_bytes(configs.get(names.tasks, {}))
    around = Surroundings(len(seen.brokers), tasks_max)
    plans = _own(names, seen.topics[names.tasks], around, present)
    for setting, plan in plans.items():
        _create(cluster, setting, plan, timeout)
        configs |= {plan.name: dict(plan.config)}
    return TopicFacts(
        names.tasks,
        status,
        names.dead_letter,
        max_bytes(configs.get(status, {})),
        max_bytes(configs.get(names.dead_letter, {})),
        tasks_max if names.tasks in configs else 0,
        tuple(plan.name for plan in plans.values()),
        names.retry,
        max_bytes(configs.get(names.retry, {})) if names.retry is not None else 0,
    )


def max_bytes(config: Mapping[str, str]) -> int:
    """The largest message of a topic with these settings, as the broker counts a batch; Kafka's default if untold."""
    return int(config.get("max.message.bytes", BROKER_DEFAULT_MAX_BYTES))


def is_compacted(config: Mapping[str, str]) -> bool:
    """Whether a later message deletes an earlier one of the same key."""
    return "compact" in config.get("cleanup.policy", "")


def missing(setting: str, topic: str) -> Fault:
    """There is no such topic."""
    return Fault(
        f"there is no topic {topic} ({setting}), or this service may not see it",
        f"create it (llm-service topics create, or kafka-topics --create --topic {topic} --partitions 12), "
        f"grant DESCRIBE on it, or correct {setting}",
    )


def status_unnamed(tasks: str) -> Fault:
    """Nobody says where statuses go, and it can't be guessed."""
    return Fault(
        f"KAFKA_STATUS_TOPIC is not set and there is no topic {DEFAULT_STATUS_TOPIC}",
        f"create {DEFAULT_STATUS_TOPIC} when readers take statuses from there, or set "
        f"KAFKA_STATUS_TOPIC={tasks} when tasks and statuses share one topic",
    )


def compacted(tasks: str) -> Fault:
    """The tasks topic forgets tasks."""
    return Fault(
        f"the topic {tasks} is compacted, so a later message would delete a task of the same key",
        "set its cleanup.policy to delete",
    )


def letters_too_small(tasks: str, tasks_max: int, letters: str, letters_max: int) -> Fault | None:
    """A dead letter holds its task only where its topic takes more than the tasks topic does."""
    if letters_max >= tasks_max + DEAD_LETTER_ALLOWANCE:
        return None
    return Fault(
        f"{letters} takes messages of {letters_max} bytes, too few for each task of {tasks} with the reason "
        "beside it; larger ones are kept by reference",
        f"set its max.message.bytes to {tasks_max + DEAD_LETTER_ALLOWANCE}",
    )


def retries_too_small(tasks: str, tasks_max: int, retries: str, retries_max: int) -> Fault | None:
    """A task goes round only where its topic takes it with our headers beside."""
    if retries_max >= tasks_max + RETRY_ALLOWANCE:
        return None
    return Fault(
        f"{retries} takes messages of {retries_max} bytes, too few for each task of {tasks} with our headers; larger "
        "ones are not tried again later",
        f"set its max.message.bytes to {tasks_max + DEAD_LETTER_ALLOWANCE}",
    )


def _seen(cluster: Cluster, connection: ConnectionConfig) -> Metadata:
    try:
        return cluster.metadata()
    except LoginRefused as error:
        raise DependencyUnavailable(
            f"Kafka refuses the login of {connection.sasl_username!r} ({error.message}): "
            "correct KAFKA_SASL_USERNAME and KAFKA_SASL_PASSWORD"
        ) from error


def _status_topic(names: TopicNames, topics: Mapping[str, int]) -> str:
    if names.status is not None:
        if names.status not in topics:
            raise DependencyUnavailable(str(missing("KAFKA_STATUS_TOPIC", names.status)))
        return names.status
    if DEFAULT_STATUS_TOPIC in topics:
        return DEFAULT_STATUS_TOPIC
    raise DependencyUnavailable(str(status_unnamed(names.tasks)))


def _own(
    names: TopicNames, partitions: int, around: Surroundings, present: Collection[str]
) -> dict[str, TopicPlan]:
    """Those of the topics that are ours alone which are missing, by their setting."""
    plans = {"KAFKA_DLQ_TOPIC": plan_dead_letters(names.dead_letter, partitions, around)}
    if names.retry is not None:
        plans["KAFKA_RETRY_TOPIC"] = plan_retries(names.retry, around)
    return {setting: plan for setting, plan in plans.items() if plan.name not in present}


def _create(cluster: Cluster, setting: str, plan: TopicPlan, timeout: float) -> None:
    refused = create(cluster, [plan], timeout)[plan.name]
    if refused is not None:
        way_out = ", or set KAFKA_RETRY_TOPIC=none to do without" if setting == "KAFKA_RETRY_TOPIC" else ""
        raise DependencyUnavailable(
            f"there is no topic {plan.name} ({setting}) and it could not be created ({refused.message}): "
            f"create it with max.message.bytes={plan.config['max.message.bytes']}, or grant CREATE on it{way_out}"
        ) from refused
