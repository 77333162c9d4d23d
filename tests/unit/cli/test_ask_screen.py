"""What ``ask`` shows beside an answer: that it is begun again, and what of its schema was not held."""

from __future__ import annotations

import json

import pytest

from llm_service.cli.asking.screen import Screen
from llm_service.providers.protocol import Completion, FinishReason, Held


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


def test_what_the_grammar_did_not_hold_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    finding = "maxContains at #: the other items may be such too"
    answer = Completion("[]", FinishReason.STOP, "small", held=Held((finding,)))
    Screen(as_json=False).answer("gguf", "[]", answer, is_shown=False)
    assert f"not held: {finding}" in capsys.readouterr().err
    Screen(as_json=True).answer("gguf", "[]", answer, is_shown=False)
    assert json.loads(capsys.readouterr().out)["not_held"] == [finding]
