"""The offset map: what is encoded is read back, a cut map is a subset, anything else is refused."""

from __future__ import annotations

import base64
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_service.kafka.offset_map import (
    METADATA_LIMIT,
    OffsetMapInvalid,
    Run,
    decode,
    encode,
    finished_runs,
)


def offsets(runs: tuple[Run, ...] | list[Run]) -> set[int]:
    return {offset for run in runs for offset in range(run.start, run.end)}


@given(
    base=st.integers(0, 2**62),
    steps=st.lists(st.tuples(st.integers(0, 300), st.integers(1, 300)), max_size=40),
)
def test_what_is_encoded_is_read_back(base: int, steps: list[tuple[int, int]]) -> None:
    runs, position = [], base
    for skip, length in steps:
        runs.append(Run(position + skip, position + skip + length))
        position += skip + length

    assert list(decode(encode(base, runs), base)) == runs


@given(st.sets(st.integers(100, 400)), st.integers(400, 500))
def test_finished_runs_are_all_between_the_unfinished(unfinished: set[int], end: int) -> None:
    base = min(unfinished, default=end)
    assert offsets(finished_runs(base, end, unfinished)) == set(range(base, end)) - unfinished


def test_a_map_that_does_not_fit_is_cut_to_a_subset_of_whole_runs() -> None:
    rng = random.Random(1)
    unfinished = set(rng.sample(range(1_000_000), 5_000))
    base = min(unfinished)
    runs = finished_runs(base, 1_000_000, unfinished)

    text = encode(base, runs)

    assert len(text) <= METADATA_LIMIT
    kept = decode(text, base)
    assert 500 < len(kept) < len(runs)
    assert list(kept) == runs[: len(kept)]


@pytest.mark.parametrize("length", [1, 130, 20_000])
def test_a_cut_map_leaves_room_for_the_terminating_nul_that_the_client_sends(length: int) -> None:
    """Kafka 4.2.0 refuses a text of 4,096 characters from confluent-kafka 2.16.1, and takes one of 4,095."""
    for before in range(9):
        finished = [Run(number, number + 1) for number in range(1, 2 * before, 2)]
        at = 2 * before + 1
        finished += [Run(at + length * 2 * n, at + length * (2 * n + 1)) for n in range(3_000)]
        assert 4_080 <= len(encode(0, finished)) <= 4_095


def test_a_dense_window_of_two_thousand_fits() -> None:
    """200 slots, window 400, finished at random above the lowest: far below the limit."""
    rng = random.Random(2)
    unfinished = {0, *rng.sample(range(1, 5_000), 399)}
    runs = finished_runs(0, 5_000, unfinished)
    assert list(decode(encode(0, runs), 0)) == runs


def test_empty_metadata_is_no_map() -> None:
    assert decode("", 5) == ()
    assert decode(None, 5) == ()


def damaged() -> dict[str, str]:
    good = encode(7, [Run(9, 12)])
    raw = base64.b64decode(good)
    return {
        "not base64": "map!",
        "another base": encode(8, [Run(9, 12)]),
        "another version": base64.b64encode(b"\x02" + raw[1:]).decode(),
        "cut inside a number": base64.b64encode(raw[:-1] + b"\x80").decode(),
        "cut inside a pair": base64.b64encode(raw[:-1]).decode(),
        "no base": base64.b64encode(b"\x01").decode(),
        "no ASCII": "обработано",
        "an older service's note": "processed by worker 3",
    }


@pytest.mark.parametrize("text", damaged().values(), ids=damaged().keys())
def test_a_map_in_doubt_is_refused(text: str) -> None:
    with pytest.raises(OffsetMapInvalid):
        decode(text, 7)
