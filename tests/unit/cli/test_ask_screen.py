"""What ``ask`` shows of an answer that is begun again."""

from __future__ import annotations

import json

import pytest

from llm_service.cli.asking.screen import Screen


def test_a_person_is_told_and_the_rest_begins_on_a_line_of_its_own(
    capsys: pytest.CaptureFixture[str],
) -> None:
    screen = Screen(as_json=False)
    screen.piece("half an ans")
    screen.again()
    screen.piece("the whole")
    shown = capsys.readouterr()
    assert shown.out == "half an ans\nthe whole"
    assert "begins again" in shown.err


def test_a_program_is_told_between_the_pieces(capsys: pytest.CaptureFixture[str]) -> None:
    screen = Screen(as_json=True)
    screen.piece("half")
    screen.again()
    screen.piece("whole")
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert lines == [{"delta": "half"}, {"begins_again": True}, {"delta": "whole"}]
