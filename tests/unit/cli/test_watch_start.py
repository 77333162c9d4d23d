from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from llm_service.cli.watching.start import Edge, parse_moment, parse_start

NOW = datetime(2026, 11, 20, 9, 10, tzinfo=UTC)


@pytest.mark.parametrize(("text", "start"), [("beginning", Edge.BEGINNING), (" END ", Edge.END)])
def test_an_end_of_the_topic_is_named(text: str, start: Edge) -> None:
    assert parse_start(text, NOW) is start


@pytest.mark.parametrize(
    ("text", "back"),
    [
        ("30s", timedelta(seconds=30)),
        ("10m", timedelta(minutes=10)),
        ("1.5h", timedelta(hours=1.5)),
        ("2d", timedelta(days=2)),
        ("2 D", timedelta(days=2)),
    ],
)
def test_a_duration_counts_back_for_a_start_and_on_for_a_deadline(text: str, back: timedelta) -> None:
    assert parse_start(text, NOW) == NOW - back
    assert parse_moment(text, NOW) == NOW + back


def test_a_time_without_a_zone_is_this_machines() -> None:
    assert parse_start("2026-11-20T09:10", NOW) == datetime.fromisoformat("2026-11-20T09:10").astimezone()
    assert parse_start("2026-11-20T12:10+03:00", NOW) == NOW


@pytest.mark.parametrize("text", ["", "lunch", "10", "-5m", "10x", "999999999d", "2026-13-01"])
def test_anything_else_is_refused_with_what_is_expected(text: str) -> None:
    with pytest.raises(ValueError, match="a duration such as 10m"):
        parse_start(text, NOW)
    with pytest.raises(ValueError, match="a duration such as 10m"):
        parse_moment(text, NOW)
