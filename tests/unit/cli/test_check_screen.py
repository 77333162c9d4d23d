"""Which screen ``check`` chooses."""

from __future__ import annotations

import io
import sys

import pytest

from llm_service.cli.checking.plain_screen import PlainScreen
from llm_service.cli.checking.screen import screen_for
from llm_service.cli.checking.table_screen import TableScreen


class _Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(("columns", "expected"), [("40", PlainScreen), ("120", TableScreen)])
def test_a_narrow_terminal_is_given_whole_lines(
    columns: str, expected: type, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", columns)
    monkeypatch.setattr(sys, "stdout", _Terminal())
    assert isinstance(screen_for(["kafka"], as_json=False), expected)
