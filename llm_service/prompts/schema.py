"""JSON Schema 2020-12, as far as an answer is held to it: nothing fetched, nothing that runs away.

A schema may come with a task, so it is as untrusted as the task: references lead nowhere outside it, a
pattern is given up after a bounded time, and references that multiply are cut off.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

import regex
from jsonschema import Draft202012Validator, FormatChecker, ValidationError
from jsonschema.exceptions import SchemaError
from referencing.exceptions import Unresolvable

from llm_service.prompts.bounded_validator import SchemaCostError, bounded_validator
from llm_service.prompts.satisfiable import why_impossible
from llm_service.prompts.subschemas import SchemaTree, shown

_PATTERN_CHARS = 1_000
_SCHEMA_CHARS = 200_000
"""A model's context holds less schema than this; the largest published API schemas are about half."""


def schema_problems(schema: Mapping[str, object]) -> tuple[str, ...]:
    """What is wrong with a schema, a short sentence each; empty when answers can be held to it."""
    try:
        size = len(json.dumps(schema, ensure_ascii=False, allow_nan=False))
    except (TypeError, ValueError, RecursionError) as error:
        return (f"is not plain JSON: {str(error)[:100]}",)
    if size > _SCHEMA_CHARS:
        return (f"has {size} characters, more than {_SCHEMA_CHARS}",)
    try:
        Draft202012Validator.check_schema(schema, format_checker=FormatChecker(()))
    except SchemaError as error:
        return (f"is no JSON Schema at {place(error)}: {error.message[:200]}",)
    except RecursionError:
        return ("is nested too deep",)
    tree = SchemaTree(schema)
    if problems := tuple(dict.fromkeys(_problems_of_parts(tree))):
        return problems
    why = why_impossible(tree)
    return () if why is None else (f"allows no answer at all: {why}",)


def _problems_of_parts(tree: SchemaTree) -> Iterator[str]:
    for at, node in tree.nodes.items():
        if isinstance(node, Mapping):
            yield from (f"{problem}, at {shown(at)}" for problem in _reference_problems(node))
            yield from (f"{problem}, at {shown(at)}" for problem in _pattern_problems(node))
    yield from (f"refers to what is not there: {reference[:100]!r}" for reference in tree.lost)


def _reference_problems(node: Mapping[str, object]) -> Iterator[str]:
    for keyword in ("$ref", "$dynamicRef"):
        reference = node.get(keyword)
        if isinstance(reference, str) and not reference.startswith("#"):
            yield f"refers outside itself: {reference[:100]!r} (only '#...' is followed)"


def _pattern_problems(node: Mapping[str, object]) -> Iterator[str]:
    patterns = [node["pattern"]] if isinstance(node.get("pattern"), str) else []
    by_pattern = node.get("patternProperties")
    if isinstance(by_pattern, Mapping):
        patterns += list(by_pattern)
    for pattern in map(str, patterns):
        if len(pattern) > _PATTERN_CHARS:
            yield f"has a pattern of more than {_PATTERN_CHARS} characters"
            continue
        try:
            regex.compile(pattern)
        except regex.error as error:
            yield f"has a pattern that does not compile: {pattern[:60]!r}: {str(error)[:60]}"


def mismatches(schema: Mapping[str, object], value: Any, limit: int) -> list[str]:
    """The first ``limit`` places where the value departs from the schema, the most telling first.

    Raises SchemaCostError when that takes longer than allowed, or the schema can't be followed.
    """
    validator = bounded_validator(schema)
    try:
        errors = sorted(
            validator.iter_errors(value), key=lambda error: (len(error.absolute_path), place(error))
        )
    except Unresolvable as error:
        raise SchemaCostError(f"a reference leads nowhere: {str(error)[:100]}") from None
    except re.error as error:  # in what the library matches by itself, unevaluated properties
        raise SchemaCostError(f"a pattern can't be followed: {str(error)[:60]}") from None
    except RecursionError:
        raise SchemaCostError("the answer or the schema is nested too deep") from None
    return [f"{place(error)}: {_words(error)}" for error in errors[:limit]]


def place(error: ValidationError | SchemaError) -> str:
    """Where, as the reader of a JSON document would write it: ``items[2].price``; ``(top)`` for the whole."""
    path = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in error.absolute_path)
    return path.lstrip(".")[:120] or "(top)"


def _words(error: ValidationError) -> str:
    """The finding without the instance, which may be long and is not ours to repeat."""
    match error.validator:
        case "type":
            return f"must be {_listed(error.validator_value)}"
        case "enum":
            return f"must be one of {_listed(error.validator_value)}"
        case "const":
            return f"must be {_listed(error.validator_value)}"
        case "required":
            return error.message[:200]
        case "additionalProperties":
            return error.message[:200]
        case rule:
            return f"does not keep {rule} {_listed(error.validator_value)}"


def _listed(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, default=str)[:120]
