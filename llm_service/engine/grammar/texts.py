"""Strings and numbers of a schema as rules."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from typing import Any

from llm_service.engine.grammar.automaton import Automaton, TooLarge, lengths, words
from llm_service.engine.grammar.findings import Findings, Impossible
from llm_service.engine.grammar.formats import FORMATS
from llm_service.engine.grammar.merging import Schema
from llm_service.engine.grammar.numerals import Range, decimals, integers, is_exact
from llm_service.engine.grammar.pattern import PatternUnsupported, pattern_automaton
from llm_service.engine.grammar.rules import Rules

# llama.cpp repeats a rule so often at most (MAX_REPETITION_THRESHOLD in llama-grammar.cpp).
MOST_REPETITIONS = 2_000
_TOO_LARGE = "the automaton for it would be too large"


def as_list(value: Any) -> list[Any]:
    """Keywords that were merged have several values."""
    return value if isinstance(value, list) else [value]


def string_rule(schema: Schema, place: str, rules: Rules, findings: Findings) -> str:
    """A rule for the strings. Raises Impossible."""
    least, most = int(schema.get("minLength", 0)), schema.get("maxLength")
    if most is not None and most < least:
        raise Impossible(f"minLength is above maxLength at {place}")
    parts = string_automata(schema, place, findings)
    if not parts:
        return _plain_string(least, most, place, rules, findings)
    automaton = _intersected(parts, place, findings)
    if least or most is not None:
        try:
            automaton &= lengths(least, None if most is None else int(most))
        except TooLarge:
            findings.add("minLength" if most is None else "maxLength", place, _TOO_LARGE)
    if automaton.is_empty:
        raise Impossible(f"no string has all of the pattern, the format and the lengths at {place}")
    return rules.string(automaton)


def string_automata(schema: Schema, place: str, findings: Findings) -> list[Automaton]:
    """What patterns, formats and refused values say."""
    found = []
    patterns = [("pattern", pattern, pattern) for pattern in as_list(schema.get("pattern", []))]
    for name in as_list(schema.get("format", [])):
        if name in FORMATS:
            patterns.append(("format", name, FORMATS[name]))
        else:
            findings.add("format", place, f"{name!r} is not known")
    for keyword, name, pattern in patterns:
        try:
            found.append(pattern_automaton(pattern))
        except PatternUnsupported as error:
            findings.add(keyword, place, f"{name!r}: {error} is not supported")
        except TooLarge:
            findings.add(keyword, place, _TOO_LARGE)
    refused = [value for value in schema.get("not enum", ()) if isinstance(value, str)]
    if refused:
        found.append(lengths(0, None) - words(refused))
    return found


def _intersected(parts: Sequence[Automaton], place: str, findings: Findings) -> Automaton:
    automaton = parts[0]
    for part in parts[1:]:
        try:
            automaton &= part
        except TooLarge:
            findings.add("pattern", place, _TOO_LARGE)
    return automaton


def _plain_string(least: int, most: int | None, place: str, rules: Rules, findings: Findings) -> str:
    if not least and most is None:
        return rules.shared("string")
    if least > MOST_REPETITIONS:
        findings.add("minLength", place, f"more than {MOST_REPETITIONS} can't be counted")
        least = MOST_REPETITIONS
    if most is not None and most > MOST_REPETITIONS:
        findings.add("maxLength", place, f"more than {MOST_REPETITIONS} can't be counted")
        most = None
    character = rules.shared("char")
    bounds = f"{{{least},}}" if most is None else f"{{{least},{int(most)}}}"
    return rules.add(f'"\\"" {character if most != 0 else ""}{bounds if most != 0 else ""} "\\""')


def number_rule(schema: Schema, place: str, rules: Rules, findings: Findings, *, is_integer: bool) -> str:
    """A rule for the numbers. Raises Impossible."""
    bounds = _range(schema, place, findings)
    if any(isinstance(value, int | float) for value in schema.get("not enum", ())):
        findings.add("not", place, "of numbers, none is ruled out by the grammar")
    if bounds.is_open:
        return rules.shared("integer" if is_integer else "number")
    if bounds.least is not None and bounds.most is not None and _is_crossed(bounds):
        raise Impossible(f"no number is within the bounds at {place}")
    try:
        automaton = integers(bounds) if is_integer else decimals(bounds)
    except TooLarge:
        findings.add("multipleOf", place, _TOO_LARGE)
        return rules.shared("integer" if is_integer else "number")
    if automaton.is_empty and is_integer:
        raise Impossible(f"no integer is within the bounds at {place}")
    if automaton.is_empty:
        findings.add("minimum", place, "the bounds are closer than numbers of six places")
        return rules.shared("number")
    return rules.bare(automaton)


def _is_crossed(bounds: Range) -> bool:
    assert bounds.least is not None and bounds.most is not None  # noqa: S101, PT018 # asked before
    if bounds.least == bounds.most:
        return bounds.is_least_excluded or bounds.is_most_excluded
    return bounds.least > bounds.most


def _range(schema: Schema, place: str, findings: Findings) -> Range:
    lows = [
        (_exact(schema[key]), key != "minimum") for key in ("minimum", "exclusiveMinimum") if key in schema
    ]
    highs = [
        (_exact(schema[key]), key == "maximum") for key in ("maximum", "exclusiveMaximum") if key in schema
    ]
    least, is_least_excluded = max(lows, default=(None, False))
    most, is_most_included = min(highs, default=(None, True))
    step = None
    for wanted in map(_exact, as_list(schema.get("multipleOf", []))):
        if not is_exact(wanted):
            findings.add(
                "multipleOf", place, "a validator's floats disagree about multiples of such a fraction"
            )
        elif step is not None:
            findings.add("multipleOf", place, "more than one")
        else:
            step = wanted
    return Range(least, is_least_excluded, most, not is_most_included, step)


def _exact(number: float) -> Fraction:
    """As it is written: 0.1 is a tenth."""
    return Fraction(str(number))
