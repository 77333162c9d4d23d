"""A JSON value for a JSON Schema: each field with what the text says of it, of the right type in any case."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, TypeAlias

from llm_service.providers.extraction.choices import Choice, choose
from llm_service.providers.extraction.concepts import Concept
from llm_service.providers.extraction.dates import find_dates
from llm_service.providers.extraction.facts import Facts
from llm_service.providers.extraction.lookup import (
    Field,
    field_of,
    labelled_value,
    list_value,
    text_value,
    total,
)
from llm_service.providers.extraction.numbers import first_number
from llm_service.providers.extraction.summary import shortened
from llm_service.providers.extraction.verdicts import is_verdict, pick_verdict, reason_of

Schema: TypeAlias = Mapping[str, Any]

_DEEPEST = 16
_MOST_FIELDS = 500
"""Filled at most: a schema whose references double would otherwise never end."""
_ISO_HINTS = ("гггг-мм-дд", "yyyy-mm-dd", "iso 8601")
_YES = frozenset(("да", "yes", "true", "есть", "имеется", "1"))


@dataclass(frozen=True, slots=True)
class Filled:
    """A value and whether the text says it; where it does not, the value is the type's empty one."""

    value: object
    found: bool


@dataclass(slots=True)
class Filler:
    """One schema being filled from one text."""

    root: Schema
    facts: Facts
    left: int = _MOST_FIELDS
    choices: list[Choice] = field(default_factory=list)
    """What was chosen so far: asked for by fields like ``confidence`` and ``reason``."""

    def fill(self) -> object:
        """The value for the whole schema."""
        return self._value(self.root, "", 0).value

    def _value(self, schema: Schema, name: str, depth: int) -> Filled:
        schema = self._resolved(schema)
        self.left -= 1
        nullable = _allows(schema, "null")
        filled = (
            self._typed(schema, name, depth)
            if self.left > 0 and depth < _DEEPEST
            else Filled(None, found=False)
        )
        if not filled.found and "default" in schema:
            return Filled(schema["default"], found=False)
        return Filled(None, found=False) if nullable and not filled.found else filled

    def _typed(self, schema: Schema, name: str, depth: int) -> Filled:
        if "const" in schema:
            return Filled(schema["const"], found=True)
        asked = field_of(name, str(schema.get("title", "")), str(schema.get("description", "")))
        if isinstance(schema.get("enum"), list) and schema["enum"]:
            return self._enumerated(schema["enum"], asked)
        match _type_of(schema):
            case "object":
                return self._object(schema, name, depth)
            case "array":
                return self._array(schema, asked, name, depth)
            case kind:
                return self._scalar(schema, asked, kind)

    def _scalar(self, schema: Schema, asked: Field, kind: str) -> Filled:
        match kind:
            case "number" | "integer":
                return self._number(schema, asked, integer=kind == "integer")
            case "boolean":
                said = labelled_value(asked, self.facts)
                return Filled(said.strip(" .").lower() in _YES, found=bool(said))
            case "null":
                return Filled(None, found=True)
            case _:
                return self._string(schema, asked)

    def _object(self, schema: Schema, name: str, depth: int) -> Filled:
        properties: Mapping[str, Schema] = schema.get("properties") or {}
        required = [key for key in schema.get("required") or () if isinstance(key, str)]
        filled = {
            key: self._value(each, f"{name} {key}".strip(), depth + 1)
            for key, each in properties.items()
            if not is_verdict(each)
        }
        kept = {key: each.value for key, each in filled.items() if each.found or key in required}
        verdicts = [key for key in properties if is_verdict(properties[key])]
        if verdicts:
            reasons = {key for key in filled if field_of(key).concept is Concept.REASON}
            lacking = [
                key for key in required if key in filled and key not in reasons and not filled[key].found
            ]
            kept |= {key: pick_verdict(properties[key]["enum"], passed=not lacking) for key in verdicts}
            kept |= dict.fromkeys(reasons, reason_of(lacking))
        ordered = {key: kept[key] for key in properties if key in kept}
        missing = {key: "" for key in required if key not in properties}
        return Filled(ordered | missing, found=any(each.found for each in filled.values()))

    def _array(self, schema: Schema, asked: Field, name: str, depth: int) -> Filled:
        items = self._resolved(schema.get("items") if isinstance(schema.get("items"), Mapping) else {})
        most = schema.get("maxItems")
        said = list_value(asked, self.facts)
        if _type_of(items) == "object" or not said:
            fewest = min(int(schema.get("minItems", 0)), 20)
            return Filled([self._value(items, name, depth + 1).value for _ in range(fewest)], found=False)
        values = [_as_type(items, one) for one in said]
        known = [one for one in values if one is not None]
        return Filled(known[:most] if isinstance(most, int) else known, found=bool(known))

    def _number(self, schema: Schema, asked: Field, *, integer: bool) -> Filled:
        if asked.concept is Concept.CONFIDENCE:
            return Filled(self.choices[-1].confidence if self.choices else 0.0, found=bool(self.choices))
        said = labelled_value(asked, self.facts)
        amount = total(self.facts, said) if asked.concept is Concept.AMOUNT else None
        value = amount.value if amount is not None else first_number(said)
        if value is None:
            least = schema.get("minimum", 0)
            return Filled(least if isinstance(least, int | float) else 0, found=False)
        return Filled(_plain(value, integer=integer), found=True)

    def _enumerated(self, allowed: Sequence[object], asked: Field) -> Filled:
        words = [word for word in allowed if isinstance(word, str)]
        if not words:
            return Filled(allowed[0], found=False)
        choice = choose(words, labelled_value(asked, self.facts), self.facts)
        self.choices.append(choice)
        return Filled(choice.value, found=choice.found)

    def _string(self, schema: Schema, asked: Field) -> Filled:
        if asked.concept is Concept.REASON and self.choices:
            return Filled(", ".join(self.choices[-1].by), found=True)
        value = text_value(asked, self.facts)
        formatted = _as_format(schema, value)
        longest = schema.get("maxLength")
        if isinstance(longest, int) and len(formatted) > longest:
            formatted = shortened(formatted, max(1, longest - 2))[:longest]
        return Filled(formatted, found=bool(formatted))

    def _resolved(self, schema: object) -> Schema:
        """The schema a local reference, or the first branch of a choice, leads to."""
        for _ in range(_DEEPEST):
            if not isinstance(schema, Mapping):
                return {}
            reference = schema.get("$ref")
            branches = schema.get("anyOf") or schema.get("oneOf") or schema.get("allOf")
            if isinstance(reference, str):
                schema = _at(self.root, reference)
            elif isinstance(branches, list) and "type" not in schema and "properties" not in schema:
                schema = _merged(schema, branches)
            else:
                return schema
        return {}


def _at(root: Schema, reference: str) -> object:
    """What ``#/$defs/name`` points at; nothing for a reference that leads elsewhere."""
    place: object = root
    for step in reference.removeprefix("#").strip("/").split("/"):
        if step:
            place = (
                place.get(step.replace("~1", "/").replace("~0", "~")) if isinstance(place, Mapping) else None
            )
    return place


def _merged(schema: Schema, branches: Sequence[object]) -> Schema:
    """The first branch that is not null, with what stands beside the branches; null stays allowed."""
    kept = [branch for branch in branches if isinstance(branch, Mapping)]
    first = next((branch for branch in kept if branch.get("type") != "null"), {})
    beside = {key: value for key, value in schema.items() if key not in ("anyOf", "oneOf", "allOf")}
    null = (
        {"nullable": True} if len(kept) > 1 and any(branch.get("type") == "null" for branch in kept) else {}
    )
    return beside | dict(first) | null


def _allows(schema: Schema, kind: str) -> bool:
    allowed = schema.get("type")
    return schema.get("nullable") is True or (isinstance(allowed, list) and kind in allowed)


def _type_of(schema: Schema) -> str:
    """The type to fill: of several the first that is not null; an object where only properties are named."""
    kind = schema.get("type")
    if isinstance(kind, list):
        kind = next((each for each in kind if each != "null"), "null")
    if isinstance(kind, str):
        return kind
    return "object" if "properties" in schema else "array" if "items" in schema else "string"


def _as_format(schema: Schema, value: str) -> str:
    """A date in ISO form where the schema asks for it, else the value as it is."""
    wanted = schema.get("format")
    hinted = any(hint in str(schema.get("description", "")).lower() for hint in _ISO_HINTS)
    if wanted not in ("date", "date-time") and not hinted:
        return value
    found = find_dates(value)
    if not found:
        return ""
    return found[0].day.isoformat() + ("T00:00:00Z" if wanted == "date-time" else "")


def _as_type(items: Schema, value: str) -> object:
    """One value of a list by the type of the list's items; None when it is not of that type."""
    kind = _type_of(items)
    if kind in ("number", "integer"):
        number = first_number(value)
        return None if number is None else _plain(number, integer=kind == "integer")
    return _as_format(items, value) or None if kind == "string" else None


def _plain(value: Decimal, *, integer: bool) -> int | float:
    return int(value) if integer or value == value.to_integral_value() else float(value)
