"""``llm-service topics create``: what is missing is planned, told and made."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from datetime import timedelta

from llm_service.cli.checking.kafka_topics import Role
from llm_service.cli.checking.wording import counted, span
from llm_service.cli.exit_codes import ExitCode
from llm_service.cli.printable import json_line, printable_line
from llm_service.cli.topology.inventory import Entry, Inventory, take
from llm_service.errors import DependencyUnavailable
from llm_service.kafka.cluster import NotPermitted
from llm_service.kafka.creation import (
    BROKER_DEFAULT_MAX_BYTES,
    PARTITIONS,
    Surroundings,
    TopicPlan,
    create,
    plan_dead_letters,
    plan_retries,
    plan_status,
    plan_tasks,
)
from llm_service.settings import Settings

# A topic is there in 0.1 s; a controller that is being elected takes some seconds.
_MAKE_S = 15.0


@dataclass(frozen=True, slots=True)
class Wish:
    """What the user asks for; None leaves it to the plan."""

    partitions: int | None
    replication: int | None
    dry_run: bool


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one topic."""

    role: str
    topic: str
    action: str
    """``exists``, ``made``, ``would be made``, ``refused``."""
    partitions: int | None
    replication: int | None
    config: Mapping[str, str]
    reason: str | None = None
    """Why it is refused."""


def make(settings: Settings, wish: Wish, *, as_json: bool) -> ExitCode:
    """Make what is missing and print what was done. Raises DependencyUnavailable, SettingsInvalid."""
    inventory = take(settings)
    outcomes = _made(inventory, settings, wish)
    for outcome in outcomes:
        print(json_line(asdict(outcome)) if as_json else printable_line(_line(outcome)))
    for entry in inventory.entries:
        for remark in _remarks(entry, wish):
            print(printable_line(f"{entry.role.topic} is left as it is: {remark}"), file=sys.stderr)
    if wish.dry_run:
        print("Nothing was changed.", file=sys.stderr)
    return ExitCode.FAILED if any(outcome.action == "refused" for outcome in outcomes) else ExitCode.OK


def _made(inventory: Inventory, settings: Settings, wish: Wish) -> list[Outcome]:
    around = _surroundings(inventory, wish)
    partitions = _partitions(inventory.entries[0], wish)
    refused: dict[str, str] = {}
    plans: dict[str, TopicPlan] = {}
    for entry in inventory.entries:
        reason = _unclear(entry, inventory, settings)
        if reason is not None:
            refused[entry.role.topic] = reason
        elif entry.topic is None:
            plan = _plan(entry.role, partitions, around, settings)
            plans[plan.name] = plan
            if entry is inventory.entries[0]:
                around = replace(around, tasks_max_bytes=_largest(plan.config, around.tasks_max_bytes))
    answers = create(inventory.cluster, list(plans.values()), _MAKE_S, dry_run=wish.dry_run)
    refused |= {name: _refusal(error) for name, error in answers.items() if error is not None}
    return [
        _outcome(entry, plans.get(entry.role.topic), refused.get(entry.role.topic), wish)
        for entry in inventory.entries
    ]


def _plan(role: Role, partitions: int, around: Surroundings, settings: Settings) -> TopicPlan:
    if role.setting == "KAFKA_DLQ_TOPIC":
        return plan_dead_letters(role.topic, partitions, around)
    if role.setting == "KAFKA_RETRY_TOPIC":
        return plan_retries(role.topic, around)
    if "WRITE" in role.needs:
        return plan_status(role.topic, partitions, around, settings.kafka.message_max_bytes)
    return plan_tasks(role.topic, partitions, around)


def _unclear(entry: Entry, inventory: Inventory, settings: Settings) -> str | None:
    """Why a topic that is not seen must not be made."""
    if entry.hidden is not None:
        return f"it can't be seen whether it is there ({entry.hidden}): grant DESCRIBE on it"
    tasks = inventory.entries[0]
    is_status = entry.topic is None and entry.role.setting == "KAFKA_STATUS_TOPIC"
    if is_status and settings.kafka.status_topic is None and tasks.messages:
        # A platform is at work on the tasks topic, and its readers may wait for statuses right there.
        return (
            f"{tasks.role.topic} is in use, and nobody says where its readers take statuses from: set "
            f"KAFKA_STATUS_TOPIC={tasks.role.topic} if from there, or KAFKA_STATUS_TOPIC={entry.role.topic}"
        )
    return None


def _surroundings(inventory: Inventory, wish: Wish) -> Surroundings:
    brokers = inventory.metadata.brokers
    tasks = inventory.entries[0].topic
    of_broker = inventory.cluster.broker_config(brokers[0].id).get("message.max.bytes")
    default = int(of_broker or BROKER_DEFAULT_MAX_BYTES)
    largest = _largest(tasks.config, default) if tasks is not None else default
    return Surroundings(len(brokers), largest, wish.replication)


def _largest(config: Mapping[str, str], default: int) -> int:
    return int(config.get("max.message.bytes", default))


def _partitions(tasks: Entry, wish: Wish) -> int:
    return wish.partitions or (len(tasks.topic.partitions) if tasks.topic is not None else PARTITIONS)


def _refusal(error: DependencyUnavailable) -> str:
    if isinstance(error, NotPermitted):
        return f"{error.message}: grant CREATE on it to this user, or have it made by an administrator"
    return error.message


def _outcome(entry: Entry, plan: TopicPlan | None, refused: str | None, wish: Wish) -> Outcome:
    role, topic = entry.role, entry.topic
    if topic is not None:
        return Outcome(role.name, topic.name, "exists", len(topic.partitions), topic.replication, {}, None)
    action = "refused" if refused is not None else "would be made" if wish.dry_run else "made"
    if plan is None:
        return Outcome(role.name, role.topic, action, None, None, {}, refused)
    return Outcome(
        role.name, plan.name, action, plan.partitions, plan.replication, dict(plan.config), refused
    )


def _line(outcome: Outcome) -> str:
    """``made           status        tasks_llm_status: 12 partitions, 1 replica, …``."""
    line = f"{outcome.action:<13}  {outcome.role:<12}  {outcome.topic}: "
    if outcome.action == "refused":
        return line + (outcome.reason or "")
    parts = [counted(outcome.partitions or 0, "partition"), counted(outcome.replication or 0, "replica")]
    for name, value in outcome.config.items():
        told = f" ({span(timedelta(milliseconds=int(value)))})" if name == "retention.ms" else ""
        parts.append(f"{name}={value}{told}")
    return line + ", ".join(parts)


def _remarks(entry: Entry, wish: Wish) -> list[str]:
    """In what a topic that exists is not what is asked for or as it must be."""
    topic = entry.topic
    if topic is None:
        return []
    remarks = [f"{fault.seen}. {fault.remedy}" for fault in entry.faults]
    has = len(topic.partitions)
    is_retry = entry.role.setting == "KAFKA_RETRY_TOPIC"  # it has a number of its own
    if not is_retry and wish.partitions is not None and wish.partitions != has:
        more = f"kafka-topics --alter --topic {topic.name} --partitions {wish.partitions} adds some."
        remarks.append(
            f"it has {counted(has, 'partition')}, not {wish.partitions}. "
            + (more if wish.partitions > has else "Partitions can't be taken away.")
        )
    if wish.replication is not None and wish.replication != topic.replication:
        remarks.append(
            f"it has {counted(topic.replication, 'replica')}, not {wish.replication}. "
            "kafka-reassign-partitions changes that."
        )
    return remarks
