"""The 2020-12 validator with bounds: a pattern is given up after a while, and references that multiply are cut off."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import regex
from jsonschema import Draft202012Validator, ValidationError
from jsonschema.protocols import Validator
from jsonschema.validators import extend
from referencing import Registry
from referencing.jsonschema import DRAFT202012

from llm_service.prompts.subschemas import Pointer, fragment

_PATTERN_SECONDS = 0.05
"""The bound of requirement S9 for one match; a sane pattern takes microseconds."""
_REFERENCES = 10_000
"""Followed per answer. An honest tree of references follows one per node; one that doubles ends here."""
_DEEPEST = 60
"""References inside references; each takes six frames of a thousand. Beyond, the library below ends in a panic of its own,
which is no ``Exception``. Messages nest under 100, an answer's tree under 20."""
_ADDRESS = "urn:the-schema"


class SchemaCostError(Exception):
    """Holding an answer to the schema takes longer than allowed."""


def bounded_validator(schema: Mapping[str, object]) -> Validator:
    """For the whole schema; nothing is fetched. Raises SchemaCostError while it is used."""
    return _bounded()(schema, registry=Registry())


class PartValidators:
    """Validators for parts of one schema, which share an allowance of references."""

    def __init__(self, root: object) -> None:
        self._made = _bounded()
        self._registry = Registry().with_resource(_ADDRESS, DRAFT202012.create_resource(root))

    def at(self, place: Pointer) -> Validator:
        """For the schema at that place."""
        return self._made({"$ref": f"{_ADDRESS}#{fragment(place)}"}, registry=self._registry)


def _bounded() -> type[Validator]:
    """With its own allowance of references."""
    left, deep = _REFERENCES, 0
    plain_ref = Draft202012Validator.VALIDATORS["$ref"]

    def reference(validator: Validator, target: Any, instance: Any, schema: Any) -> Iterator[ValidationError]:
        nonlocal left, deep
        left -= 1
        if left < 0:
            raise SchemaCostError(f"the schema follows more than {_REFERENCES} references")
        if deep >= _DEEPEST:
            raise SchemaCostError(f"references are nested more than {_DEEPEST} deep")
        deep += 1
        try:
            yield from plain_ref(validator, target, instance, schema) or ()
        finally:
            deep -= 1

    rules = {
        "$ref": reference,
        "pattern": _pattern,
        "patternProperties": _pattern_properties,
        "additionalProperties": _additional_properties,
    }
    bounded: type[Validator] = extend(Draft202012Validator, rules)  # type: ignore[no-untyped-call]
    return bounded


def _pattern(_validator: Validator, pattern: str, instance: Any, _schema: Any) -> Iterator[ValidationError]:
    if isinstance(instance, str) and not found(pattern, instance):
        yield ValidationError(f"does not match {pattern!r}")


def _pattern_properties(
    validator: Validator, patterns: Mapping[str, Any], instance: Any, _schema: Any
) -> Iterator[ValidationError]:
    if not isinstance(instance, dict):
        return
    for pattern, subschema in patterns.items():
        for key, value in instance.items():
            if found(pattern, key):
                yield from validator.descend(value, subschema, path=key, schema_path=pattern)  # type: ignore[attr-defined]


def _additional_properties(
    validator: Validator, allowed: Any, instance: Any, schema: Any
) -> Iterator[ValidationError]:
    """The library's own matches patterns without a bound, and by Python's rules, which have no ``\\p{L}``."""
    if not isinstance(instance, dict):
        return
    named, patterns = schema.get("properties", {}), schema.get("patternProperties", {})
    extra = [key for key in instance if key not in named and not any(found(each, key) for each in patterns)]
    if allowed is False and extra:
        names = ", ".join(repr(key[:60]) for key in extra[:3])
        yield ValidationError(f"Additional properties are not allowed ({names})")
    elif isinstance(allowed, dict):
        for key in extra:
            yield from validator.descend(instance[key], allowed, path=key)  # type: ignore[attr-defined]


def found(pattern: str, text: str) -> bool:
    """Whether the pattern is found in the text. Raises SchemaCostError when that takes too long."""
    try:
        return regex.search(pattern, text, timeout=_PATTERN_SECONDS) is not None
    except TimeoutError:
        raise SchemaCostError(f"the pattern {pattern[:60]!r} takes too long on the answer") from None
    except regex.error as error:
        raise SchemaCostError(f"the pattern {pattern[:60]!r} does not compile: {str(error)[:60]}") from None
