"""JSON Schema 2020-12 to a grammar in GBNF that holds an answer to it.

The grammar never allows what the schema refuses but where it says so (``unenforced``). It may allow less: properties
come in the order of the schema, numbers without exponents where they have bounds, dates without leap days.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from jsonschema import Draft202012Validator
from jsonschema.exceptions import SchemaError
from referencing.exceptions import Unresolvable

from llm_service.engine.grammar.alternatives import Alternatives
from llm_service.engine.grammar.arrays import ArrayMaker
from llm_service.engine.grammar.findings import Findings, Impossible, SchemaTooLarge, SchemaUnusable
from llm_service.engine.grammar.merging import Schema, types_of
from llm_service.engine.grammar.objects import ObjectMaker
from llm_service.engine.grammar.rules import GrammarTooLarge, Rules, json_literal
from llm_service.engine.grammar.texts import number_rule, string_rule

__all__ = ["Converted", "SchemaTooLarge", "SchemaUnusable", "to_grammar"]

_IMPLIED = {
    "object": ("properties", "required", "additionalProperties", "patternProperties", "propertyNames",
               "minProperties", "maxProperties", "unevaluatedProperties"),
    "array": ("items", "prefixItems", "minItems", "maxItems", "uniqueItems", "contains", "unevaluatedItems"),
    "string": ("pattern", "format", "minLength", "maxLength"),
    "number": ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"),
}  # fmt: skip
_ALL = ("object", "array", "string", "number", "boolean", "null")
# Values of an enumeration; more make the grammar slow and the schema no schema.
_MOST_VALUES = 5_000


@dataclass(frozen=True, slots=True)
class Converted:
    """A grammar, and what of the schema it does not hold an answer to."""

    text: str
    unenforced: tuple[str, ...]


def to_grammar(schema: Any) -> Converted:
    """The grammar of a JSON Schema.

    Raises SchemaTooLarge where there is none, and SchemaUnusable where no value meets it or it can't be followed.
    """
    try:
        Draft202012Validator.check_schema(schema)
        conversion = _Conversion(schema)
        root = conversion.rule_of(schema, "#")
    except Impossible as error:
        raise SchemaUnusable(f"No value meets the schema: {error}.") from None
    except SchemaError as error:
        raise SchemaUnusable(f"It is no JSON Schema: {error.message[:200]}") from None
    except GrammarTooLarge:
        raise SchemaTooLarge("The schema is too large for a grammar.") from None
    except RecursionError:
        raise SchemaTooLarge("The schema is nested too deep for a grammar.") from None
    return Converted(conversion.rules.text(root), conversion.findings.all)


class _Conversion:
    """One document on its way."""

    def __init__(self, root: Any) -> None:
        self.rules = Rules()
        self.findings = Findings()
        self._root = root
        self._alternatives = Alternatives(root, self.findings)
        self._made: dict[str, str | None] = {}
        self._objects = ObjectMaker(self.rule_of, self._is_valid, self.rules, self.findings)
        self._arrays = ArrayMaker(self.rule_of, self._few_values, self.rules, self.findings)

    def rule_of(self, schema: Any, place: str) -> str:
        """The rule's name; a schema that comes again, or refers to itself, has one. Raises Impossible."""
        key = json.dumps(schema, sort_keys=True)
        if key not in self._made:
            self._made[key] = name = self.rules.reserve()
            ways = self._ways(schema, place)
            if ways:
                self.rules.write(name, " | ".join(ways))
            else:
                self._made[key] = None
        made = self._made[key]
        if made is None:
            raise Impossible(f"nothing is allowed at {place}")
        return made

    def _ways(self, schema: Any, place: str) -> list[str]:
        ways: dict[str, None] = {}
        for plain in self._alternatives.of(schema, place):
            for kind in ("values",) if {"enum", "const"} & set(plain) else _kinds(plain):
                try:
                    ways.update(dict.fromkeys(self._bodies(kind, plain, place)))
                except Impossible:
                    continue
        return list(ways)

    def _bodies(self, kind: str, plain: Schema, place: str) -> list[str]:  # noqa: PLR0911 # a case each
        match kind:
            case "values":
                return [json_literal(value) for value in self._values(plain, place)]
            case "string":
                return [string_rule(plain, place, self.rules, self.findings)]
            case "number" | "integer":
                return [number_rule(plain, place, self.rules, self.findings, is_integer=kind == "integer")]
            case "object" if _is_free(plain, "object"):
                return [self.rules.shared("object")]
            case "object":
                return [self._objects.rule(plain, place)]
            case "array" if _is_free(plain, "array"):
                return [self.rules.shared("array")]
            case "array":
                return [self._arrays.rule(plain, place)]
            case "boolean":
                refused = [value for value in plain.get("not enum", ()) if isinstance(value, bool)]
                return [json_literal(value) for value in (True, False) if value not in refused]
        return [] if None in plain.get("not enum", ()) else [self.rules.shared("null")]

    def _values(self, plain: Schema, place: str) -> list[Any]:
        """Of the values listed, those that meet the rest too."""
        listed = [plain["const"]] if "const" in plain else plain["enum"]
        if len(listed) > _MOST_VALUES:
            raise SchemaTooLarge(f"The enum at {place} has more than {_MOST_VALUES} values.")
        refused = {json.dumps(value, sort_keys=True) for value in plain.get("not enum", ())}
        rest = {key: value for key, value in plain.items() if not key.startswith("not ")}
        kinds = _kinds(plain)
        return [
            value
            for value in listed
            if json.dumps(value, sort_keys=True) not in refused
            and _is_of(value, kinds, plain)
            and self._is_valid(value, _unmerged(rest))
        ]

    def _few_values(self, schema: Any, place: str) -> list[Any] | None:
        found: list[Any] = []
        for plain in self._alternatives.of(schema, place):
            if {"enum", "const"} & set(plain):
                found += self._values(plain, place)
            elif types_of(plain) == ("boolean",):
                found += [True, False]
            elif types_of(plain) == ("integer",) and {"minimum", "maximum"} <= set(plain):
                numbers = range(
                    int(plain["minimum"]), min(int(plain["maximum"]), int(plain["minimum"]) + 10) + 1
                )
                found += [number for number in numbers if self._is_valid(number, plain)]
            else:
                return None
        return found

    def _is_valid(self, value: Any, schema: Any) -> bool:
        definitions = self._root if isinstance(self._root, Mapping) else {}
        around = {key: definitions[key] for key in ("$defs", "definitions") if key in definitions}
        try:
            return bool(Draft202012Validator({**around, "allOf": [schema]}).is_valid(value))
        except (Unresolvable, RecursionError):
            self.findings.add("enum", "#", "a reference beside it could not be followed")
            return True


def _kinds(plain: Schema) -> tuple[str, ...]:
    """The types a value may have: those named, else those that its keywords speak of, else all."""
    named = types_of(plain)
    if named is None:
        named = tuple(kind for kind, words in _IMPLIED.items() if set(words) & set(plain)) or _ALL
    refused = set(plain.get("not type", ()))
    return tuple(
        kind
        for kind in named
        if kind not in refused and not (kind == "integer" and ("number" in named or "number" in refused))
    )


def _is_of(value: Any, kinds: tuple[str, ...], plain: Schema) -> bool:
    """Whether a listed value has none of the types that are ruled out."""
    if "not type" not in plain:
        return True
    return any(bool(Draft202012Validator({"type": kind}).is_valid(value)) for kind in kinds)


def _is_free(plain: Schema, kind: str) -> bool:
    return not set(_IMPLIED[kind]) & set(plain)


def _unmerged(plain: Schema) -> Schema:
    """As a validator reads it: keywords that were merged, each in a schema of its own."""
    lists = {
        key: plain[key] for key in ("pattern", "format", "multipleOf") if isinstance(plain.get(key), list)
    }
    rest = {key: value for key, value in plain.items() if key not in lists}
    return {"allOf": [rest, *({key: each} for key, values in lists.items() for each in values)]}
