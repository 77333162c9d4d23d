"""``llm-service topics``: the topics of the service as they are, and those that are missing made."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from llm_service.cli.options import env_file_option, json_option

_EXAMPLES = """\b
Examples:
  llm-service topics                        show them
  llm-service topics create --dry-run       show what would be made, and have the brokers check it
  llm-service topics create                 make what is missing
  llm-service topics --json | jq -r 'select(.exists | not) | .topic'

\b
Exit codes: 0 all are there, or made; 1 one is missing, or could not be made; 69 no broker answers;
78 the settings are wrong.
"""

_CREATE_EXAMPLES = """\b
What is made, unless the options say otherwise:
  tasks         12 partitions (so many workers can share them), kept for 14 days
  status        as many partitions as tasks, kept for 14 days
  dead letters  the same, kept for 90 days, with room for each task and the reason beside it
  retries       the same, kept for 14 days, with the same room
Each has a copy on 3 brokers where there are so many, of which 2 must have a message
(min.insync.replicas), and is never compacted. What exists is left as it is.

\b
Examples:
  llm-service topics create
  llm-service topics create --partitions 24 --replication 2
"""


@click.group("topics", invoke_without_command=True, epilog=_EXAMPLES)
@json_option
@env_file_option
@click.pass_context
def command(context: click.Context, *, as_json: bool, env_file: Path) -> None:
    """Show the topics of the service by what they are for, and what is wrong with them."""
    if context.invoked_subcommand is not None:
        context.obj = (as_json, env_file)
        return
    from llm_service.cli.topology.listing import show
    from llm_service.settings import load

    sys.exit(show(load(env_file), as_json=as_json))


@command.command("create", short_help="Make those that are missing.", epilog=_CREATE_EXAMPLES)
@click.option("--dry-run", is_flag=True, help="Say what would be made, and change nothing.")
@click.option(
    "--partitions",
    type=click.IntRange(1, 10_000),
    metavar="N",
    help="Partitions of each topic that is made, but for the one of retries, which has one.  [default: 12, or as many as "
    "tasks has]",
)
@click.option(
    "--replication",
    type=click.IntRange(1, 100),
    metavar="N",
    help="Copies of each topic that is made.  [default: 3, or as many as there are brokers]",
)
@json_option
@env_file_option
@click.pass_context
def create(
    context: click.Context,
    *,
    dry_run: bool,
    partitions: int | None,
    replication: int | None,
    as_json: bool,
    env_file: Path,
) -> None:
    """Make the topics that are missing, with settings that fit their role."""
    from llm_service.cli.topology.making import Wish, make
    from llm_service.settings import load

    outer_json, outer_file = context.obj
    chosen = context.get_parameter_source("env_file") is not click.core.ParameterSource.DEFAULT
    settings = load(env_file if chosen else outer_file)
    sys.exit(make(settings, Wish(partitions, replication, dry_run=dry_run), as_json=as_json or outer_json))
