"""The topics of the service, by role: there, whole, taking what is written to them, and ours to use."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta

from llm_service.cli.checking.collection import Collection
from llm_service.cli.checking.wording import counted, span
from llm_service.errors import DependencyUnavailable
from llm_service.kafka.cluster import NotPermitted, Topic
from llm_service.kafka.topics import (
    DEFAULT_STATUS_TOPIC,
    TopicNames,
    compacted,
    is_compacted,
    letters_too_small,
    max_bytes,
    missing,
    retries_too_small,
    status_unnamed,
)

DROPS = "file drops"
# Whoever has stopped for too many letters reads the word that it is to go on from their topic.
_WITHOUT_READ = (
    "a worker that stops for too many letters does not hear of llm-service dlq resume, and the other dlq commands and "
    "llm-service task can't look at letters"
)
Topics = Mapping[str, Topic | DependencyUnavailable]


@dataclass(frozen=True, slots=True)
class Role:
    """What a topic is for."""

    name: str
    """tasks, status, dead letters, retries, file drops; ``tasks and status`` where they share one."""
    topic: str
    setting: str
    needs: tuple[str, ...]
    """Operations that this service performs on it."""
    wants: tuple[str, ...] = ()
    """Operations without which tasks go on, and something else does not."""

    @property
    def rights(self) -> str:
        """All of them, for a remedy."""
        return " and ".join((*self.wants, *self.needs))


def roles_of(names: TopicNames) -> tuple[Role, ...]:
    """The topics that the settings name, each once."""
    others = [Role("dead letters", names.dead_letter, "KAFKA_DLQ_TOPIC", ("WRITE",), ("READ",))]
    if names.retry is not None:
        others.append(Role("retries", names.retry, "KAFKA_RETRY_TOPIC", ("READ", "WRITE")))
    if names.drops is not None:
        others.append(Role(DROPS, names.drops, "KAFKA_FILE_DROP_TOPIC", ("READ",)))
    if names.status == names.tasks:
        return Role("tasks and status", names.tasks, "KAFKA_TASKS_TOPIC", ("READ", "WRITE")), *others
    # Dropped files become tasks that this service writes itself.
    needs = ("READ",) if names.drops is None else ("READ", "WRITE")
    tasks = Role("tasks", names.tasks, "KAFKA_TASKS_TOPIC", needs)
    status = Role("status", names.status or DEFAULT_STATUS_TOPIC, "KAFKA_STATUS_TOPIC", ("WRITE",))
    return tasks, status, *others


class TopicReview:
    """Judges each topic: a finding for each thing that is wrong, one when nothing is."""

    def __init__(
        self, names: TopicNames, topics: Topics, brokers: int, message_max_bytes: int, found: Collection
    ) -> None:
        self._names = names
        self._topics = topics
        self._brokers = brokers
        self._message_max_bytes = message_max_bytes
        self._found = found

    def review(self, role: Role) -> None:
        """Add what is found about the topic of this role."""
        topic = self._topics.get(role.topic)
        before = len(self._found.findings)
        if topic is None:
            self._absent(role)
        elif isinstance(topic, DependencyUnavailable):
            self._hidden(role, topic)
        else:
            self._may(role, topic)
            self._whole(role, topic)
            self._kept(role, topic)
            self._roomy(role, topic)
            if len(self._found.findings) == before:
                self._found.ok(_subject(role), described(topic))

    def _absent(self, role: Role) -> None:
        if role.setting in {"KAFKA_DLQ_TOPIC", "KAFKA_RETRY_TOPIC"}:
            # The worker makes it: it is its own.
            self._found.ok(_subject(role), "not there yet; the worker makes it when it starts")
            return
        unnamed = role.setting == "KAFKA_STATUS_TOPIC" and self._names.status is None
        fault = status_unnamed(self._names.tasks) if unnamed else missing(role.setting, role.topic)
        self._found.failed(_subject(role), fault.seen, _sentence(fault.remedy))

    def _hidden(self, role: Role, error: DependencyUnavailable) -> None:
        if isinstance(error, NotPermitted):
            seen = "this user may not see it"
            remedy = f"Grant DESCRIBE and {role.rights} on topic {role.topic} to it."
            self._found.failed(_subject(role), seen, remedy)
        else:
            remedy = "Look at the brokers' log and at the network between."
            self._found.failed(_subject(role), f"it can't be looked at ({error.message})", remedy)

    def _may(self, role: Role, topic: Topic) -> None:
        if topic.operations is None:
            return
        needed, wanted = (
            [operation for operation in operations if not {operation, "ALL"} & topic.operations]
            for operations in (role.needs, role.wants)
        )
        what = " and ".join((*needed, *wanted))
        remedy = f"Grant {what} on topic {topic.name} to it (kafka-acls --add)."
        if needed:
            self._found.failed(_subject(role), f"this user has no right to {' and '.join(needed)}", remedy)
        elif wanted:
            seen = f"this user has no right to {what}: {_WITHOUT_READ}"
            self._found.warning(_subject(role), seen, remedy)

    def _whole(self, role: Role, topic: Topic) -> None:
        subject = _subject(role)
        if leaderless := [part.number for part in topic.partitions if not part.has_leader]:
            which = _listed(leaderless)
            remedy = "Start the brokers that hold them."
            self._found.failed(subject, f"no broker leads {which}: they can't be read or written", remedy)
        needed = topic.number("min.insync.replicas") or 1
        copies = topic.replication
        if "WRITE" in role.needs and needed > copies:
            seen = f"min.insync.replicas={needed} with {counted(copies, 'replica')}: every write is refused"
            self._found.failed(subject, seen, "Lower min.insync.replicas, or add replicas.")
        elif short := [p.number for p in topic.partitions if p.has_leader and p.in_sync < needed]:
            seen = f"fewer replicas in sync than min.insync.replicas={needed} in {_listed(short)}: writes are refused"
            self._found.failed(subject, seen, "Start the brokers that are away.")
        elif behind := [p.number for p in topic.partitions if p.has_leader and p.in_sync < p.replicas]:
            remedy = "See whether a broker is away; until it is back there are fewer copies."
            self._found.warning(subject, f"replicas are out of sync in {_listed(behind)}", remedy)
        if copies == 1 and self._brokers > 1:
            seen = f"one copy of each message, with {self._brokers} brokers"
            remedy = "Add replicas (kafka-reassign-partitions): one broker's disk takes its messages with it."
            self._found.warning(subject, seen, remedy)

    def _kept(self, role: Role, topic: Topic) -> None:
        if not is_compacted(topic.config):
            return
        if "READ" in role.needs:
            fault = compacted(topic.name)
            self._found.failed(_subject(role), fault.seen, _set(topic.name, "cleanup.policy=delete"))
        elif role.topic == self._names.dead_letter:
            seen = "it is compacted: a dead letter without a key is refused, a later one of the same key deletes it"
            self._found.warning(_subject(role), seen, _set(topic.name, "cleanup.policy=delete"))

    def _roomy(self, role: Role, topic: Topic) -> None:
        takes = max_bytes(topic.config)
        if "WRITE" in role.needs and "max.message.bytes" in topic.config and takes < self._message_max_bytes:
            self._found.warning(
                _subject(role),
                f"it takes messages of {takes:,} bytes, fewer than KAFKA_MESSAGE_MAX_BYTES={self._message_max_bytes}",
                _set(topic.name, f"max.message.bytes={self._message_max_bytes}")
                + " Or lower KAFKA_MESSAGE_MAX_BYTES.",
            )
        tasks = self._topics.get(self._names.tasks)
        too_small = {self._names.dead_letter: letters_too_small, self._names.retry: retries_too_small}
        judge = too_small.get(role.topic)
        if judge is None or not isinstance(tasks, Topic) or not tasks.config:
            return
        fault = judge(tasks.name, max_bytes(tasks.config), topic.name, takes)
        if fault is not None:
            self._found.warning(_subject(role), fault.seen, _sentence(fault.remedy))


def described(topic: Topic) -> str:
    """``12 partitions, 3 replicas, messages up to 1,048,588 bytes, kept for 7 d``."""
    parts = [counted(len(topic.partitions), "partition"), counted(topic.replication, "replica")]
    if "max.message.bytes" in topic.config:
        parts.append(f"messages up to {max_bytes(topic.config):,} bytes")
    if kept := retention(topic.config):
        parts.append(f"kept {kept}")
    return ", ".join(parts)


def retention(config: Mapping[str, str]) -> str:
    """``for 7 d``, ``for ever``; empty where it is not told."""
    milliseconds = config.get("retention.ms")
    if milliseconds is None:
        return ""
    time = "for ever" if int(milliseconds) < 0 else f"for {span(timedelta(milliseconds=int(milliseconds)))}"
    size = int(config.get("retention.bytes", -1))
    return time if size < 0 else f"{time} and up to {size:,} bytes a partition"


def _subject(role: Role) -> str:
    return f"topic {role.topic}"


def _set(topic: str, setting: str) -> str:
    return f"Set it: kafka-configs --alter --topic {topic} --add-config {setting}."


def _listed(numbers: Sequence[int]) -> str:
    word = "partition" if len(numbers) == 1 else "partitions"
    return f"{word} {', '.join(map(str, numbers))}"


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}."
