"""``llm-service``: the commands, each imported only when it is called."""

from __future__ import annotations

from importlib import import_module

import click

_COMMANDS = {
    "run": "Run the worker until it is told to stop.",
    "demo": "Show the whole path on embedded parts: tasks in, statuses and results out.",
    "version": "Print the version.",
}


class _Lazy(click.Group):
    """A group that imports a command's module when that command is called: help stays quick."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _COMMANDS:
            return None
        command = import_module(f"llm_service.cli.{cmd_name}").command
        if not isinstance(command, click.Command):
            raise TypeError(f"llm_service.cli.{cmd_name}.command is no command")
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(_COMMANDS.items()))


@click.command(cls=_Lazy, context_settings={"help_option_names": ["-h", "--help"]})
def main() -> None:
    """A Kafka worker that turns documents and prompts into LLM results and never loses one."""
