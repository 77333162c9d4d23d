"""Choosing letters, sending them at a pace, how far a partition may be deleted, and what is advised."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from llm_service.cli.letters.advice import advice, named_codes
from llm_service.cli.letters.prefix import Prefix
from llm_service.cli.letters.rate import Pace, parse_rate
from llm_service.cli.letters.selection import Selection, parse_place
from llm_service.contract.dead_letter import DeadLetter, decode, encode
from llm_service.contract.resolution import REPLAYED, Resolution
from llm_service.kafka.letters import Letter, Stranger
from llm_service.kafka.port import KafkaMessage
from llm_service.observability.labels import error_codes
from tests.manual_clock import ManualClock

NOW = datetime(2026, 11, 20, 9, 10, tzinfo=UTC)


def letter(offset: int = 7, *, is_resolved: bool = False) -> Letter:
    record = encode(DeadLetter("file_not_found", "", 1, "tasks", 0, 5, NOW), b"task-1", b"{}", ())
    message = KafkaMessage("dlq", 2, offset, record.key, record.value, record.headers)
    decoded = decode(record.key, record.value, record.headers)
    assert decoded is not None
    return Letter(message, decoded, Resolution(REPLAYED, 2, offset, NOW) if is_resolved else None)


STRANGER = Stranger(KafkaMessage("dlq", 2, 9, None, b"", ()), None)


@pytest.mark.parametrize(
    ("selection", "is_taken"),
    [
        (Selection(), True),
        (Selection(codes=("internal_error", "file_not_found")), True),
        (Selection(codes=("internal_error",)), False),
        (Selection(tasks=("task-1",)), True),
        (Selection(tasks=("task-2",)), False),
        (Selection(topics=("tasks",)), True),
        (Selection(topics=("other",)), False),
        (Selection(places={(2, 7)}), True),
        (Selection(places={(7, 2)}), False),
        (Selection(since=NOW), True),
        (Selection(since=NOW + timedelta(seconds=1)), False),
        (Selection(until=NOW), False),
        (Selection(until=NOW + timedelta(seconds=1)), True),
        (Selection(codes=("file_not_found",), tasks=("task-2",)), False),
    ],
)
def test_all_that_is_asked_for_must_be_so(selection: Selection, *, is_taken: bool) -> None:
    assert selection.takes(letter()) is is_taken


def test_what_is_done_with_is_taken_only_when_asked_for_and_a_stranger_only_by_its_place() -> None:
    assert not Selection().takes(letter(is_resolved=True))
    assert Selection(resolved_too=True).takes(letter(is_resolved=True))
    assert not Selection().takes_stranger(STRANGER)
    assert Selection(places={(2, 9)}).takes_stranger(STRANGER)


@pytest.mark.parametrize(
    ("text", "place"), [("3/1017", (3, 1017)), (" 0/0 ", (0, 0)), ("-1/2", None), ("a/b", None), ("7", None)]
)
def test_a_place_is_two_numbers(text: str, place: tuple[int, int] | None) -> None:
    assert parse_place(text) == place


@pytest.mark.parametrize(
    ("text", "rate"), [("20", 20), ("20/s", 20), ("30/m", 0.5), ("36 / h", 0.01), ("0.5", 0.5)]
)
def test_a_rate_is_letters_a_second(text: str, rate: float) -> None:
    assert parse_rate(text) == pytest.approx(rate)


@pytest.mark.parametrize("text", ["", "0", "-1", "fast", "5/d", "1e9"])
def test_what_is_no_rate_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is no rate"):
        parse_rate(text)


async def test_a_pace_is_kept_and_nothing_is_hurried_after_a_pause() -> None:
    clock = ManualClock()
    pace = Pace(10.0, clock)
    began, sent = clock.monotonic(), list[float]()

    async def send() -> None:
        for _ in range(6):
            await pace.wait(pace.at_once(200))
            sent.append(clock.monotonic() - began)

    sending = asyncio.create_task(send())
    await clock.advance(10)
    await sending
    assert sent == pytest.approx([0, 0.2, 0.4, 0.6, 0.8, 1.0])
    await pace.wait(2)
    again = asyncio.create_task(pace.wait(2))
    await clock.advance(0.1)
    assert not again.done()
    await clock.advance(0.1)
    await again


def test_a_partition_may_be_deleted_up_to_the_first_that_must_stay() -> None:
    prefix = Prefix(2, 20)
    assert prefix.until == 20
    prefix.look(letter(5), is_done=True)
    assert prefix.until == 20
    prefix.look(letter(7), is_done=False)
    prefix.look(letter(8), is_done=True)
    assert (prefix.until, prefix.letters, prefix.behind, prefix.unresolved) == (7, 1, 1, 1)
    foreign = Prefix(2, 20)
    foreign.look(STRANGER, is_done=False)
    assert (foreign.until, foreign.unresolved) == (9, 0)


def test_every_code_has_an_advice_with_a_command_and_none_is_misspelt() -> None:
    codes = {error.code for error in error_codes()}
    assert named_codes() <= codes
    for code in codes:
        assert "{" not in advice(code)
    assert "--code file_not_found" in advice("file_not_found")
