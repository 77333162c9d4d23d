"""``llm-service migrate``: the tables in PostgreSQL brought up to date."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from llm_service.cli.exit_codes import ExitCode
from llm_service.cli.options import env_file_option, json_option
from llm_service.cli.printable import json_line, printable_line

if TYPE_CHECKING:
    from llm_service.ledger.migrating import Migrated
    from llm_service.ledger.migrations import Migration

_EXAMPLES = """\b
Examples:
  llm-service migrate                       apply what is missing, and show all
  llm-service migrate --dry-run             show what is missing, and change nothing
  POSTGRES_USER=owner llm-service migrate   as a user who may make tables
  llm-service migrate --dry-run --json | jq -r 'select(.state == "missing") | .name'

\b
Safe from many at once, and while workers run: each migration is one
transaction, and only adds. A worker with the right to make tables does the
same at its start.

\b
Exit codes: 0 all are applied; 1 one is missing, refused, or newer than this
version; 69 the database does not answer; 78 the settings are wrong.
"""


@click.command("migrate", short_help="Bring the tables in PostgreSQL up to date.", epilog=_EXAMPLES)
@click.option("--dry-run", is_flag=True, help="Say what is missing, and change nothing.")
@json_option
@env_file_option
def command(*, dry_run: bool, as_json: bool, env_file: Path) -> None:
    """Bring the tables in PostgreSQL up to date: ledger, log of operations, and what an older service left there."""
    from llm_service.container.ledger import postgres_config
    from llm_service.errors import SettingsInvalid
    from llm_service.ledger import migrating
    from llm_service.settings import load

    settings = load(env_file)
    if not settings.postgres.enabled:
        raise SettingsInvalid("POSTGRES_ENABLED is not set: there is no database to migrate")
    work = migrating.look if dry_run else migrating.apply
    sys.exit(_show(asyncio.run(work(postgres_config(settings))), as_json=as_json))


def _show(done: Migrated, *, as_json: bool) -> ExitCode:
    for each in done.found:
        state = _state(each, done)
        if as_json:
            applied_at = each.applied_at.isoformat() if each.applied_at is not None else None
            print(
                json_line(
                    {"number": each.number, "name": each.name, "state": state, "applied_at": applied_at}
                )
            )
        else:
            when = f"{each.applied_at:%Y-%m-%d %H:%M:%S %Z}" if each.applied_at is not None else ""
            print(printable_line(f"{each.number:04} {each.name:<20} {state:<8} {when}").rstrip())
    if any(not each.known for each in done.found):
        click.echo(
            "The database is newer than this version of llm-service: it goes on with what it knows; upgrade it.",
            err=True,
        )
    whole = all(each.applied_at is not None and each.known for each in done.found)
    return ExitCode.OK if whole else ExitCode.FAILED


def _state(each: Migration, done: Migrated) -> str:
    if not each.known:
        return "newer"
    if each.applied_at is None:
        return "missing"
    return "made" if each.number in done.applied else "applied"
