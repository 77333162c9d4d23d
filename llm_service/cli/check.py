"""``llm-service check``: everything the worker needs, looked at; what to do where something is wrong."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from llm_service.cli.options import env_file_option, json_option

COMPONENTS = (
    *("kafka", "minio", "postgres", "gigachat", "ollama", "gguf"),
    *("openai", "openrouter", "moonshot", "qwen", "anthropic", "google", "compatible", "litellm"),
)

_EXAMPLES = """\b
Examples:
  llm-service check                         all that is configured
  llm-service check kafka minio             these two
  llm-service check --json | jq -r 'select(.verdict == "failed") | .remedy'
  llm-service check --live                  a container's health check

\b
Exit codes: 0 all is well, or there are only warnings; 3 something failed; 78 the settings are wrong.
"""


@click.command("check", epilog=_EXAMPLES)
@click.argument(
    "dependencies",
    nargs=-1,
    type=click.Choice(COMPONENTS, case_sensitive=False),
    metavar="[" + "|".join(COMPONENTS) + "]...",
)
@click.option("--live", is_flag=True, help="Ask only the running worker, over HTTP: is it alive?")
@click.option("--ready", is_flag=True, help="Ask only the running worker, over HTTP: does it take tasks?")
@json_option
@env_file_option
def command(*, dependencies: tuple[str, ...], live: bool, ready: bool, as_json: bool, env_file: Path) -> None:
    """Look at everything the worker needs, and say what to do where something is wrong.

    Without names, all that is configured is looked at; a dependency that is named and not configured fails. Nothing
    is changed, but for a probe object in the bucket that is deleted again.
    """
    if (live or ready) and dependencies:
        raise click.UsageError("--live and --ready ask the running worker: leave out the dependencies.")
    if live or ready:
        from llm_service.cli.checking.own_worker import ask
        from llm_service.settings import load

        sys.exit(ask(load(env_file), live=live, ready=ready, as_json=as_json))
    from llm_service.cli.checking.course import check
    from llm_service.container.inspection import settings_in_force

    check(settings_in_force(env_file), dependencies, as_json=as_json)
