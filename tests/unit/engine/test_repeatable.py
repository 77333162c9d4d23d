"""No row is alone in its pass, and none of those whose next token is wanted."""

from __future__ import annotations

import pytest

from llm_service.engine.repeatable import ROWS, in_company
from llm_service.engine.step import Feed


def prompt(length: int) -> list[Feed]:
    return [Feed(400 + place, place, 0, place == length - 1) for place in range(length)]


@pytest.mark.parametrize("length", [1, 2, 5, 62, 63, 64, 65, 126, 127])
def test_no_row_is_alone_and_each_keeps_its_place(length: int) -> None:
    given = prompt(length)
    found = in_company(given, 16)
    passes = [found[start : start + ROWS] for start in range(0, len(found), ROWS)]
    assert all(len(rows) > 1 for rows in passes)
    assert all(sum(row.wants_next for row in rows) != 1 for rows in passes)
    assert [(row.token, row.position) for row in found[:length]] == [
        (row.token, row.position) for row in given
    ]
    assert found[length - 1].wants_next
    assert [row.sequence for row in found[length:]] == [16] * (length % ROWS == 1)


def test_several_that_are_wanted_stay_as_they_are() -> None:
    rows = [Feed(1, 4, place, True) for place in range(5)]
    assert in_company(rows, 16) == rows
