"""``llm-service``: the commands, each imported only when it is called."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from difflib import get_close_matches
from importlib import import_module
from threading import current_thread, main_thread
from typing import Any

import click

from llm_service.cli.exit_codes import ExitCode, exit_code_of
from llm_service.cli.streams import written_streams
from llm_service.errors import ServiceError

_COMMANDS = {
    "run": "Run the worker until it is told to stop.",
    "demo": "Show the whole path on embedded parts: tasks in, statuses and results out.",
    "submit": "Send files or text as tasks.",
    "watch": "Follow the status topic, live.",
    "task": "Show all that is known of a task, and what to do.",
    "check": "Look at everything the worker needs, and say what to do where something is wrong.",
    "providers": "Show the providers: installed, configured, reachable, limited and priced.",
    "ask": "Ask a provider directly, without Kafka.",
    "config": "Show the settings in force and where each comes from.",
    "adopt": "Tell a new group which tasks are answered already: the first start on existing topics.",
    "topics": "Show the topics, and create those that are missing.",
    "dlq": "Dead letters: show them, send them again, put them away.",
    "migrate": "Bring the tables in PostgreSQL up to date.",
    "prompts": "Show and check the prompt catalogue.",
    "drops": "Show the rules for dropped files, and try them.",
    "version": "Print the version.",
}

_EXAMPLES = """\b
Examples:
  llm-service check                          is everything there?
  llm-service submit contract.pdf --watch    send a document and wait for its answer
  llm-service watch | jq .task_id            follow all statuses as JSON lines
  llm-service COMMAND --help                 the options of a command, with examples

\b
Completion, for bash (zsh and fish likewise):
  eval "$(_LLM_SERVICE_COMPLETE=bash_source llm-service)"
"""


class _Lazy(click.Group):
    """A group that imports a command's module when that command is called: help stays quick."""

    def main(self, *args: Any, **extra: Any) -> Any:
        """The whole run of the program, help included: what it prints arrives, or that is said."""
        with _heeded_signals(), written_streams():
            return super().main(*args, **extra)

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _COMMANDS:
            return None
        command = import_module(f"llm_service.cli.{cmd_name}").command
        if not isinstance(command, click.Command):
            raise TypeError(f"llm_service.cli.{cmd_name}.command is no command")
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Name the nearest command where there is none of this name."""
        try:
            return super().resolve_command(ctx, args)
        except click.UsageError as error:
            if near := get_close_matches(args[0], _COMMANDS, n=1):
                raise click.UsageError(f"{error.message} Did you mean '{near[0]}'?", ctx) from error
            raise

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(_COMMANDS.items()))

    def invoke(self, ctx: click.Context) -> Any:
        """An error of ours is one sentence and its exit code, Ctrl-C is no error; a traceback means a bug."""
        try:
            return super().invoke(ctx)
        except ServiceError as error:
            click.echo(error.message, err=True)
            sys.exit(exit_code_of(error))
        except (KeyboardInterrupt, EOFError):
            sys.exit(ExitCode.INTERRUPTED)


@contextmanager
def _heeded_signals() -> Iterator[None]:
    """End at once by a signal, until the command itself listens: there is nothing to put away yet.

    Ctrl-C: as KeyboardInterrupt it may come up in a destructor or a C library's import, where it is printed and lost, and
    the command goes on. SIGTERM: the kernel spares process 1, a container's first, while it has no handler of its own.
    """
    before = signal.getsignal(signal.SIGINT)
    # Ignored, as under nohup, or somebody else's already: it stays.
    is_ours = before is signal.default_int_handler and current_thread() is main_thread()
    if is_ours:
        signal.signal(signal.SIGINT, _end)
    if os.getpid() == 1:
        signal.signal(signal.SIGTERM, _end)
    try:
        yield
    finally:
        if is_ours:
            signal.signal(signal.SIGINT, before)


def _end(number: int, _frame: object) -> None:
    os._exit(128 + number)


@click.command(cls=_Lazy, epilog=_EXAMPLES, context_settings={"help_option_names": ["-h", "--help"]})
def main() -> None:
    """A Kafka worker that turns documents and prompts into LLM results and never loses one."""
