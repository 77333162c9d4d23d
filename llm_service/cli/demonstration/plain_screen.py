"""Lines for a pipe, a log or a terminal without cursor control."""

from __future__ import annotations

from pathlib import Path
from typing import TextIO

from llm_service.cli.demonstration.answer import Fields, read_answer, read_error
from llm_service.cli.demonstration.arrivals import FAILED, NAMES, SUCCESS
from llm_service.cli.demonstration.board import PENDING, Board, Row
from llm_service.cli.demonstration.keeping import Keeping
from llm_service.cli.demonstration.screen import Opening, honest_lines, shorten, summary_line
from llm_service.cli.printable import printable, printable_line


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
        seconds = row.seconds if row.status in {SUCCESS, FAILED} else row.processing_after
        time = f"{seconds:7.2f} s" if seconds is not None and row.status != PENDING else f"{0:7.2f} s"
        name = printable_line(row.document)
        self._say(f"{time}  {row.status} {NAMES[row.status]:<10}  {row.task_id[:8]}  {name}")
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
        self._say(f"\nThe worker goes on until Ctrl-C. Drop files into\n  {keeping.bucket_folder}")
        self._say(f"and send a task from another terminal:\n  {keeping.command()}\n{keeping.hint()}\n")

    def complain(self, message: str, log: Path | None) -> None:
        self._out.flush()
        print(printable(message), file=self._err, flush=True)
        if log is not None:
            print(f"The worker's log: {log}", file=self._err, flush=True)

    def close(self) -> None:
        """Nothing was changed."""

    def _answer(self, row: Row) -> None:
        self._say(f"\n{printable_line(row.document)}" + (f" — {row.prompt}" if row.prompt else ""))
        self._say("\n".join(f"  {line}" for line in _lines(row)))

    def _say(self, line: str) -> None:
        print(line, file=self._out, flush=True)


def _lines(row: Row) -> list[str]:
    if row.status == FAILED:
        return [f"FAILED: {printable_line(read_error(row.body))}"]
    if row.status != SUCCESS:
        return ["no answer came"]
    answer = read_answer(row.body)
    if isinstance(answer, Fields):
        return [line for name, value in answer.rows for line in _field(name, value)]
    return printable(shorten(answer.text)).split("\n")


def _field(name: str, value: str) -> list[str]:
    first, *more = printable(shorten(value)).split("\n")
    return [f"{printable_line(name)}: {first}", *(f"  {line}" for line in more)]
