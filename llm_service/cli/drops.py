"""``llm-service drops``: the rules by which dropped files become tasks."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

import click

from llm_service.cli.options import env_file_option, json_option

if TYPE_CHECKING:
    from llm_service.contract.notification import Drop
    from llm_service.drops.rules import Rules
    from llm_service.settings import Settings

_EXAMPLES = """\b
Examples:
  llm-service drops                                  the rules, in the order they are asked
  llm-service drops test in/contract.pdf             which rule matches, and the task it makes
  llm-service drops list --json | jq -r .name
"""
_LIST_EXAMPLES = """\b
Examples:
  llm-service drops list
  DROP_RULES_FILE=new-drops.yaml llm-service drops list && cp new-drops.yaml drops.yaml

\b
Exit codes: 0 the rules are right, 78 they are not, and all that is wrong was named on stderr.
"""
_TEST_EXAMPLES = """\b
Examples:
  llm-service drops test "in/Договор № 1.pdf"
  llm-service drops test in/a.pdf --bucket incoming --json | jq -r .task.value
  llm-service drops test --notification told.json    a notification as the store sent it

\b
KEY is the object's own key, not encoded. The task's id is made of bucket, key and the
sequencer that only the store's notification tells: give --notification, or --sequencer.

\b
Exit codes: 0 it becomes a task, 1 it does not, 78 settings or rules are wrong.
"""


@click.group("drops", epilog=_EXAMPLES, invoke_without_command=True)
@json_option
@env_file_option
@click.pass_context
def command(ctx: click.Context, *, as_json: bool, env_file: Path) -> None:
    """Show the rules of DROP_RULES_FILE, and try them on a key.

    Without a subcommand it lists the rules.
    """
    if ctx.invoked_subcommand is None:
        _list(env_file, as_json=as_json)


@command.command("list", epilog=_LIST_EXAMPLES)
@json_option
@env_file_option
def list_rules(*, as_json: bool, env_file: Path) -> None:
    """List the rules in the order in which they are asked."""
    _list(env_file, as_json=as_json)


@command.command("test", epilog=_TEST_EXAMPLES)
@click.argument("key", required=False)
@click.option("--bucket", metavar="NAME", help="The bucket it is dropped into.  [default: MINIO_BUCKET_NAME]")
@click.option("--sequencer", metavar="TEXT", help="The drop's sequencer, for its task's id.")
@click.option("--size", type=click.IntRange(min=0), metavar="BYTES", help="The file's size.")
@click.option("--content-type", metavar="TYPE", help="What it was said to be.")
@click.option("--notification", type=click.File("rb"), help="A notification instead of a key; '-' is stdin.")
@json_option
@env_file_option
def test_key(
    *,
    key: str | None,
    bucket: str | None,
    sequencer: str | None,
    size: int | None,
    content_type: str | None,
    notification: BinaryIO | None,
    as_json: bool,
    env_file: Path,
) -> None:
    """Show which rule matches KEY, why those before it do not, and the task that it becomes."""
    from llm_service.cli.dropping.trial import trial_lines, trial_object, tried
    from llm_service.cli.exit_codes import ExitCode
    from llm_service.cli.printable import json_line
    from llm_service.contract.notification import Drop
    from llm_service.settings import load

    if (key is None) == (notification is None) or key == "":
        raise click.UsageError("Give a KEY, or --notification.")
    settings = load(env_file)
    rules = _rules(settings)
    if notification is not None:
        drops = _told(notification.read())
    else:
        name = settings.minio.bucket_name if bucket is None else bucket
        drops = [Drop(name, key or "", sequencer, None, size, content_type)]
    trials = [tried(drop, rules, settings.kafka.tasks_topic) for drop in drops]
    for trial in trials:
        for line in [json_line(trial_object(trial))] if as_json else trial_lines(trial):
            click.echo(line)
    made = bool(trials) and all(trial.record is not None for trial in trials)
    sys.exit(ExitCode.OK if made else ExitCode.FAILED)


def _told(value: bytes) -> list[Drop]:
    """The drops of a notification; what else it holds is said. Raises InvalidNotification."""
    from llm_service.cli.printable import printable_line
    from llm_service.contract.notification import parse_notification

    read = parse_notification(value)
    for fault in read.faults:
        click.echo(printable_line(f"A dead letter: {fault}."), err=True)
    for event in read.others:
        click.echo(printable_line(f"No file comes by {event}."), err=True)
    return list(read.drops)


def _list(env_file: Path, *, as_json: bool) -> None:
    from llm_service.cli.dropping.listing import rule_lines, rule_object, rule_table
    from llm_service.cli.printable import json_line, printable_line
    from llm_service.settings import load

    settings = load(env_file)
    rules = _rules(settings)
    if as_json:
        for rule in rules.rules:
            click.echo(json_line(rule_object(rule)))
        return
    if sys.stdout.isatty():
        from rich.console import Console

        Console(highlight=False).print(rule_table(rules.rules))
        click.echo(f"From {printable_line(str(rules.path))}.", err=True)
    else:
        for line in rule_lines(rules.rules):
            click.echo(line)
    if settings.kafka.file_drop_topic is None:
        click.echo("KAFKA_FILE_DROP_TOPIC is not set: no worker asks them.", err=True)


def _rules(settings: Settings) -> Rules:
    """Raises SettingsInvalid, PromptCatalogueInvalid."""
    from datetime import UTC, datetime

    from llm_service.container.drops import load_rules
    from llm_service.prompts.catalogue import Catalogue

    return load_rules(settings, Catalogue.load(settings.worker.prompts_file), datetime.now(UTC))
