"""``llm-service config``: the settings in force, and where each comes from."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click
from click.shell_completion import CompletionItem

from llm_service.cli.options import env_file_option, json_option

if TYPE_CHECKING:
    from llm_service.settings.in_force import InForce

_EXAMPLES = """\b
Examples:
  llm-service config                          all settings, where each comes from
  llm-service config --changed                those that differ from their default
  llm-service config KAFKA_GROUP_ID           one, with what it is and what is expected
  llm-service config --env-file prod.env      is that file right? Names all that is wrong
  llm-service config | grep -v default$       what was set somewhere
  llm-service config --json | jq -r 'select(.origin != "default") | .name'

\b
Values come from the environment, else from .env, else from the folder of SECRETS_DIR (/run/secrets),
else they are the defaults; NAME_FILE names a file that holds the value of NAME. Of a secret it is
only said whether it is set.

\b
Exit codes: 0 the settings are right, 2 there is no such setting, 78 they are wrong, and all that is
wrong was named on stderr.
"""


def _names(_ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    from llm_service.settings import Settings
    from llm_service.settings.tree import walk

    found = (setting for setting in walk(Settings) if setting.name.startswith(incomplete.upper()))
    return [CompletionItem(setting.name, help=setting.description) for setting in found]


@click.command("config", epilog=_EXAMPLES)
@click.argument("names", nargs=-1, metavar="[NAME]...", shell_complete=_names)
@click.option("--changed", is_flag=True, help="Leave out what is as its default.")
@json_option
@env_file_option
def command(*, names: tuple[str, ...], changed: bool, as_json: bool, env_file: Path) -> None:
    """Show the settings in force and where each comes from; with NAME all about that one.

    Looks at everything that can be known without a network: values, files that are named, whether Kafka's client takes
    what it is given.
    """
    from llm_service.cli.printable import printable_line
    from llm_service.container.inspection import settings_in_force
    from llm_service.settings.in_force import in_force

    asked = _known(names)
    settings = settings_in_force(env_file)
    for warning in settings.warnings():
        click.echo(f"warning: {printable_line(warning)}", err=True)
    rows = [row for row in in_force(settings) if not asked or row.setting.name in asked]
    _show([row for row in rows if row.is_changed or not changed], in_full=bool(asked), as_json=as_json)


def _known(names: Sequence[str]) -> frozenset[str]:
    """The shown names of these settings, in whatever case and by whichever name they were asked for."""
    from llm_service.settings import Settings
    from llm_service.settings.families import nearest_of
    from llm_service.settings.tree import walk

    shown = {name: setting.name for setting in walk(Settings) for name in setting.names}
    for name in names:
        if name.upper() not in shown:
            meant = " or ".join(nearest_of(name, shown))
            hint = f"did you mean {meant}?" if meant else "`llm-service config` shows all there are."
            raise click.UsageError(f"There is no setting {name}: {hint}")
    return frozenset(shown[name.upper()] for name in names)


def _show(rows: Sequence[InForce], *, in_full: bool, as_json: bool) -> None:
    from llm_service.cli.configuration import shown
    from llm_service.cli.printable import json_line

    if as_json:
        for row in rows:
            click.echo(json_line(shown.as_object(row)))
    elif in_full:
        click.echo("\n\n".join("\n".join(shown.in_full(row)) for row in rows))
    elif sys.stdout.isatty():
        _show_table(rows)
    else:
        for row in rows:
            click.echo(shown.plain_line(row))


def _show_table(rows: Sequence[InForce]) -> None:
    from rich.console import Console

    from llm_service.cli.configuration.table import MARK, settings_table

    console = Console(highlight=False)
    console.print(settings_table(rows, console.width))
    count = sum(row.is_changed for row in rows)
    click.echo(f"\n{MARK} differs from its default: {count} of {len(rows)} shown.", err=True)
