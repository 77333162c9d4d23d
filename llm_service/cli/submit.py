"""``llm-service submit``: files or text, sent as tasks."""

from __future__ import annotations

import sys
import uuid
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from llm_service.cli.exit_codes import ExitCode
from llm_service.cli.options import env_file_option, json_option

if TYPE_CHECKING:
    from llm_service.cli.submission.request import Wanted
    from llm_service.settings import Settings

_EXAMPLES = """\b
Examples:
  llm-service submit letter.pdf                     print the task's id
  llm-service submit letter.pdf --watch             and wait for its answer
  llm-service submit *.docx --prompt-id 1           a task for each file
  llm-service submit a.pdf b.pdf --one-task --prompt "What differs?" --watch
  llm-service submit act.pdf --prompt "Fill it in." --schema act.json --param temperature=0
  echo "Где договор?" | llm-service submit --text - --prompt "Translate into English."
  llm-service submit *.pdf > ids && xargs llm-service watch < ids

\b
Exit codes: 0 sent (with --watch: all succeeded); 1 not all of it was sent, or a task FAILED or had no
end within --timeout; 2 the command line or a file is wrong, and nothing was sent; 69 Kafka or the
object store can't be reached; 78 the settings are wrong; 130 Ctrl-C.
"""


@click.command("submit", epilog=_EXAMPLES)
@click.argument("files", nargs=-1, type=click.Path(path_type=Path), metavar="[FILE]...")
@click.option("--prompt", metavar="TEXT", help="What to ask, in words of your own.")
@click.option(
    "--prompt-id",
    type=click.IntRange(0, 2_147_483_647),
    help="What to ask, by the number of a prompt: 'llm-service prompts' lists them.",
)
@click.option("--system-prompt", metavar="TEXT", help="What the model is told before the prompt.")
@click.option(
    "--text", metavar="TEXT|-", help="A text to work on, beside files or without any; - reads stdin."
)
@click.option("--provider", metavar="NAME", help="Who is to answer; otherwise the worker decides.")
@click.option("--model", metavar="NAME", help="Which of the provider's models.")
@click.option("--schema", metavar="FILE|JSON", help="JSON Schema that the answer is held to.")
@click.option(
    "--param",
    "params",
    multiple=True,
    metavar="NAME=VALUE",
    help="Parameter of the model, such as temperature=0.2 or max_tokens=500; the value is JSON or text. Repeatable.",
)
@click.option("--priority", metavar="low|normal|high|NUMBER", help="Higher goes first where tasks wait.")
@click.option(
    "--deadline",
    metavar="TIME",
    help="When it is too late: 10m from now, or a time such as 2026-11-20T09:10.",
)
@click.option(
    "--metadata",
    multiple=True,
    metavar="NAME=VALUE",
    help="A word of yours that travels with the task. Repeatable.",
)
@click.option("--task-id", metavar="ID", help="The task's id; otherwise a new UUID. For one task only.")
@click.option("--one-task", is_flag=True, help="All files in one task, instead of a task for each.")
@click.option("--watch", "is_watched", is_flag=True, help="Show the statuses, until each task has ended.")
@click.option(
    "--timeout",
    type=click.FloatRange(0, 1e9, min_open=True),
    metavar="SECONDS",
    help="With --watch: wait no longer than this.",
)
@json_option
@env_file_option
def command(*, is_watched: bool, timeout: float | None, as_json: bool, env_file: Path, **asked: Any) -> None:
    """Send each FILE, or a text, as a task, and print its id.

    Everything is checked before anything is sent. A file goes into the object store, then the task to Kafka; an id is
    printed once the brokers have acknowledged it. With --watch stdout is that of 'llm-service watch': a table and the
    answers on a terminal, JSON lines in a pipe.
    """
    from llm_service.cli.conduct import conduct
    from llm_service.cli.submission.course import Course
    from llm_service.cli.submission.request import RequestWrong
    from llm_service.cli.watching.choice import forgive_encodings
    from llm_service.resilience.clock import SystemClock
    from llm_service.settings import load

    forgive_encodings()
    if timeout is not None and not is_watched:
        raise click.UsageError("--timeout is of use with --watch only")
    settings = load(env_file)
    try:
        wanted = _wanted(settings, **asked)
    except RequestWrong as wrong:
        click.echo(f"{wrong}\nNothing was sent.", err=True)
        sys.exit(ExitCode.USAGE)
    course = Course(
        settings,
        wanted,
        SystemClock(),
        lambda: str(uuid.uuid4()),
        is_watched=is_watched,
        timeout_s=timeout,
        as_json=as_json,
    )
    conduct(course.run)


def _wanted(
    settings: Settings, *, files: tuple[Path, ...], task_id: str | None, one_task: bool, **asked: Any
) -> list[Wanted]:
    """Each task, checked. Raises RequestWrong, click.UsageError."""
    from datetime import UTC, datetime

    from llm_service.cli.submission.request import TaskOptions, Wanted, check, read_order, read_sources

    if not files and not (asked["text"] or "").strip():
        raise click.UsageError("There is nothing to work on: name a FILE, or give --text")
    if asked["text"] == "-":
        asked["text"] = _stdin()
    now = datetime.now(UTC)
    order = read_order(TaskOptions(**asked), now)
    sources = read_sources(files, settings.files.max_bytes)
    groups = [sources] if one_task or not sources else [(source,) for source in sources]
    if task_id is not None and len(groups) > 1:
        raise click.UsageError(
            f"--task-id names one task, and there are {len(groups)}: add --one-task, or leave it out"
        )
    wanted = [Wanted(group, order, task_id) for group in groups]
    doubts = [doubt for one in wanted for doubt in check(one, settings, now)]
    for doubt in dict.fromkeys(doubts):
        click.echo(f"Warning: {doubt}", err=True)
    return wanted


def _stdin() -> str:
    """Raises RequestWrong."""
    from llm_service.cli.submission.request import RequestWrong

    if sys.stdin.isatty():
        click.echo("Type the text; Ctrl-D on an empty line ends it.", err=True)
    try:
        text = sys.stdin.buffer.read().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise RequestWrong(f"the text on stdin is no UTF-8 (at byte {error.start})") from error
    if not text.strip():
        raise RequestWrong("the text on stdin is empty")
    return text
