"""``llm-service dlq list``: one row a letter, and how many there are for each reason."""

from __future__ import annotations

import sys
from collections import Counter

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from llm_service.cli.checking.wording import counted
from llm_service.cli.exit_codes import ExitCode
from llm_service.cli.letters.opening import reading, say
from llm_service.cli.letters.selection import Selection
from llm_service.cli.letters.shape import place, summary
from llm_service.cli.letters.tally import Tally
from llm_service.cli.printable import json_line, printable_line
from llm_service.kafka.letters import Letter
from llm_service.settings import Settings

# Of a reason, in a row: the rest is told by `show`.
_REASON_CHARS = 80


def show_list(settings: Settings, selection: Selection, *, as_json: bool) -> ExitCode:
    """Print them; counts are of all that are meant, whatever the limit. Raises DependencyUnavailable, SettingsInvalid."""
    table = _table()
    tally, resolved = Tally(), Counter[str]()
    with reading(settings) as reader:
        for found in reader.letters(reader.extent()):
            if not isinstance(found, Letter):
                tally.strangers += found.resolution is None
            elif not selection.takes(found):
                tally.resolved_before += found.resolution is not None
                tally.not_meant += found.resolution is None
            else:
                tally.done[found.decoded.letter.code] += 1
                resolved[found.resolution.how if found.resolution is not None else "unresolved"] += 1
                if selection.limit is not None and tally.total > selection.limit:
                    continue
                if as_json:
                    print(json_line(summary(found)))
                else:
                    table.add_row(*_cells(found))
    if not as_json and table.row_count:
        # A pipe has no width: no line is broken there.
        Console(highlight=False, width=None if sys.stdout.isatty() else 250).print(table)
    _count(settings.kafka.dlq_topic, selection, tally, resolved)
    return ExitCode.OK


def _table() -> Table:
    table = Table(box=box.SIMPLE_HEAD if sys.stdout.isatty() else None, pad_edge=False)
    for name in ("Letter", "When", "Code", "Task"):
        table.add_column(name, no_wrap=True)
    table.add_column("Reason", overflow="ellipsis", no_wrap=True)
    table.add_column("")
    return table


def _cells(letter: Letter) -> list[str | Text]:
    why = letter.decoded.letter
    state = letter.resolution.how if letter.resolution is not None else ""
    when = why.timestamp.astimezone().strftime("%Y-%m-%d %H:%M:%S")
    texts = [place(letter), when, why.code, letter.task_id, why.message[:_REASON_CHARS], state]
    return [Text(printable_line(text)) for text in texts]


def _count(topic: str, selection: Selection, tally: Tally, resolved: Counter[str]) -> None:
    if not tally.total:
        say(f"No letter on {topic} that is meant.")
    else:
        states = (
            f" ({', '.join(f'{how} {n:,}' for how, n in resolved.most_common())})"
            if len(resolved) > 1
            else ""
        )
        say(f"{counted(tally.total, 'letter')} on {topic}: {tally.by_code()}{states}.")
    if selection.limit is not None and tally.total > selection.limit:
        say(f"The first {selection.limit:,} are shown.")
    for sentence in tally.rest(topic):
        say(sentence)
