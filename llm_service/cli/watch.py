"""``llm-service watch``: the status topic, live."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from llm_service.cli.options import env_file_option, json_option
from llm_service.cli.watching.start import Edge, Start, parse_start

if TYPE_CHECKING:
    from llm_service.settings import Settings

_EXAMPLES = """\b
Examples:
  llm-service watch                              everything from now on, until Ctrl-C
  llm-service watch | jq -c '[.task_id, .name]'  the same as JSON lines
  llm-service watch --from 10m                   and what came in the last ten minutes
  llm-service watch "$ID"                        one task: its answer, given already or still to come
  llm-service watch "$ID" --timeout 60 --json | tail -1 | jq -r .body.result

\b
Exit codes: 0 all given tasks succeeded, or none was given and --timeout is over; 1 one FAILED or
had no end within --timeout; 69 Kafka can't be reached; 78 the settings are wrong; 130 Ctrl-C.
"""


class _StartParam(click.ParamType[Start]):
    name = "beginning|end|TIME"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> Start:
        try:
            return parse_start(str(value), datetime.now(UTC))
        except ValueError as error:
            self.fail(str(error), param, ctx)


@click.command("watch", epilog=_EXAMPLES)
@click.argument("ids", nargs=-1, metavar="[ID]...")
@click.option(
    "--from",
    "start",
    type=_StartParam(),
    help="Where to begin: a duration back such as 10m, or a time such as 2026-11-20T09:10 (local where it names no "
    "zone). Without it: the beginning when IDs are given, else the end.",
)
@click.option(
    "--timeout",
    type=click.FloatRange(0, 1e9, min_open=True),
    metavar="SECONDS",
    help="Wait no longer than this.",
)
@json_option
@env_file_option
def command(
    *, ids: tuple[str, ...], start: Start | None, timeout: float | None, as_json: bool, env_file: Path
) -> None:
    """Follow the status topic: all tasks, or those of the given IDs until each has ended.

    On a terminal there is a table, the newest status at its bottom; in a pipe or with --json one JSON object a status.
    No consumer group is joined and nothing is committed: watching changes nothing for anybody. Where tasks and
    statuses share one topic a task is shown too, as PENDING.
    """
    from llm_service.cli.conduct import conduct
    from llm_service.cli.watching.choice import forgive_encodings
    from llm_service.settings import load

    forgive_encodings()
    settings = load(env_file)
    asked = tuple(dict.fromkeys(task_id.strip() for task_id in ids if task_id.strip()))
    begin = start or (Edge.BEGINNING if asked else Edge.END)
    conduct(lambda: _watch(settings, asked, begin, timeout, as_json=as_json))


async def _watch(
    settings: Settings, ids: tuple[str, ...], start: Start, timeout_s: float | None, *, as_json: bool
) -> int:
    from llm_service.cli.watching.choice import choose_view
    from llm_service.cli.watching.fates import Fates
    from llm_service.cli.watching.follow import Following
    from llm_service.cli.watching.opening import open_reader
    from llm_service.resilience.clock import SystemClock

    clock = SystemClock()
    view = choose_view(as_json=as_json, clock=clock, labels={})
    async with open_reader(settings, clock, start, ids) as reader:
        try:
            if not ids:
                view.talk(
                    f"Watching {reader.topic.name} ({reader.topic.partitions} partitions). Ctrl-C ends."
                )
            looks_back = start is not Edge.END
            return await Following(reader, view, Fates(ids), clock, timeout_s, looks_back).run()
        finally:
            view.close()
