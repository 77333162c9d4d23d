from __future__ import annotations

import pytest

from llm_service.cli.demonstration.board import Board, Row
from llm_service.cli.demonstration.screen import summary_line
from llm_service.cli.watching.arrival import Arrival
from llm_service.contract.status import Status


def _board(*sent_at: float) -> Board:
    board = Board()
    for number, at in enumerate(sent_at):
        board.sent(Row(f"task-{number}", f"{number}.txt", "1", at))
    return board


def test_a_task_moves_through_its_statuses() -> None:
    board = _board(10.0)
    row = board.place(Arrival("task-0", Status(2), {}, 10.5))
    assert row is not None
    assert (row.status, row.processing_after, row.seconds, board.is_done) == (2, 0.5, None, False)
    assert board.place(Arrival("task-0", Status(3), {"result": "{}"}, 12.0)) is row
    assert (row.status, row.seconds, row.body, board.is_done) == (3, 2.0, {"result": "{}"}, True)


@pytest.mark.parametrize("repeat", [2, 3, 4])
def test_a_repeat_changes_nothing(repeat: int) -> None:
    board = _board(10.0)
    board.place(Arrival("task-0", Status(3), {}, 12.0))
    assert board.place(Arrival("task-0", Status(repeat), {"late": True}, 13.0)) is None
    assert board.rows[0].seconds == 2.0


def test_a_task_of_somebody_else_gets_a_row() -> None:
    board = _board()
    row = board.place(Arrival("0123456789", Status(2), {}, 5.0))
    assert row is not None
    assert row.document == "task 01234567"


def test_the_summary_counts_what_there_is() -> None:
    board = _board(10.0, 10.0, 10.0, 10.0)
    board.place(Arrival("task-0", Status(3), {}, 11.0))
    board.place(Arrival("task-1", Status(4), {}, 12.0))
    board.place(Arrival("task-2", Status(3), {}, 14.0))
    assert summary_line(board) == (
        "4 tasks: 2 succeeded, 1 failed, 1 without an answer; median 2.00 s, longest 4.00 s; 0.8 tasks a second"
    )


def test_the_summary_of_nothing_divides_by_nothing() -> None:
    assert summary_line(_board(10.0)) == "1 task: 0 succeeded, 1 without an answer"
