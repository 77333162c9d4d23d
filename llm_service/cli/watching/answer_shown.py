"""An answer or a reason on a terminal: a panel where there are colours, lines where there are none."""

from __future__ import annotations

from collections.abc import Mapping

from rich import box
from rich.console import RenderableType
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from llm_service.cli.printable import printable, printable_line
from llm_service.cli.watching.answer import Answer, Fields, read_answer, read_error
from llm_service.contract.status import Status

SHOWN_ANSWER_CHARS = 6000
"""Three screens of text; the whole of it is in --json."""
STYLES = {Status.PENDING: "cyan", Status.PROCESSING: "cyan", Status.SUCCESS: "green", Status.FAILED: "red"}
_EXCERPT_CHARS = 300


def shorten(text: str) -> str:
    """An answer, bounded for a terminal."""
    left = len(text) - SHOWN_ANSWER_CHARS
    return text if left <= 0 else f"{text[:SHOWN_ANSWER_CHARS]}\n… {left} characters more; --json shows all"


def answer_panel(title: str, detail: str, status: int, body: Mapping[str, object]) -> Panel:
    """Everything goes through ``Text``: rich's own markup in a document stays text."""
    head = Text(printable_line(title), "bold")
    if detail:
        head.append(f" · {printable_line(detail)}", "dim")
    style = STYLES[Status(status)] if status in {Status.SUCCESS, Status.FAILED} else "yellow"
    return Panel(_content(status, body), title=head, title_align="left", border_style=style, box=box.ROUNDED)


def answer_lines(status: int, body: Mapping[str, object]) -> list[str]:
    """The same as plain text."""
    if status == Status.FAILED:
        return [f"FAILED: {printable_line(read_error(body))}"]
    if status != Status.SUCCESS:
        return ["no answer came"]
    answer = read_answer(body)
    if isinstance(answer, Fields):
        return [line for name, value in _bounded(answer) for line in _field(name, value)]
    return printable(shorten(answer.text)).split("\n")


def excerpt(status: int, body: object) -> str:
    """The beginning of what a status says, on one line; empty where it says nothing."""
    if not isinstance(body, Mapping):
        said = "" if body is None else str(body)
    elif status == Status.FAILED:
        said = read_error(body)
    elif status == Status.SUCCESS:
        answer = read_answer(body)
        # Some fields are as much as a line holds.
        rows = answer.rows[:20] if isinstance(answer, Fields) else ()
        said = "; ".join(f"{name}: {value[:_EXCERPT_CHARS]}" for name, value in rows) or _words(answer)
    else:
        said = str(body.get("model") or body.get("storage_path") or body.get("text") or "")
    return printable_line(" ".join(said[:_EXCERPT_CHARS].split()))


def _words(answer: Answer) -> str:
    return "{}" if isinstance(answer, Fields) else answer.text


def _content(status: int, body: Mapping[str, object]) -> RenderableType:
    if status == Status.FAILED:
        return Text(printable(shorten(read_error(body))), "red")
    if status != Status.SUCCESS:
        return Text("no answer came", "yellow")
    return _readable(read_answer(body))


def _readable(answer: Answer) -> RenderableType:
    if not isinstance(answer, Fields):
        return Text(printable(shorten(answer.text)).strip())
    fields = Table.grid(padding=(0, 2))
    fields.add_column(style="cyan", overflow="fold", max_width=28)
    fields.add_column(overflow="fold")
    for name, value in _bounded(answer):
        fields.add_row(Text(printable_line(name)), Text(printable(shorten(value))))
    return fields


def _bounded(answer: Fields) -> list[tuple[str, str]]:
    """As many fields as a terminal is shown; one that holds a book leaves room for the next."""
    shown: list[tuple[str, str]] = []
    room = SHOWN_ANSWER_CHARS
    for name, value in answer.rows:
        if room <= 0:
            return [*shown, ("…", f"{len(answer.rows) - len(shown)} fields more; --json shows all")]
        shown.append((name[:_EXCERPT_CHARS], value))
        room -= len(name) + min(len(value), SHOWN_ANSWER_CHARS // 2)
    return shown


def _field(name: str, value: str) -> list[str]:
    first, *more = printable(shorten(value)).split("\n")
    return [f"{printable_line(name)}: {first}", *(f"  {line}" for line in more)]
