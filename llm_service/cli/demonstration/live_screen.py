"""A terminal: one table that lives while the tasks move, then their answers."""

from __future__ import annotations

from pathlib import Path

from rich import box
from rich.console import Console, RenderableType
from rich.live import Live
from rich.panel import Panel
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text

from llm_service.cli.demonstration.answer import Answer, Fields, read_answer, read_error
from llm_service.cli.demonstration.arrivals import FAILED, NAMES, SUCCESS
from llm_service.cli.demonstration.board import PENDING, Board, Row
from llm_service.cli.demonstration.keeping import Keeping
from llm_service.cli.demonstration.screen import Opening, honest_lines, shorten, summary_line
from llm_service.cli.printable import printable, printable_line

_STYLES = {SUCCESS: "green", FAILED: "red"}
_DASH = "—"
# The three columns of times, three characters between each two of the five, and two edges.
_TIMES_WIDTH = 7 + 10 + 16 + 4 * 3 + 2


class LiveScreen:
    """Everything shown goes through ``Text``: rich's own markup in a document stays text."""

    def __init__(self, console: Console, errors: Console) -> None:
        self._console = console
        self._errors = errors
        self._live: Live | None = None
        self._spinner = Spinner("dots", style="cyan")
        self._shows_answers = False

    def looking(self, provider: str) -> None:
        self._print(Text(f"Looking whether {provider} answers …", "dim"))

    def opening(self, opening: Opening) -> None:
        answering = opening.answering
        for line in honest_lines(answering):
            self._print(Text(printable_line(line), "" if answering.is_llm else "yellow"))
        for line in opening.warnings:
            self._print(Text(printable_line(line), "bold red"))
        place = f"Kafka: embedded, {opening.bootstrap}. Object store: {opening.bucket_folder}"
        self._print(Text(place, "dim"))
        self._print(Text())

    def changed(self, board: Board, row: Row) -> None:
        if self._shows_answers:
            self._follow(row)
            return
        if self._live is None:
            self._live = Live(
                console=self._console,
                get_renderable=lambda: self._table(board),
                refresh_per_second=12,
                # The table is whole when it stops; while it lives, what does not fit is cut.
                vertical_overflow="ellipsis",
            )
            self._live.start()
        self._live.refresh()

    def results(self, board: Board) -> None:
        self._stop_live()
        for row in board.rows:
            self._answer(row)

    def summary(self, board: Board) -> None:
        summary = board.summary()
        well = summary.succeeded == summary.tasks
        self._print(Text(summary_line(board), "bold green" if well else "bold red"))

    def keeping(self, keeping: Keeping) -> None:
        self._shows_answers = True
        self._print(Text("\nThe worker goes on until Ctrl-C. Drop files into", "bold"))
        # Without wrapping: it is there to be copied.
        self._console.print(Text(str(keeping.bucket_folder)), soft_wrap=True)
        self._print(Text("and send a task from another terminal:", "bold"))
        self._console.print(Text(keeping.command()), soft_wrap=True)
        self._print(Text(keeping.hint() + "\n", "dim"))

    def complain(self, message: str, log: Path | None) -> None:
        self._stop_live()
        self._errors.print(Text(printable(message), "red"))
        if log is not None:
            self._errors.print(Text(f"The worker's log: {log}"), soft_wrap=True)

    def close(self) -> None:
        self._stop_live()

    def _follow(self, row: Row) -> None:
        line = Text(f"{row.task_id[:8]}  ", "dim")
        line.append(f"{row.status} {NAMES[row.status]}", _STYLES.get(row.status, "cyan"))
        self._print(line)
        if row.ended_at is not None:
            self._answer(row)

    def _table(self, board: Board) -> Table:
        table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
        words = max(12, self._console.width - _TIMES_WIDTH)
        table.add_column("Document", max_width=words * 3 // 5, no_wrap=True, overflow="ellipsis")
        table.add_column("Prompt", max_width=words * 2 // 5, no_wrap=True, overflow="ellipsis", style="dim")
        table.add_column("PENDING", justify="right", min_width=7)
        table.add_column("PROCESSING", justify="right", min_width=10)
        table.add_column("Outcome", justify="right", min_width=16)
        for row in board.rows:
            table.add_row(
                Text(printable_line(row.document)), Text(printable_line(row.prompt)), *self._trail(row)
            )
        return table

    def _trail(self, row: Row) -> tuple[RenderableType, RenderableType, RenderableType]:
        sent = Text("sent", "cyan")
        if row.status == PENDING:
            return sent, self._spinner, Text()
        begun = row.processing_after
        processing = Text(_DASH, "dim") if begun is None else Text(f"{begun:.2f} s", "cyan")
        if row.seconds is None:
            return sent, processing, self._spinner
        outcome = Text(f"{NAMES[row.status]} {row.seconds:6.2f} s", _STYLES[row.status])
        return sent, processing, outcome

    def _answer(self, row: Row) -> None:
        title = Text(printable_line(row.document), "bold")
        if row.prompt:
            title.append(f" · {printable_line(row.prompt)}", "dim")
        style = _STYLES.get(row.status, "yellow")
        self._print(
            Panel(_content(row), title=title, title_align="left", border_style=style, box=box.ROUNDED)
        )

    def _stop_live(self) -> None:
        if self._live is not None:
            self._live.stop()
            self._live = None

    def _print(self, what: RenderableType) -> None:
        self._console.print(what)


def _content(row: Row) -> RenderableType:
    if row.status == FAILED:
        return Text(printable(read_error(row.body)), "red")
    if row.status != SUCCESS:
        return Text("no answer came", "yellow")
    return _readable(read_answer(row.body))


def _readable(answer: Answer) -> RenderableType:
    if not isinstance(answer, Fields):
        return Text(printable(shorten(answer.text)).strip())
    fields = Table.grid(padding=(0, 2))
    fields.add_column(style="cyan", overflow="fold", max_width=28)
    fields.add_column(overflow="fold")
    for name, value in answer.rows:
        fields.add_row(Text(printable_line(name)), Text(printable(shorten(value))))
    return fields
