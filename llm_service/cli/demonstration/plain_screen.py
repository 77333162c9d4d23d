"""Lines for a pipe, a log or a terminal without cursor control."""

from __future__ import annotations

from pathlib import Path
from typing import TextIO

from llm_service.cli.demonstration.board import Board, Row
from llm_service.cli.demonstration.keeping import Keeping
from llm_service.cli.demonstration.screen import Opening, honest_lines, summary_line
from llm_service.cli.printable import printable, printable_line
from llm_service.cli.watching.answer_shown import answer_lines
from llm_service.contract.status import Status


class PlainScreen:
    """One line for each thing that happens, written at once."""

    def __init__(self, out: TextIO, err: TextIO) -> None:
        self._out = out
        self._err = err
        self._shows_answers = False

    def looking(self, provider: str) -> None:
        self._say(f"Looking whether {provider} answers …")

    def opening(self, opening: Opening) -> None:
        for line in (*honest_lines(opening.answering), *opening.warnings):
            self._say(printable_line(line))
        self._say(f"Kafka: embedded, {opening.bootstrap}. Object store: {opening.bucket_folder}")

    def changed(self, board: Board, row: Row) -> None:
        seconds = row.seconds if row.ended_at is not None else row.processing_after
        time = (
            f"{seconds:7.2f} s" if seconds is not None and row.status is not Status.PENDING else f"{0:7.2f} s"
        )
        name = printable_line(row.document)
        self._say(f"{time}  {row.status.value} {row.status.name:<10}  {row.task_id[:8]}  {name}")
        if self._shows_answers and row.ended_at is not None:
            self._answer(row)

    def results(self, board: Board) -> None:
        for row in board.rows:
            self._answer(row)

    def summary(self, board: Board) -> None:
        self._say("")
        self._say(summary_line(board))

    def keeping(self, keeping: Keeping) -> None:
        self._shows_answers = True
        self._say("\nThe worker goes on until Ctrl-C. Send a file from another terminal:")
        self._say(f"  {keeping.command()}\n{keeping.hint()}\n")

    def complain(self, message: str, log: Path | None) -> None:
        self._out.flush()
        print(printable(message), file=self._err, flush=True)
        if log is not None:
            print(f"The worker's log: {log}", file=self._err, flush=True)

    def close(self) -> None:
        """Nothing was changed."""

    def _answer(self, row: Row) -> None:
        self._say(f"\n{printable_line(row.document)}" + (f" — {row.prompt}" if row.prompt else ""))
        self._say("\n".join(f"  {line}" for line in answer_lines(row.status, row.body)))

    def _say(self, line: str) -> None:
        print(line, file=self._out, flush=True)
