"""``llm-service adopt``: the first start on topics that another service has worked on."""

from __future__ import annotations

from pathlib import Path

import click

from llm_service.cli.options import env_file_option, json_option

_EXAMPLES = """\b
Examples:
  llm-service adopt                         what is answered, and what would run; changes nothing
  llm-service adopt --apply                 write it as the group's offsets; then start the workers
  llm-service adopt --reset                 the same for a group that has offsets already: which tasks
                                            had it passed without an answer?
  llm-service adopt --reset --apply         and have them run
  llm-service adopt --rerun-failed          as if FAILED were no answer
  llm-service adopt --json | jq -r 'select(.kind == "total") | .to_run'

\b
Exit codes: 0 shown, or written; 1 --apply is refused, and why is said; 69 Kafka can't be reached or
may not be read; 78 the settings are wrong; 130 Ctrl-C.
"""


@click.command("adopt", epilog=_EXAMPLES)
@click.option("--apply", "applies", is_flag=True, help="Write the group's offsets and offset maps.")
@click.option("--dry-run", is_flag=True, help="Only show what would be written. This is the default.")
@click.option(
    "--reset",
    "--force",
    "reset",
    is_flag=True,
    help="Also where the group has offsets already: they are replaced.",
)
@click.option("--rerun-failed", is_flag=True, help="Run again what ended as FAILED.")
@click.option(
    "--unknown",
    type=click.Choice(["run", "answered"]),
    help="What to do with tasks that have no answer and are older than the oldest status that retention has left: run "
    "them (some may be answered twice), or take them for answered (some may never be).",
)
@json_option
@env_file_option
def command(
    *,
    applies: bool,
    dry_run: bool,
    reset: bool,
    rerun_failed: bool,
    unknown: str | None,
    as_json: bool,
    env_file: Path,
) -> None:
    """Tell a new group which tasks are answered, so that its workers run the others only.

    Reads the status topic and the tasks topic, and shows for each partition what is answered and what is not.
    With --apply the lowest unanswered task becomes the group's committed offset, and what is answered above it is
    written beside it, as the workers themselves do. A task is answered when a SUCCESS or FAILED of its id was written
    after it. Stop the old service before: what it answers meanwhile would be answered twice.

    A worker does the same by itself when its group has no offset yet and statuses are there (KAFKA_ADOPT=auto).
    """
    if applies and dry_run:
        raise click.UsageError("--apply and --dry-run exclude each other.")
    from llm_service.cli.adopting.course import Wish, adopt
    from llm_service.cli.conduct import conduct
    from llm_service.settings import load

    settings = load(env_file)
    wish = Wish(applies=applies, reset=reset, rerun_failed=rerun_failed, unknown=unknown)
    conduct(lambda: adopt(settings, wish, as_json=as_json))
