"""A terminal: one table that lives while the tasks move, then their answers."""

from __future__ import annotations

from pathlib import Path

from rich import box
from rich.console import Console, RenderableType
from rich.live import Live
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text

from llm_service.cli.demonstration.board import Board, Row
from llm_service.cli.demonstration.keeping import Keeping
from llm_service.cli.demonstration.screen import Opening, honest_lines, summary_line
from llm_service.cli.printable import printable, printable_line
from llm_service.cli.watching.answer_shown import STYLES, answer_panel
from llm_service.contract.status import Status

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
        self._print(Text("\nThe worker goes on until Ctrl-C. Send a file from another terminal:", "bold"))
        # Without wrapping: it is there to be copied.
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
        line.append(f"{row.status.value} {row.status.name}", STYLES[row.status])
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
        if row.status is Status.PENDING:
            return sent, self._spinner, Text()
        begun = row.processing_after
        processing = Text(_DASH, "dim") if begun is None else Text(f"{begun:.2f} s", "cyan")
        if row.seconds is None:
            return sent, processing, self._spinner
        outcome = Text(f"{row.status.name} {row.seconds:6.2f} s", STYLES[row.status])
        return sent, processing, outcome

    def _answer(self, row: Row) -> None:
        self._print(answer_panel(row.document, row.prompt, row.status, row.body))

    def _stop_live(self) -> None:
        if self._live is not None:
            self._live.stop()
            self._live = None

    def _print(self, what: RenderableType) -> None:
        self._console.print(what)
