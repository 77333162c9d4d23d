"""Two schemas that both hold become one."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from llm_service.engine.grammar.automaton import TooLarge
from llm_service.engine.grammar.findings import Impossible
from llm_service.engine.grammar.pattern import PatternUnsupported, pattern_automaton

Schema = Mapping[str, Any]

_TYPES = ("object", "array", "string", "number", "integer", "boolean", "null")
_COUNTS_UP = ("minimum", "exclusiveMinimum", "minLength", "minItems", "minProperties", "minContains")
_COUNTS_DOWN = ("maximum", "exclusiveMaximum", "maxLength", "maxItems", "maxProperties", "maxContains")


def types_of(schema: Schema) -> tuple[str, ...] | None:
    """The types it names; None where it names none."""
    named = schema.get("type")
    return None if named is None else (named,) if isinstance(named, str) else tuple(named)


def merged(one: Schema, other: Schema) -> dict[str, Any]:
    """What holds where both do. Neither has ``$ref`` or a combination. Raises Impossible."""
    found = dict(one)
    for keyword, value in other.items():
        found[keyword] = _both(keyword, one[keyword], value) if keyword in one else value
    if "properties" in found or "patternProperties" in found or "additionalProperties" in found:
        found["properties"] = _properties(one, other)
        _additional(found, one, other)
    return found


def _both(keyword: str, one: Any, other: Any) -> Any:
    if one == other and type(one) is type(other):
        return one
    if keyword in _COUNTS_UP:
        return max(one, other)
    if keyword in _COUNTS_DOWN:
        return min(one, other)
    join = _JOINS.get(keyword)
    return join(one, other) if join else other


def _types(one: Any, other: Any) -> list[str]:
    def known(named: Any) -> set[str]:
        kinds = {named} if isinstance(named, str) else set(named)
        return kinds | {"integer"} if "number" in kinds else kinds

    common = known(one) & known(other)
    if not common:
        raise Impossible("no type is allowed by all")
    return [kind for kind in _TYPES if kind in common and not (kind == "integer" and "number" in common)]


def _enumerated(one: list[Any], other: list[Any]) -> list[Any]:
    keys = {json.dumps(value, sort_keys=True) for value in other}
    return [value for value in one if json.dumps(value, sort_keys=True) in keys]


def _constants(one: Any, other: Any) -> Any:
    raise Impossible("two constants that differ")


def _listed(one: Any, other: Any) -> list[Any]:
    left = one if isinstance(one, list) else [one]
    return [*left, *(value for value in (other if isinstance(other, list) else [other]) if value not in left)]


def _by_name(one: Schema, other: Schema) -> dict[str, Any]:
    found = dict(one)
    for name, schema in other.items():
        found[name] = {"allOf": [one[name], schema]} if name in one else schema
    return found


def _all(one: Any, other: Any) -> dict[str, Any]:
    return {"allOf": [one, other]}


def _prefixes(one: list[Any], other: list[Any]) -> list[Any]:
    # What one of them has beyond the other is held to the other's items afterwards, by ``items`` of both.
    longer, shorter = (one, other) if len(one) >= len(other) else (other, one)
    return [
        _all(schema, shorter[place]) if place < len(shorter) else schema
        for place, schema in enumerate(longer)
    ]


_JOINS: dict[str, Callable[[Any, Any], Any]] = {
    "type": _types,
    "enum": _enumerated,
    "const": _constants,
    "required": _listed,
    "pattern": _listed,
    "format": _listed,
    "multipleOf": _listed,
    "not enum": lambda one, other: [*one, *other],
    "not type": lambda one, other: [*one, *other],
    "patternProperties": _by_name,
    "propertyNames": _all,
    "items": _all,
    "contains": _all,
    "prefixItems": _prefixes,
    "uniqueItems": lambda one, other: bool(one or other),
}


def _properties(one: Schema, other: Schema) -> dict[str, Any]:
    """Each property with what both say; the one that does not name it says so by additionalProperties."""
    left, right = one.get("properties", {}), other.get("properties", {})
    found = {}
    for name in {**left, **right}:
        schemas = [side["properties"][name] for side in (one, other) if name in side.get("properties", {})]
        if len(schemas) == 1:
            silent = other if name in left else one
            if "additionalProperties" in silent and not _matches(name, silent.get("patternProperties", {})):
                schemas.append(silent["additionalProperties"])
        found[name] = schemas[0] if len(schemas) == 1 else {"allOf": schemas}
    return found


def _matches(name: str, patterns: Iterable[str]) -> bool:
    """Whether one of the patterns speaks for the name; one that can't be read does not."""
    for pattern in patterns:
        try:
            if pattern_automaton(pattern).takes(name):
                return True
        except (PatternUnsupported, TooLarge):
            continue
    return False


def _additional(found: dict[str, Any], one: Schema, other: Schema) -> None:
    both = [side["additionalProperties"] for side in (one, other) if "additionalProperties" in side]
    if both:
        found["additionalProperties"] = both[0] if len(both) == 1 else {"allOf": both}
