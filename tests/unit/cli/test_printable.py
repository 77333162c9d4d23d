from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_service.cli.printable import json_line, printable, printable_line


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("Привет — «мир» 😀", "Привет — «мир» 😀"),
        ("a\x1b[31mb", "a\\x1b[31mb"),
        ("a\x9b2Jb\x07", "a\\x9b2Jb\\x07"),
        ("abc\rxyz", "abc\\rxyz"),
        ("one\r\ntwo\n", "one\ntwo\n"),
        ("1\u00a0000\u202f₽", "1 000 ₽"),
        ("пере\u00adнос\u200b", "перенос"),
        ("pay \u202egpj.exe", "pay \\u202egpj.exe"),
        ("\ud800", "\\ud800"),
    ],
)
def test_text_is_shown_without_what_steers_a_terminal(text: str, shown: str) -> None:
    assert printable(text) == shown


def test_a_line_is_one_line() -> None:
    assert printable_line("a\nb") == "a\\nb"


@given(st.text())
def test_nothing_but_line_ends_is_left_that_cannot_be_printed(text: str) -> None:
    assert printable(text).replace("\n", "").isprintable()
    assert printable_line(text).isprintable()


@given(st.dictionaries(st.text(), st.text()))
def test_a_json_line_is_printable_and_means_the_same(value: dict[str, str]) -> None:
    line = json_line(value)
    assert line.isprintable()
    assert json.loads(line) == value
