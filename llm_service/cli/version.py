"""``llm-service version``."""

from __future__ import annotations

import click

from llm_service import __version__

_EXAMPLES = """\b
Examples:
  llm-service version
"""


@click.command("version", help="Print the version.", epilog=_EXAMPLES)
def command() -> None:
    click.echo(__version__)
