"""``llm-service demo``: the whole path on embedded parts, from a producer's message to its result."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Coroutine
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from llm_service.cli.exit_codes import ExitCode
from llm_service.cli.options import env_file_option, json_option

if TYPE_CHECKING:
    from llm_service.cli.demonstration.screen import Screen


_EXAMPLES = """\b
Examples:
  llm-service demo                        the sample documents, which come with it
  llm-service demo letter.pdf act.docx    documents of your own
  llm-service demo --prompt-id 1 --json   for programs
  llm-service demo --keep                 and afterwards tasks from another terminal

\b
Exit codes: 0 all succeeded, 1 one did not, 2 a file can't be used, 78 the settings of a provider are
wrong, 130 Ctrl-C.
"""


@click.command("demo", epilog=_EXAMPLES)
@click.argument("files", nargs=-1, type=click.Path(path_type=Path), metavar="[FILE]...")
@click.option(
    "--keep", is_flag=True, help="Go on afterwards: say how to send tasks, and show them, until Ctrl-C."
)
@click.option("--prompt-id", type=click.IntRange(0, 2_147_483_647), help="Prompt for all documents.")
@json_option
@env_file_option
def command(
    *, files: tuple[Path, ...], keep: bool, prompt_id: int | None, as_json: bool, env_file: Path
) -> None:
    """Show the whole path: tasks in, statuses and results out.

    Starts a Kafka broker in memory, a folder as object store and the real worker, sends each FILE (or the sample
    documents) as a task, and shows what the status topic says. Letters and envelopes are asked with prompt 3, others
    with prompt 1. GigaChat or Ollama answer when they are configured; nothing else of .env is used.
    """
    # What follows is slow to import. Nothing is there yet that an end at once would leave behind.
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda came, _: os._exit(128 + came))
    from llm_service.cli.demonstration.documents import choose, reads_documents
    from llm_service.cli.demonstration.play import Play, play
    from llm_service.cli.submission.source import SourceUnusable
    from llm_service.resilience.clock import SystemClock

    try:
        documents = choose(files, prompt_id, has_documents=reads_documents())
    except SourceUnusable as unusable:
        click.echo(str(unusable), err=True)
        sys.exit(ExitCode.USAGE)
    performance = play(Play(documents, env_file, keep, SystemClock()), _screen(as_json=as_json))
    sys.exit(asyncio.run(_to_its_end(performance)))


async def _to_its_end(performance: Coroutine[Any, Any, int]) -> int:
    code = await performance
    if code > 128:
        # All is put away. A thread may still ask the embedded broker for its topics, which is gone and never answers: ten
        # seconds for which the loop's end would wait.
        from llm_service.cli.conduct import leave

        leave(code)
    return code


def _screen(*, as_json: bool) -> Screen:
    from rich.console import Console

    from llm_service.cli.demonstration.json_screen import JsonScreen
    from llm_service.cli.demonstration.live_screen import LiveScreen
    from llm_service.cli.demonstration.plain_screen import PlainScreen

    for stream in (sys.stdout, sys.stderr):
        # A document may hold what a terminal of another encoding can't show.
        getattr(stream, "reconfigure", lambda **_: None)(errors="backslashreplace")
    if as_json:
        return JsonScreen(sys.stdout)
    console = Console(highlight=False)
    if console.is_terminal and not console.is_dumb_terminal:
        return LiveScreen(console, Console(stderr=True, highlight=False))
    return PlainScreen(sys.stdout, sys.stderr)
