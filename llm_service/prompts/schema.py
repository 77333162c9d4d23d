"""JSON Schema 2020-12, as far as an answer is held to it: nothing fetched, nothing that runs away.

A schema may come with a task, so it is as untrusted as the task: references lead nowhere outside it, a
pattern is given up after a bounded time, and references that multiply are cut off.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

import regex
from jsonschema import Draft202012Validator, FormatChecker, ValidationError
from jsonschema.exceptions import SchemaError
from jsonschema.protocols import Validator
from jsonschema.validators import extend
from referencing import Registry
from referencing.exceptions import Unresolvable

_PATTERN_SECONDS = 0.05
"""The bound of requirement S9 for one match; a sane pattern takes microseconds."""
_PATTERN_CHARS = 1_000
_SCHEMA_CHARS = 200_000
"""A model's context holds less schema than this; the largest published API schemas are about half."""
_REFERENCES = 10_000
"""Followed per answer. An honest tree of references follows one per node; one that doubles ends here."""
_PATTERN_KEYS = ("pattern", "patternProperties")


class SchemaCostError(Exception):
    """Holding an answer to the schema takes longer than allowed."""


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
    return tuple(dict.fromkeys(_node_problems(schema)))


def _node_problems(root: object) -> Iterator[str]:
    pending = [root]
    while pending:
        node = pending.pop()
        if isinstance(node, list):
            pending.extend(node)
        elif isinstance(node, Mapping):
            yield from _reference_problems(node)
            yield from _pattern_problems(node)
            pending.extend(node.values())


def _reference_problems(node: Mapping[str, object]) -> Iterator[str]:
    reference = node.get("$ref")
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
    validator = _bounded_validator()(schema, registry=Registry())
    try:
        errors = sorted(
            validator.iter_errors(value), key=lambda error: (len(error.absolute_path), place(error))
        )
    except Unresolvable as error:
        raise SchemaCostError(f"a reference leads nowhere: {str(error)[:100]}") from None
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


def _bounded_validator() -> type[Validator]:
    """The 2020-12 validator, with its own allowance of references."""
    left = _REFERENCES
    plain_ref = Draft202012Validator.VALIDATORS["$ref"]

    def reference(validator: Validator, target: Any, instance: Any, schema: Any) -> Iterator[ValidationError]:
        nonlocal left
        left -= 1
        if left < 0:
            raise SchemaCostError(f"the schema follows more than {_REFERENCES} references")
        yield from plain_ref(validator, target, instance, schema) or ()

    rules = {"$ref": reference, "pattern": _pattern, "patternProperties": _pattern_properties}
    bounded: type[Validator] = extend(Draft202012Validator, rules)  # type: ignore[no-untyped-call]
    return bounded


def _pattern(_validator: Validator, pattern: str, instance: Any, _schema: Any) -> Iterator[ValidationError]:
    if isinstance(instance, str) and not _found(pattern, instance):
        yield ValidationError(f"does not match {pattern!r}")


def _pattern_properties(
    validator: Validator, patterns: Mapping[str, Any], instance: Any, _schema: Any
) -> Iterator[ValidationError]:
    if not isinstance(instance, dict):
        return
    for pattern, subschema in patterns.items():
        for key, value in instance.items():
            if _found(pattern, key):
                yield from validator.descend(value, subschema, path=key, schema_path=pattern)  # type: ignore[attr-defined]


def _found(pattern: str, text: str) -> bool:
    try:
        return regex.search(pattern, text, timeout=_PATTERN_SECONDS) is not None
    except TimeoutError:
        raise SchemaCostError(f"the pattern {pattern[:60]!r} takes too long on the answer") from None
    except regex.error as error:
        raise SchemaCostError(f"the pattern {pattern[:60]!r} does not compile: {str(error)[:60]}") from None
