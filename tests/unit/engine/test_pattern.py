"""Patterns, lengths and ranges as automata: never wider than what they stand for."""

from __future__ import annotations

import random
import re
from fractions import Fraction

import pytest

from llm_service.engine.grammar.automaton import Automaton, TooLarge, lengths, words
from llm_service.engine.grammar.formats import FORMATS
from llm_service.engine.grammar.numerals import Range, decimals, integers
from llm_service.engine.grammar.pattern import PatternUnsupported, pattern_automaton

PATTERNS = (
    "^[a-z]{2,4}-\\d+$", "abc", "^(a|b)*c?$", "^a|b$", "[^a-c]x", "^\\+7\\d{10}$", "^$", "", "^(?:\\d{3}-)?\\d{4}$",
    "[a\\-z\\]]", "^\\S+$", '^[^"\\\\]{1,3}$', "(^x|y)z*$", "^(?P<year>\\d\\d)?$", "^.{2}$", "^[]a]$",
)  # fmt: skip
ALPHABET = 'abcxyz019-+.@"\\ \nдZ_]'


def sample(automaton: Automaton, rng: random.Random) -> str | None:
    """A string that it takes, if a short walk finds one."""
    state, found = 0, ""
    for _ in range(40):
        if state in automaton.accepting and rng.random() < 0.3:
            return found
        if not automaton.moves[state]:
            return found if state in automaton.accepting else None
        low, high, state = rng.choice(automaton.moves[state])
        found += chr(rng.randint(low, min(high, low + 100)))
    return found if state in automaton.accepting else None


@pytest.mark.parametrize("pattern", PATTERNS)
def test_what_a_pattern_takes_is_what_python_finds(pattern: str) -> None:
    rng = random.Random(pattern)
    automaton = pattern_automaton(pattern)
    for _ in range(500):
        text = "".join(rng.choice(ALPHABET) for _ in range(rng.randrange(7)))
        found = re.search(pattern, text) is not None
        # Python's $ also stands before a line end at the end; here it does not.
        assert automaton.takes(text) == found or (found and text.endswith("\n"))
    for _ in range(100):
        made = sample(automaton, rng)
        assert made is None or re.search(pattern, made) is not None


@pytest.mark.parametrize(
    "pattern", ["(?=a)b", "(a)\\1", "\\bword", "(?i)a", "a{2,1", "(a", "a)", "[z-a]", "*a", "a++"]
)
def test_what_is_no_regular_language_is_said_to_be_none(pattern: str) -> None:
    with pytest.raises(PatternUnsupported):
        pattern_automaton(pattern)


def test_a_pattern_that_would_grow_without_measure_is_given_up() -> None:
    with pytest.raises(TooLarge):
        pattern_automaton("(a|b)*a" + "(a|b)" * 12)
    with pytest.raises(TooLarge):
        pattern_automaton("((a{100}){100}){100}")


def test_automata_are_put_together_without_loss() -> None:
    both = pattern_automaton("^[ab]*$") & lengths(2, 3) - words(["ab", "bbb"])
    taken = {text for text in ("", "a", "aa", "ab", "ba", "bbb", "aba", "abab", "ac") if both.takes(text)}
    assert taken == {"aa", "ba", "aba"}
    assert (words(["x"]) & words(["y"])).is_empty


@pytest.mark.parametrize("seed", range(16))
def test_numbers_within_bounds_are_taken_and_no_others(seed: int) -> None:
    rng = random.Random(seed)
    least = Fraction(rng.randrange(-3000, 3000), rng.choice([1, 1, 10, 100]))
    most = least + Fraction(rng.randrange(0, 2000), rng.choice([1, 10, 100]))
    step = rng.choice([None, None, Fraction(1), Fraction(7), Fraction(1, 4)])
    bounds = Range(
        rng.choice([least, None]), rng.random() < 0.3, rng.choice([most, None]), rng.random() < 0.3, step
    )
    for make, places in ((integers, 0), (decimals, 2)):
        automaton = make(bounds)
        for _ in range(100):
            value = Fraction(rng.randrange(-500_000, 500_000), 10**places)
            shown = next(count for count in range(places + 1) if (value * 10**count).denominator == 1)
            text = f"{float(value):.{shown}f}"
            assert not automaton.takes(text) or is_within(Fraction(text), bounds)
            if step is None and is_within(value, bounds) and text != "-0":
                assert automaton.takes(text), text


def is_within(value: Fraction, bounds: Range) -> bool:
    above = bounds.least is None or (
        value > bounds.least if bounds.is_least_excluded else value >= bounds.least
    )
    below = bounds.most is None or (value < bounds.most if bounds.is_most_excluded else value <= bounds.most)
    return above and below and (bounds.step is None or (value / bounds.step).denominator == 1)


@pytest.mark.parametrize("name", FORMATS)
def test_each_format_has_strings(name: str) -> None:
    assert not pattern_automaton(FORMATS[name]).is_empty
