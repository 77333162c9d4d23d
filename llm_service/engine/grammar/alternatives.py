"""A schema as the plain schemas of which one has to hold: references followed, combinations worked out.

A plain schema has no ``$ref``, ``allOf``, ``anyOf``, ``oneOf``, ``not``, ``if``, ``dependentRequired`` or
``dependentSchemas`` at its top.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from itertools import combinations
from typing import Any

from llm_service.engine.grammar.findings import Findings, Impossible, SchemaTooLarge, SchemaUnusable
from llm_service.engine.grammar.merging import Schema, merged, types_of
from llm_service.engine.grammar.references import resolved

_COMBINING = frozenset(
    ("$ref", "$dynamicRef", "allOf", "anyOf", "oneOf", "not", "if", "then", "else", "dependentRequired",
     "dependentSchemas")
)  # fmt: skip
_SILENT = frozenset(
    ("title", "description", "default", "examples", "$comment", "deprecated", "readOnly", "writeOnly", "$schema",
     "$id", "$anchor", "$defs", "definitions", "contentEncoding", "contentMediaType", "$dynamicAnchor")
)  # fmt: skip
# A handful of combinations of a handful each; more is a schema that no model would follow either.
_MOST = 200
_DEEPEST = 50


class Alternatives:
    """Works out the schemas of one document."""

    def __init__(self, root: Any, findings: Findings) -> None:
        self._root = root
        self._findings = findings

    def of(self, schema: Any, place: str, depth: int = 0) -> list[dict[str, Any]]:
        """Plain schemas, none where nothing meets it. Raises SchemaUnusable."""
        if isinstance(schema, bool):
            return [{}] if schema else []
        if not isinstance(schema, Mapping):
            raise SchemaUnusable(f"{place} is no schema.")
        if depth > _DEEPEST:
            raise SchemaUnusable(f"{place} refers to itself without an end.")
        base = {key: value for key, value in schema.items() if key not in _COMBINING | _SILENT}
        found = [base]
        for group in self._groups(schema, place, depth):
            found = _crossed(found, group)
            if len(found) > _MOST:
                raise SchemaTooLarge(f"{place} combines into more than {_MOST} cases.")
        return found

    def _groups(self, schema: Schema, place: str, depth: int) -> Iterable[list[dict[str, Any]]]:
        """Sets of plain schemas, of each of which one has to hold besides the rest."""
        for keyword in ("$ref", "$dynamicRef"):
            if keyword in schema:
                yield self.of(resolved(self._root, schema[keyword]), place, depth + 1)
        for number, part in enumerate(schema.get("allOf", ())):
            yield self.of(part, f"{place}/allOf/{number}", depth + 1)
        if "anyOf" in schema:
            yield self._any(schema["anyOf"], f"{place}/anyOf", depth)
        if "oneOf" in schema:
            yield self._one(schema["oneOf"], f"{place}/oneOf", depth)
        if "if" in schema:
            yield self._conditional(schema, place, depth)
        yield from self._dependent(schema, place, depth)
        if "not" in schema:
            yield self._negated(schema["not"], f"{place}/not")

    def _any(self, parts: Sequence[Any], place: str, depth: int) -> list[dict[str, Any]]:
        return [
            plain
            for number, part in enumerate(parts)
            for plain in self.of(part, f"{place}/{number}", depth + 1)
        ]

    def _one(self, parts: Sequence[Any], place: str, depth: int) -> list[dict[str, Any]]:
        branches = [self.of(part, f"{place}/{number}", depth + 1) for number, part in enumerate(parts)]
        pairs = ((left, right) for one, two in combinations(branches, 2) for left in one for right in two)
        if not all(_exclude(left, right) for left, right in pairs):
            self._findings.add("oneOf", place, "an answer may meet more than one of its branches")
        return [plain for branch in branches for plain in branch]

    def _conditional(self, schema: Schema, place: str, depth: int) -> list[dict[str, Any]]:
        condition, unless = schema["if"], _negation(schema["if"], schema)
        holds = {"allOf": [condition, schema.get("then", True)]}
        if unless is None:
            self._findings.add(
                "if", place, "only a property's const or enum, or a required name, is turned round"
            )
            return [{}]
        otherwise = {"allOf": [unless, schema.get("else", True)]}
        return [*self.of(holds, f"{place}/then", depth + 1), *self.of(otherwise, f"{place}/else", depth + 1)]

    def _dependent(self, schema: Schema, place: str, depth: int) -> Iterable[list[dict[str, Any]]]:
        rules = {
            name: {"required": list(names)} for name, names in schema.get("dependentRequired", {}).items()
        }
        both: list[tuple[str, Any]] = [*rules.items(), *schema.get("dependentSchemas", {}).items()]
        for name, needed in both:
            present = self.of({"allOf": [{"required": [name]}, needed]}, f"{place}/{name}", depth + 1)
            yield [{"properties": {name: False}}, *present]

    def _negated(self, schema: Any, place: str) -> list[dict[str, Any]]:  # noqa: PLR0911 # a case each
        match schema:
            case False | {"not": {}}:
                return [{}]
            case True:
                return []
            case {"required": [str() as name], **more} if not set(more) - _SILENT:
                return [{"properties": {name: False}}]
            case {"const": value, **more} if not set(more) - _SILENT:
                return [{"not enum": [value]}]
            case {"enum": [*values], **more} if not set(more) - _SILENT:
                return [{"not enum": values}]
            case {"type": named, **more} if not set(more) - _SILENT:
                return [{"not type": [named] if isinstance(named, str) else list(named)}]
        self._findings.add("not", place, "only values, types and required names are ruled out by the grammar")
        return [{}]


def _crossed(left: list[dict[str, Any]], right: list[dict[str, Any]]) -> list[dict[str, Any]]:
    found = []
    for one in left:
        for other in right:
            try:
                found.append(merged(one, other))
            except Impossible:
                continue
    return found


def _negation(condition: Any, around: Schema) -> dict[str, Any] | None:
    """The schema that holds where the condition does not, for the forms that conditions have in practice."""
    match condition:
        case {"required": [str() as name], **more} if not set(more) - _SILENT:
            return {"properties": {name: False}}
        case {"properties": {**properties}, **more} if len(properties) == 1 and not set(more) - _SILENT - {
            "required"
        }:
            ((only, schema),) = properties.items()
            return _other_values(str(only), schema, around, condition.get("required", ()))
    return None


def _other_values(name: str, schema: Any, around: Schema, required: Sequence[str]) -> dict[str, Any] | None:
    """The property has another of its values, or is left out where the condition needs it."""
    if (
        not isinstance(schema, Mapping)
        or set(schema) - _SILENT - {"const", "enum", "type"}
        or list(required) not in ([], [name])
    ):
        return None
    own = around.get("properties", {}).get(name)
    if not isinstance(own, Mapping) or "enum" not in own or not {"const", "enum"} & set(schema):
        if (
            isinstance(own, Mapping)
            and own.get("type") == "boolean"
            and isinstance(schema.get("const"), bool)
        ):
            others: list[Any] = [not schema["const"]]
        else:
            return None
    else:
        refused = _keys([schema["const"]] if "const" in schema else schema["enum"])
        others = [value for value in own["enum"] if not _keys([value]) & refused]
    is_there = {"properties": {name: {"enum": others}}, "required": [name]}
    # Left out, it meets a condition that does not need it: then the condition holds.
    return {"anyOf": [is_there, {"properties": {name: False}}]} if required else is_there


def _exclude(left: Schema, right: Schema) -> bool:
    """Whether no value can meet both."""
    kinds = [_kinds(side) for side in (left, right)]
    if kinds[0] is not None and kinds[1] is not None and not kinds[0] & kinds[1]:
        return True
    values = [_values(side) for side in (left, right)]
    if values[0] is not None and values[1] is not None:
        return not values[0] & values[1]
    return _exclude_by_range(left, right) or _exclude_by_property(left, right)


def _exclude_by_range(left: Schema, right: Schema) -> bool:
    for low, high in ((left, right), (right, left)):
        for most, least in (("maximum", "exclusiveMinimum"), ("exclusiveMaximum", "minimum")):
            if most in low and least in high and low[most] <= high[least]:
                return {*(types_of(low) or ("?",)), *(types_of(high) or ("?",))} <= {"integer", "number"}
        if "maximum" in low and "minimum" in high and low["maximum"] < high["minimum"]:
            return {*(types_of(low) or ("?",)), *(types_of(high) or ("?",))} <= {"integer", "number"}
    return False


def _exclude_by_property(left: Schema, right: Schema) -> bool:
    """Both are objects that must have a property, whose values differ or which one of them must not have."""
    if types_of(left) != ("object",) or types_of(right) != ("object",):
        return False
    for side, other in ((left, right), (right, left)):
        for name in side.get("required", ()):
            theirs = other.get("properties", {}).get(name, other.get("additionalProperties", True))
            if theirs is False:
                return True
            ours = side.get("properties", {}).get(name)
            schemas = [each for each in (ours, theirs) if isinstance(each, Mapping)]
            if name in other.get("required", ()) and len(schemas) == 2 and _exclude(*schemas):
                return True
    return False


def _kinds(schema: Schema) -> set[str] | None:
    named = types_of(schema)
    if named is None:
        return None
    return {"number" if kind == "integer" else kind for kind in named}


def _values(schema: Schema) -> set[str] | None:
    if "const" in schema:
        return _keys([schema["const"]])
    return _keys(schema["enum"]) if "enum" in schema else None


def _keys(values: Iterable[Any]) -> set[str]:
    return {json.dumps(value, sort_keys=True) for value in values}
