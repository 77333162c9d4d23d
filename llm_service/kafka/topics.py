"""The topics the service needs: are they there, what do they take, and what is to be done when not."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import AdminClient
from confluent_kafka.admin._config import ConfigResource
from confluent_kafka.admin._resource import ResourceType
from confluent_kafka.cimpl import NewTopic

from llm_service.errors import DependencyUnavailable
from llm_service.kafka.config import ConnectionConfig, accepted

DEFAULT_STATUS_TOPIC = "tasks_llm_status"
# Kafka's own default for max.message.bytes: 1 MiB and the 12 bytes of a record batch's log overhead.
BROKER_DEFAULT_MAX_BYTES = 1_048_588
# A dead letter is the task with its headers and seven of ours, each bounded; 64 KiB holds them with room.
DEAD_LETTER_ALLOWANCE = 65_536
# A broker answers in milliseconds, or does not know the request at all, as the embedded one; then it costs this.
_DESCRIBE_S = 2.0


@dataclass(frozen=True, slots=True)
class TopicNames:
    """The topics by role; ``status`` is None when the deployment names none."""

    tasks: str
    status: str | None
    dead_letter: str


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

    @property
    def warning(self) -> str | None:
        """What should not stay so: a dead letter holds its task only where its topic takes more than the tasks topic."""
        if (
            not self.tasks_max_bytes
            or self.dead_letter_max_bytes >= self.tasks_max_bytes + DEAD_LETTER_ALLOWANCE
        ):
            return None
        return (
            f"{self.dead_letter} takes messages of {self.dead_letter_max_bytes} bytes, too few for each task of "
            f"{self.tasks} with the reason beside it; larger ones are kept by reference: set its max.message.bytes to "
            f"{self.tasks_max_bytes + DEAD_LETTER_ALLOWANCE}"
        )


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
    partitions = _look(connection, timeout)
    status = _status_topic(names, partitions)
    return StatusTopic(status, partitions[status], status == names.tasks)


def require_tasks_topic(connection: ConnectionConfig, names: TopicNames, timeout: float) -> None:
    """Return when tasks can be produced as far as can be seen; else as ``find_status_topic``."""
    if names.tasks not in _look(connection, timeout):
        raise DependencyUnavailable(_missing("KAFKA_TASKS_TOPIC", names.tasks))


def survey(connection: ConnectionConfig, names: TopicNames, timeout: float) -> TopicFacts:
    """Look at the cluster, for at most ``timeout`` seconds a request; blocks.

    Creates the dead-letter topic when it is missing: it is ours alone. Raises DependencyUnavailable, which says what to do,
    and SettingsInvalid.
    """
    # The name must live as long as its futures: they fail with "handle destroyed" once the client is collected.
    with accepted():
        admin = AdminClient(dict(connection.properties()))
    partitions = _partitions(admin, connection.bootstrap_servers, timeout)
    if names.tasks not in partitions:
        raise DependencyUnavailable(_missing("KAFKA_TASKS_TOPIC", names.tasks))
    status = _status_topic(names, partitions)
    created: tuple[str, ...] = ()
    configs = _configs(admin, {names.tasks, status, names.dead_letter} & partitions.keys(), timeout)
    _refuse_compaction(names.tasks, configs)
    tasks_max = _max_bytes(configs, names.tasks)
    if names.dead_letter not in partitions:
        size = tasks_max + DEAD_LETTER_ALLOWANCE
        _create(admin, names.dead_letter, partitions[names.tasks], size, timeout)
        created = (names.dead_letter,)
        configs = {**configs, names.dead_letter: {"max.message.bytes": str(size)}}
    return TopicFacts(
        names.tasks,
        status,
        names.dead_letter,
        _max_bytes(configs, status),
        _max_bytes(configs, names.dead_letter),
        tasks_max if names.tasks in configs else 0,
        created,
    )


def _look(connection: ConnectionConfig, timeout: float) -> dict[str, int]:
    with accepted():
        admin = AdminClient(dict(connection.properties()))
    return _partitions(admin, connection.bootstrap_servers, timeout)


def _partitions(admin: AdminClient, bootstrap: str, timeout: float) -> dict[str, int]:
    try:
        metadata = admin.list_topics(timeout=timeout)
    except KafkaException as error:
        reason = error.args[0].str()
        raise DependencyUnavailable(
            f"no broker answers at {bootstrap} ({reason}): check KAFKA_BOOTSTRAP_SERVERS and that Kafka runs"
        ) from error
    return {name: len(topic.partitions) for name, topic in metadata.topics.items() if topic.error is None}


def _status_topic(names: TopicNames, partitions: Mapping[str, int]) -> str:
    if names.status is not None:
        if names.status not in partitions:
            raise DependencyUnavailable(_missing("KAFKA_STATUS_TOPIC", names.status))
        return names.status
    if DEFAULT_STATUS_TOPIC in partitions:
        return DEFAULT_STATUS_TOPIC
    raise DependencyUnavailable(
        f"KAFKA_STATUS_TOPIC is not set and there is no topic {DEFAULT_STATUS_TOPIC}: "
        f"create {DEFAULT_STATUS_TOPIC} when readers take statuses from there, or set "
        f"KAFKA_STATUS_TOPIC={names.tasks} when tasks and statuses share one topic"
    )


def _missing(setting: str, topic: str) -> str:
    return (
        f"there is no topic {topic} ({setting}), or this service may not see it: create it "
        f"(kafka-topics --create --topic {topic} --partitions 12), grant DESCRIBE on it, or correct {setting}"
    )


def _configs(admin: AdminClient, topics: set[str], timeout: float) -> dict[str, dict[str, str]]:
    """The topics' settings; empty for those that can't be read (no right to, or a broker without this request)."""
    found: dict[str, dict[str, str]] = {}
    resources = [ConfigResource(ResourceType.TOPIC, topic) for topic in sorted(topics)]
    limit = min(timeout, _DESCRIBE_S)
    for resource, future in admin.describe_configs(resources, request_timeout=limit).items():
        try:
            entries = future.result(limit + 1)
        except (KafkaException, TimeoutError):
            continue
        found[resource.name] = {
            name: entry.value for name, entry in entries.items() if entry.value is not None
        }
    return found


def _refuse_compaction(tasks: str, configs: Mapping[str, Mapping[str, str]]) -> None:
    if "compact" in configs.get(tasks, {}).get("cleanup.policy", ""):
        raise DependencyUnavailable(
            f"the topic {tasks} is compacted, so a later message would delete a task of the same key: "
            f"set its cleanup.policy to delete"
        )


def _max_bytes(configs: Mapping[str, Mapping[str, str]], topic: str) -> int:
    return int(configs.get(topic, {}).get("max.message.bytes", BROKER_DEFAULT_MAX_BYTES))


def _create(admin: AdminClient, topic: str, partitions: int, max_bytes: int, timeout: float) -> None:
    new = NewTopic(topic, num_partitions=partitions, config={"max.message.bytes": str(max_bytes)})
    try:
        admin.create_topics([new], operation_timeout=timeout)[topic].result(timeout + 1)
    except KafkaException as error:
        if error.args[0].code() == KafkaError.TOPIC_ALREADY_EXISTS:
            return
        raise DependencyUnavailable(
            f"there is no topic {topic} (KAFKA_DLQ_TOPIC) and it could not be created ({error.args[0].str()}): "
            f"create it with max.message.bytes={max_bytes}, or grant CREATE on it"
        ) from error
    except TimeoutError as error:
        raise DependencyUnavailable(f"creating the topic {topic} took longer than {timeout:.0f} s") from error
