"""``llm-service dlq``: dead letters listed, shown, sent again, put away; and workers that stopped over them resumed."""

from __future__ import annotations

import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

import click

from llm_service.cli.options import env_file_option, json_option

if TYPE_CHECKING:
    from llm_service.cli.letters.selection import Selection

F = TypeVar("F", bound=Callable[..., Any])

_CODES = """\
Exit codes: 0 done; 1 not all of it could be, or there is no such letter; 2 the command line is wrong;
69 Kafka or the object store can't be reached; 78 the settings are wrong; 130 Ctrl-C.
"""

_EXAMPLES = """\b
Examples:
  llm-service dlq list                                what failed, and how many for each reason
  llm-service dlq show 3/1017                         one of them whole, and what to do about it
  llm-service dlq replay --code file_not_found        send those again, once the cause is mended
  llm-service dlq purge --code invalid_message --yes  put away what will never work
  llm-service dlq resume                              workers that stopped over too many go on

\b
A letter is named by its place on the dead-letter topic, PARTITION/OFFSET, or by its task's id.
Letters that are done with are marked on that topic, and are not taken again.
"""

_LIST_EXAMPLES = f"""\b
Examples:
  llm-service dlq list --since 1h
  llm-service dlq list --code internal_error --limit 20
  llm-service dlq list --all --json | jq -r 'select(.resolved == null) | .task_id'

\b
{_CODES}"""

_SHOW_EXAMPLES = f"""\b
Examples:
  llm-service dlq show 3/1017
  llm-service dlq show 7b0e7a52-3a5f-4b61-9d0c-3a5f7b0e7a52 --json | jq .headers
  llm-service dlq show 3/1017 --raw > message.json

\b
{_CODES}"""

_REPLAY_EXAMPLES = f"""\b
Examples:
  llm-service dlq replay --dry-run                    what would be sent
  llm-service dlq replay --code file_not_found --since 2d
  llm-service dlq replay --rate 5/s                   gently, beside the tasks of the day
  llm-service dlq replay 3/1017 3/1020                these two

\b
Cut off by Ctrl-C or a crash, it is called again and sends what is left: each letter once.
A task that has succeeded meanwhile is answered with the same bytes, one that FAILED runs anew.

\b
{_CODES}"""

_PURGE_EXAMPLES = f"""\b
Examples:
  llm-service dlq purge --dry-run                     what would be put away and deleted
  llm-service dlq purge --code invalid_message --yes
  llm-service dlq purge --before 30d --yes            all older than that
  llm-service dlq purge --resolved --yes              mark nothing, delete what was done with before

\b
Kafka deletes from the beginning of a partition only: what is done with behind a letter that is not
stays until that one is done with too.

\b
{_CODES}"""

_RESUME_EXAMPLES = """\b
Examples:
  llm-service dlq resume

\b
Exit codes: 0 the word is written; 69 Kafka can't be reached; 78 the settings are wrong.
"""


class _Moment(click.ParamType[datetime]):
    """A duration back, or a time."""

    name = "TIME"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> datetime:
        from llm_service.cli.watching.start import parse_start

        try:
            found = parse_start(str(value), datetime.now(UTC))
        except ValueError:
            found = None
        if not isinstance(found, datetime):
            self.fail(f"{value!r} is neither a duration back such as 10m nor a time such as 2026-11-20T09:10")
        return found


class _Rate(click.ParamType[float]):
    name = "N[/s|/m|/h]"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> float:
        from llm_service.cli.letters.rate import parse_rate

        try:
            return parse_rate(str(value))
        except ValueError as error:
            self.fail(str(error), param, ctx)


def _filters(function: F) -> F:
    """What several of the commands choose letters by."""
    limit = click.IntRange(1, 1_000_000_000)
    for option in (
        click.option("--limit", type=limit, metavar="N", help="No more than so many."),
        click.option(
            "--topic", "topics", multiple=True, metavar="NAME", help="Whose original lay on this topic."
        ),
        click.option("--task", "tasks", multiple=True, metavar="ID", help="Of this task. Repeatable."),
        click.option("--until", "--before", "until", type=_Moment(), help="Given up before this."),
        click.option(
            "--since", type=_Moment(), help="Given up since: a duration back such as 2h, or a time."
        ),
        click.option("--code", "codes", multiple=True, metavar="CODE", help="Of this reason. Repeatable."),
    ):
        function = option(function)
    return function


@click.group("dlq", epilog=_EXAMPLES)
def command() -> None:
    """Dead letters: tasks that FAILED for good, as they came, with the reason."""


@command.command("list", short_help="Show them, and how many for each reason.", epilog=_LIST_EXAMPLES)
@_filters
@click.option("--all", "resolved_too", is_flag=True, help="Those too that are done with.")
@json_option
@env_file_option
def list_letters(*, as_json: bool, env_file: Path, **asked: Any) -> None:
    """Show the letters that wait for somebody: a table, or JSON lines; how many for each reason on stderr."""
    from llm_service.cli.letters.listing import show_list
    from llm_service.settings import load

    _forgive_encodings()
    sys.exit(show_list(load(env_file), _selection((), **asked), as_json=as_json))


@command.command("show", short_help="Show one, whole.", epilog=_SHOW_EXAMPLES)
@click.argument("which", metavar="ID|PARTITION/OFFSET")
@click.option("--raw", is_flag=True, help="Nothing but the bytes of its value.")
@json_option
@env_file_option
def show_letter(*, which: str, raw: bool, as_json: bool, env_file: Path) -> None:
    """Show a letter: the reason, the original with its headers, whether it is done with, and what to do."""
    from llm_service.cli.letters.showing import show
    from llm_service.settings import load

    _forgive_encodings()
    selection = _selection((which,), resolved_too=True)
    sys.exit(show(load(env_file), selection, which, as_json=as_json, raw=raw))


@command.command("replay", short_help="Send them again.", epilog=_REPLAY_EXAMPLES)
@click.argument("which", nargs=-1, metavar="[ID|PARTITION/OFFSET]...")
@_filters
@click.option("--rate", type=_Rate(), help="No faster than this, in letters a second (or /m, /h).")
@click.option("--dry-run", is_flag=True, help="Say what would be sent, and send nothing.")
@json_option
@env_file_option
def replay(
    *, which: tuple[str, ...], rate: float | None, dry_run: bool, as_json: bool, env_file: Path, **asked: Any
) -> None:
    """Send the originals to the tasks topic again, byte for byte, and mark their letters as done with."""
    from llm_service.cli.conduct import conduct
    from llm_service.cli.letters.replaying import Replay
    from llm_service.resilience.clock import SystemClock
    from llm_service.settings import load

    _forgive_encodings()
    selection = _selection(which, **asked)
    conduct(Replay(load(env_file), selection, rate, dry_run, as_json, SystemClock()).run)


@command.command("purge", short_help="Put away what is not to be sent again.", epilog=_PURGE_EXAMPLES)
@click.argument("which", nargs=-1, metavar="[ID|PARTITION/OFFSET]...")
@_filters
@click.option(
    "--resolved", "only_resolved", is_flag=True, help="Mark none; delete what was done with before."
)
@click.option("--dry-run", is_flag=True, help="Say what would be done, and change nothing.")
@click.option("--yes", is_flag=True, help="It is meant: what is deleted does not come back.")
@json_option
@env_file_option
def purge(
    *,
    which: tuple[str, ...],
    only_resolved: bool,
    dry_run: bool,
    yes: bool,
    as_json: bool,
    env_file: Path,
    **asked: Any,
) -> None:
    """Mark letters as done with, without sending them, and delete what is done with from the topic's beginning."""
    from llm_service.cli.conduct import conduct
    from llm_service.cli.letters.purging import Purge
    from llm_service.resilience.clock import SystemClock
    from llm_service.settings import load

    _forgive_encodings()
    if not (yes or dry_run):
        _refuse("What is deleted does not come back: look with --dry-run, then say --yes")
    if only_resolved and (which or any(asked.values())):
        _refuse("--resolved marks no letter, so there is none to choose")
    if only_resolved:
        asked["limit"] = 0
    selection = _selection(which, **asked)
    conduct(Purge(load(env_file), selection, dry_run, as_json, SystemClock()).run)


@command.command("resume", short_help="Let workers that stopped go on.", epilog=_RESUME_EXAMPLES)
@env_file_option
def resume(*, env_file: Path) -> None:
    """Tell all workers of the group that stopped over too many dead letters (DLQ_STOP_…) to go on."""
    from llm_service.cli.letters.resuming import resume as tell
    from llm_service.resilience.clock import SystemClock
    from llm_service.settings import load

    sys.exit(tell(load(env_file), SystemClock()))


def _selection(
    which: tuple[str, ...],
    *,
    tasks: tuple[str, ...] = (),
    since: datetime | None = None,
    until: datetime | None = None,
    **asked: Any,
) -> Selection:
    from llm_service.cli.letters.selection import Selection, parse_place

    places = {place for text in which if (place := parse_place(text)) is not None}
    ids = {text.strip() for text in which if parse_place(text) is None}
    if places and (ids or tasks):
        _refuse("Name letters by their places or by their tasks, not by both")
    if since is not None and until is not None and since >= until:
        _refuse("--since must lie before --until")
    return Selection(places=places, tasks=ids | set(tasks), since=since, until=until, **asked)


def _refuse(reason: str) -> NoReturn:
    raise click.UsageError(reason)


def _forgive_encodings() -> None:
    from llm_service.cli.watching.choice import forgive_encodings

    forgive_encodings()
