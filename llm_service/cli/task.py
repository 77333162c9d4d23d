"""``llm-service task``: what became of one task."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import click

from llm_service.cli.options import env_file_option, json_option
from llm_service.cli.watching.start import Edge, parse_start

_EXAMPLES = """\b
Examples:
  llm-service task "$ID"                    its messages, statuses and dead letters, and what to do
  llm-service task "$ID" --since 2h         read no more than the last two hours
  llm-service task "$TRACE_ID"              by its trace id
  llm-service task "$ID" --json | jq -r 'select(.kind == "state") | .state'

\b
Exit codes: 0 something is known of it; 1 nothing is, and where was looked is said; 69 Kafka can't be
reached or --timeout is over; 78 the settings are wrong; 130 Ctrl-C.
"""


class _SinceParam(click.ParamType[datetime]):
    name = "TIME"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> datetime:
        try:
            start = parse_start(str(value), datetime.now(UTC))
        except ValueError as error:
            self.fail(str(error), param, ctx)
        if isinstance(start, Edge):
            self.fail("a duration such as 2h or a time such as 2026-11-20T09:10 is expected", param, ctx)
        return start


@click.command("task", epilog=_EXAMPLES)
@click.argument("task_id", metavar="ID")
@click.option(
    "--since",
    type=_SinceParam(),
    help="Read from there: a duration back such as 2h, or a time such as 2026-11-20T09:10. Without it: all there is.",
)
@click.option(
    "--timeout",
    type=click.FloatRange(0, 1e9, min_open=True),
    default=600.0,
    show_default=True,
    metavar="SECONDS",
    help="Read no longer than this.",
)
@json_option
@env_file_option
def command(*, task_id: str, since: datetime | None, timeout: float, as_json: bool, env_file: Path) -> None:
    """Show all that is known of a task: by its ID, or by its trace ID.

    Its messages on the tasks topic, each status with worker, attempt and run, also those of transactions that were
    aborted, its dead letters and what became of them, its rows in PostgreSQL where that is configured, where the
    group stands; and in the last line what state it is in and what to do. Nothing is changed.

    The partition of the key is read first, the others only where the task and its answer are not both there.
    """
    from llm_service.cli.conduct import conduct
    from llm_service.cli.tracing.course import Question, trace
    from llm_service.cli.watching.choice import forgive_encodings
    from llm_service.settings import load

    forgive_encodings()
    settings = load(env_file)
    conduct(lambda: trace(settings, Question(task_id.strip(), since, timeout), as_json=as_json))
