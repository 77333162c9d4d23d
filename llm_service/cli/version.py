"""``llm-service version``."""

from __future__ import annotations

import click

from llm_service import __version__


@click.command("version", help="Print the version.")
def command() -> None:
    click.echo(__version__)
