"""``llm-service prompts``: the catalogue of prompts."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from llm_service.cli.options import env_file_option, json_option

if TYPE_CHECKING:
    from llm_service.prompts.catalogue import Catalogue

_EXAMPLES = """\b
Examples:
  llm-service prompts                           what there is
  llm-service prompts list --json | jq -r .name
  llm-service prompts show 3                    the whole of prompt 3, with its schema
  llm-service prompts check my-prompts.yaml     is it right? Names file, prompt and field where not
"""
_LIST_EXAMPLES = """\b
Examples:
  llm-service prompts list
  PROMPTS_FILE=my-prompts.yaml llm-service prompts list --json
"""
_SHOW_EXAMPLES = """\b
Examples:
  llm-service prompts show 3
  llm-service prompts show 3 --json | jq .response_schema > schema.json
"""
_CHECK_EXAMPLES = """\b
Examples:
  llm-service prompts check my-prompts.yaml && kill -HUP "$WORKER_PID"
  llm-service prompts check "$PROMPTS_FILE" --json

\b
Exit codes: 0 the file is right, 78 it is not, and each finding was named on stderr.
"""


@click.group("prompts", epilog=_EXAMPLES, invoke_without_command=True)
@json_option
@env_file_option
@click.pass_context
def command(ctx: click.Context, *, as_json: bool, env_file: Path) -> None:
    """Show and check the prompt catalogue: the file of PROMPTS_FILE, or the one that is shipped.

    Without a subcommand it lists the prompts.
    """
    if ctx.invoked_subcommand is None:
        _list(env_file, as_json=as_json)


@command.command("list", epilog=_LIST_EXAMPLES)
@json_option
@env_file_option
def list_prompts(*, as_json: bool, env_file: Path) -> None:
    """List the prompts: number, name, who answers, and whether there is a schema and a verdict."""
    _list(env_file, as_json=as_json)


@command.command("show", epilog=_SHOW_EXAMPLES)
@click.argument("prompt_id", type=click.IntRange(min=0), metavar="ID")
@json_option
@env_file_option
def show_prompt(*, prompt_id: int, as_json: bool, env_file: Path) -> None:
    """Show all of one prompt."""
    from llm_service.cli.printable import json_line
    from llm_service.cli.prompt_shown import prompt_object, prompt_text

    prompt = _in_force(env_file).get(prompt_id)
    click.echo(json_line(prompt_object(prompt)) if as_json else prompt_text(prompt))


@command.command("check", epilog=_CHECK_EXAMPLES)
@click.argument("file", type=click.Path(path_type=Path))
@json_option
def check_file(*, file: Path, as_json: bool) -> None:
    """Check a catalogue before a worker reads it."""
    from llm_service.cli.printable import json_line, printable_line
    from llm_service.prompts.catalogue import Catalogue

    catalogue = Catalogue.load(file)
    if as_json:
        click.echo(json_line({"file": str(file), "prompts": sorted(catalogue.prompts)}))
        return
    count = len(catalogue.prompts)
    click.echo(f"{printable_line(str(file))} is right: {count} prompt{'s' if count != 1 else ''}.")


def _list(env_file: Path, *, as_json: bool) -> None:
    from llm_service.cli.printable import json_line, printable_line
    from llm_service.cli.prompt_shown import prompt_lines, prompt_summary, prompt_table

    catalogue = _in_force(env_file)
    prompts = [catalogue.prompts[prompt_id] for prompt_id in sorted(catalogue.prompts)]
    if as_json:
        for prompt in prompts:
            click.echo(json_line(prompt_summary(prompt)))
        return
    if not sys.stdout.isatty():
        for line in prompt_lines(prompts):
            click.echo(line)
        return
    from rich.console import Console

    Console(highlight=False).print(prompt_table(prompts))
    click.echo(f"From {printable_line(str(catalogue.path))}.", err=True)


def _in_force(env_file: Path) -> Catalogue:
    """Raises SettingsInvalid, PromptCatalogueInvalid."""
    from llm_service.prompts.catalogue import Catalogue
    from llm_service.settings import load

    return Catalogue.load(load(env_file).worker.prompts_file)
