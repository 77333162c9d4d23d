"""Spans and counts as they are shown."""

from __future__ import annotations

from datetime import timedelta

import pytest

from llm_service.cli.checking.wording import counted, span


@pytest.mark.parametrize(
    ("time", "shown"),
    [
        (timedelta(days=7), "7 d"),
        (timedelta(days=1), "1 d"),
        (timedelta(hours=36), "36 h"),
        (timedelta(minutes=90), "90 min"),
        (timedelta(seconds=20), "20 s"),
        (timedelta(seconds=-3), "0 s"),
    ],
)
def test_spans(time: timedelta, shown: str) -> None:
    assert span(time) == shown


def test_counts() -> None:
    assert counted(1, "partition") == "1 partition"
    assert counted(1200, "message") == "1,200 messages"
