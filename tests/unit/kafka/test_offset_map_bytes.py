"""The offset map byte by byte: what other versions of the service read, and where it is full."""

from __future__ import annotations

import base64

import pytest

from llm_service.kafka.offset_map import (
    METADATA_LIMIT,
    OWNER_LIMIT,
    OffsetMap,
    OffsetMapInvalid,
    OffsetMapTooLong,
    Run,
    Work,
    decode,
    encode,
    encode_owned,
    finished_runs,
    read,
    varint,
)
from llm_service.kafka.suspects import Suspect, Suspects

RUNS = (Run(302, 305), Run(505, 506))
SUSPECTS = Suspects((Suspect(301, 303, 2), Suspect(433, 434, 1)))
RUNNING = Work(clean=False, limit=310, suspects=SUSPECTS)
GONE = Work(clean=True, limit=300)
BASE = b"\xac\x02"
STARTED = b"\x0a"
TOLD_SUSPECTS = b"\x02" + b"\x01\x02\x02" + b"\x82\x01\x01\x01"
TOLD_RUNS = b"\x02\x03" + b"\xc8\x01\x01"


def text(raw: bytes) -> str:
    return base64.b64encode(raw).decode()


def alternating(count: int) -> list[Run]:
    """So many runs above 0, of two bytes each in a map."""
    return [Run(offset, offset + 1) for offset in range(1, 2 * count, 2)]


@pytest.mark.parametrize(
    ("written", "raw", "known"),
    [
        (
            encode(300, RUNS, RUNNING),
            b"\x03\x00" + BASE + b"\x00" + STARTED + TOLD_SUSPECTS + TOLD_RUNS,
            OffsetMap(RUNS, None, whole=False, work=RUNNING),
        ),
        (
            encode(300, RUNS, GONE),
            b"\x03\x03" + BASE + b"\x00\x00\x00" + TOLD_RUNS,
            OffsetMap(RUNS, None, whole=True, work=GONE),
        ),
        (
            encode_owned(300, RUNS, "жя", RUNNING),
            b"\x03\x02" + BASE + b"\x04\xd0\xb6\xd1\x8f" + STARTED + TOLD_SUSPECTS + TOLD_RUNS,
            OffsetMap(RUNS, "жя", whole=True, work=RUNNING),
        ),
        (
            encode_owned(300, RUNS, "me", GONE),
            b"\x03\x03" + BASE + b"\x02me\x00\x00" + TOLD_RUNS,
            OffsetMap(RUNS, "me", whole=True, work=GONE),
        ),
        (text(b"\x01" + BASE + TOLD_RUNS), b"\x01" + BASE + TOLD_RUNS, OffsetMap(RUNS)),
        (text(b"\x02" + BASE + b"\x02me"), b"\x02" + BASE + b"\x02me", OffsetMap((), "me")),
        (text(b"\x02" + BASE + b"\x00" + TOLD_RUNS), b"\x02" + BASE + b"\x00" + TOLD_RUNS, OffsetMap(RUNS)),
    ],
    ids=["running", "gone", "owned", "owned and gone", "version 1", "version 2", "version 2 of nobody"],
)
def test_every_version_is_these_bytes_and_is_read(written: str, raw: bytes, known: OffsetMap) -> None:
    assert base64.b64decode(written) == raw
    assert read(written, 300) == known
    assert decode(written, 300) == known.runs


def test_a_map_is_of_nobody_and_clean_where_nothing_else_is_said() -> None:
    assert read("", 5) == OffsetMap((), None, whole=True, work=Work(clean=True, limit=0))
    assert read(encode(5, []), 5) == OffsetMap((), None, whole=True, work=Work(clean=True, limit=5))


@pytest.mark.parametrize(
    ("number", "raw"),
    [(0, b"\x00"), (127, b"\x7f"), (128, b"\x80\x01"), (16383, b"\xff\x7f"), (16384, b"\x80\x80\x01")],
)
def test_numbers_have_seven_bits_a_byte(number: int, raw: bytes) -> None:
    assert varint(number) == raw


def test_runs_between_the_unfinished_are_none_where_there_is_no_room_for_one() -> None:
    assert finished_runs(5, 9, {8, 5, 6}) == [Run(7, 8)]
    assert finished_runs(5, 10, {6}) == [Run(5, 6), Run(7, 10)]
    assert finished_runs(5, 5, ()) == []


# --- where it is full ----------------------------------------------------------------------------

# The bytes whose base64 fits, less version, flags, base, no owner and no suspects of one each and of two for what is started
# (at most 200); two for each run.
FULL = (METADATA_LIMIT // 4 * 3 - 7) // 2
STARTED_200 = Work(limit=200)


def test_a_map_is_filled_to_its_last_byte_and_says_when_it_was_cut() -> None:
    whole = encode(0, alternating(FULL), STARTED_200)
    assert len(whole) == METADATA_LIMIT // 4 * 4
    assert read(whole, 0) == OffsetMap(tuple(alternating(FULL)), None, whole=True, work=STARTED_200)
    cut = encode(0, alternating(FULL + 1), STARTED_200)
    assert read(cut, 0) == OffsetMap(tuple(alternating(FULL)), None, whole=False, work=STARTED_200)
    late = encode(0, alternating(FULL), Work(clean=False, limit=200))
    assert not read(late, 0).whole, "something may have come too late"


def test_a_map_that_is_owned_is_filled_to_its_last_byte_with_all_it_says() -> None:
    work = Work(clean=False, limit=200)
    known = read(encode_owned(0, alternating(FULL - 1), "me", work), 0)
    assert (known.owner, known.whole, known.work) == ("me", True, work)


def test_where_runs_need_the_room_the_owner_and_the_suspects_are_forgotten_and_nothing_else() -> None:
    runs = alternating(FULL)
    for clean in (True, False):
        work = Work(clean, 200, Suspects((Suspect(1, 2, 1),)))
        known = read(encode_owned(0, runs, "me", work), 0)
        assert known == OffsetMap(tuple(runs), None, whole=True, work=Work(clean, 200))


def test_runs_that_do_not_fit_at_all_are_refused_by_their_number_and_bytes() -> None:
    with pytest.raises(OffsetMapTooLong) as caught:
        encode_owned(0, alternating(FULL + 1), "me")
    assert str(caught.value) == f"the map of {FULL + 1} runs above 0 takes {2 * FULL + 2} bytes"


def test_an_owner_is_told_up_to_its_limit_in_bytes() -> None:
    longest = "ж" * (OWNER_LIMIT // 2)
    assert read(encode_owned(0, [], longest), 0).owner == longest
    assert base64.b64decode(encode_owned(0, [], longest + "x"))[3:4] == b"\x00"


def test_suspects_are_told_up_to_their_limit_in_bytes() -> None:
    ranges = tuple(Suspect(offset, offset + 1, 1) for offset in range(0, 162, 2))
    kept = read(encode(0, [], Work(suspects=Suspects(ranges))), 0).work.suspects.ranges
    assert kept == ranges[:79], "three bytes each of 237"


def test_a_map_of_version_1_may_have_been_cut_where_two_numbers_more_would_not_have_fitted() -> None:
    # Two numbers of 63 bits take 18 bytes.
    longest = METADATA_LIMIT // 4 * 3 - 18
    pairs = b"\x01\x01" * ((longest - 5) // 2)
    assert read(text(b"\x01\x00" + b"\x80\x01\x01" + pairs), 0).whole
    assert not read(text(b"\x01\x00" + b"\x80\x01\x81\x01" + pairs), 0).whole
    assert read(text(b"\x02\x00\x00" + b"\x80\x01\x81\x01" + pairs), 0).whole, "version 2 was never cut"


# --- what the next owner makes of it -------------------------------------------------------------


def test_only_who_did_not_leave_in_order_raises_counts_and_never_below_the_base() -> None:
    assert Work(clean=True, limit=305, suspects=SUSPECTS).taken_over(300) == SUSPECTS
    raised = Work(clean=False, limit=305).taken_over(300)
    assert raised.ranges == (Suspect(300, 305, 1),)
    assert Work(clean=False, limit=200).taken_over(300).ranges == ()
    assert read(encode(300, [], Work(clean=False, limit=200)), 300).work.limit == 300


# --- what is refused -----------------------------------------------------------------------------

GOOD = encode(300, RUNS, RUNNING)


@pytest.mark.parametrize(
    ("metadata", "said"),
    [
        (GOOD[:4] + "!!!!" + GOOD[4:], "the commit metadata is not base64"),
        ("обработано", "the commit metadata is not base64"),
        (text(b"\x04" + BASE), "the commit metadata is no offset map of version 1, 2 or 3"),
        (text(b"\x00" + BASE), "the commit metadata is no offset map of version 1, 2 or 3"),
        (encode(301, []), "the offset map belongs to another offset than 300"),
        (text(b"\x03"), "the offset map ends inside a number"),
        (text(b"\x03\x00"), "the offset map ends inside a number"),
        (text(b"\x03\x00" + BASE + b"\x00\x00\x01\x01"), "the offset map ends inside a number"),
        (text(b"\x01" + BASE + b"\x01\x80"), "the offset map ends inside a number"),
        (text(b"\x01" + BASE + b"\x01"), "the offset map ends inside a pair of runs"),
        (text(b"\x02" + BASE + b"\x03me"), "the offset map ends inside its writer's id"),
        (text(b"\x02" + BASE + b"\x01\xff"), "the offset map's writer is no text"),
    ],
)
def test_what_is_refused_is_refused_by_what_is_wrong_with_it(metadata: str, said: str) -> None:
    with pytest.raises(OffsetMapInvalid) as caught:
        read(metadata, 300)
    assert str(caught.value) == said
