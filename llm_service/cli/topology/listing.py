"""``llm-service topics``: one row a topic, and below what is wrong with it."""

from __future__ import annotations

import sys
from collections.abc import Mapping

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from llm_service.cli.checking.finding import Verdict
from llm_service.cli.checking.kafka_topics import retention
from llm_service.cli.checking.wording import counted
from llm_service.cli.exit_codes import ExitCode
from llm_service.cli.printable import json_line, printable_line
from llm_service.cli.topology.inventory import Entry, Inventory, take
from llm_service.settings import Settings


def show(settings: Settings, *, as_json: bool) -> ExitCode:
    """Print what is there; FAILED where a topic can't serve. Raises DependencyUnavailable, SettingsInvalid."""
    inventory = take(settings)
    if as_json:
        for entry in inventory.entries:
            print(json_line(_fields(entry)))
    else:
        _show_table(inventory)
        for entry in inventory.entries:
            for finding in entry.faults:
                line = f"{finding.verdict.value}: {entry.role.topic}: {finding.seen}. {finding.remedy}"
                print(printable_line(line), file=sys.stderr)
    bad = any(finding.verdict is Verdict.FAILED for entry in inventory.entries for finding in entry.findings)
    return ExitCode.FAILED if bad else ExitCode.OK


def _show_table(inventory: Inventory) -> None:
    # A pipe has no width: no line is broken there.
    console = Console(highlight=False, width=None if sys.stdout.isatty() else 200)
    table = Table(box=box.SIMPLE_HEAD if sys.stdout.isatty() else None, pad_edge=False)
    for name in ("For", "Topic"):
        table.add_column(name, overflow="fold")
    for name in ("Partitions", "Replicas", "Largest message", "Messages"):
        table.add_column(name, justify="right")
    table.add_column("Kept")
    table.add_column("")
    for entry in inventory.entries:
        table.add_row(*_cells(entry))
    console.print(table)
    metadata = inventory.metadata
    print(f"Cluster {metadata.cluster_id}, {counted(len(metadata.brokers), 'broker')}.", file=sys.stderr)


def _cells(entry: Entry) -> list[str | Text]:
    name = Text(printable_line(entry.role.topic))
    topic = entry.topic
    state = _state(entry)
    if topic is None:
        return [entry.role.name, name, "", "", "", "", "", state]
    largest = topic.number("max.message.bytes")
    return [
        entry.role.name,
        name,
        str(len(topic.partitions)),
        str(topic.replication),
        "" if largest is None else f"{largest:,}",
        "" if entry.messages is None else f"{entry.messages:,}",
        retention(topic.config),
        state,
    ]


def _state(entry: Entry) -> Text:
    if entry.topic is None:
        return Text("missing", "yellow" if not entry.faults else "bold red")
    if any(finding.verdict is Verdict.FAILED for finding in entry.faults):
        return Text("FAILED", "bold red")
    return Text("warning", "yellow") if entry.faults else Text("ok", "green")


def _fields(entry: Entry) -> Mapping[str, object]:
    topic = entry.topic
    config = topic.config if topic is not None else {}
    return {
        "role": entry.role.name,
        "topic": entry.role.topic,
        "setting": entry.role.setting,
        "exists": topic is not None,
        "partitions": len(topic.partitions) if topic is not None else None,
        "replication": topic.replication if topic is not None else None,
        "max_message_bytes": topic.number("max.message.bytes") if topic is not None else None,
        "retention_ms": topic.number("retention.ms") if topic is not None else None,
        "cleanup_policy": config.get("cleanup.policy"),
        "min_insync_replicas": topic.number("min.insync.replicas") if topic is not None else None,
        "messages": entry.messages,
        "problems": [
            {"verdict": fault.verdict.value, "seen": fault.seen, "remedy": fault.remedy}
            for fault in entry.faults
        ],
    }
