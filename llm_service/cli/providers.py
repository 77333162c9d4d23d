"""``llm-service providers``: who could answer, who would, how much may be asked of them, and what it costs."""

from __future__ import annotations

from pathlib import Path

import click

from llm_service.cli.options import env_file_option, json_option

_EXAMPLES = """\b
Examples:
  llm-service providers                     all that are installed
  llm-service providers --offline           the same, and nobody is asked
  llm-service providers --json | jq -r 'select(.configured and .reachable == false) | .reason'

\b
Exit codes: 0 all that are configured answer; 3 one does not; 78 the settings are wrong.
"""


@click.command("providers", epilog=_EXAMPLES)
@click.option("--offline", is_flag=True, help="Ask nobody whether he answers, and which models he has.")
@click.option(
    "--timeout",
    type=click.FloatRange(0.1, 600),
    default=8.0,
    show_default=True,
    metavar="SECONDS",
    help="How long each is waited for.",
)
@json_option
@env_file_option
def command(*, offline: bool, timeout: float, as_json: bool, env_file: Path) -> None:
    """Show the providers that are installed: whether they are configured and answer, their models, limits and prices.

    What is asked costs nothing. An unknown price is shown as unknown.
    """
    from llm_service.cli.supply.listing import show
    from llm_service.container.inspection import settings_in_force

    show(settings_in_force(env_file), timeout_s=None if offline else timeout, as_json=as_json)
