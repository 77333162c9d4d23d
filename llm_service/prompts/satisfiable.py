"""Whether any answer at all can meet a schema: what is provably impossible is refused before an answer is paid for.

Only proofs count. Whatever can't be told by looking (patterns against lengths, ``not``, conditions) is taken for possible,
and so is a schema that takes too long to look through. An optional property that can't be is no obstacle.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, TypeAlias

from referencing.exceptions import Unresolvable

from llm_service.prompts.bounded_validator import PartValidators, SchemaCostError, found
from llm_service.prompts.subschemas import Pointer, SchemaTree, shown

_STEPS = 2_000
"""Looked at before giving up: some milliseconds. A form of a hundred fields takes about two hundred."""
_CANDIDATE_CHARS = 5_000
"""Of listed values tried one after the other; the first that fits ends it, and of an honest list that is the first."""

Node: TypeAlias = Mapping[str, Any]
_ALL_TYPES = frozenset({"object", "array", "string", "number", "boolean", "null"})


class _UndecidedError(Exception):
    """No proof within the bounds."""


@dataclass(frozen=True, slots=True)
class _Part:
    """One of the schemas that hold of the same value."""

    place: Pointer
    schema: Node


def why_impossible(tree: SchemaTree) -> str | None:
    """Where and why nothing meets the schema; None where something may."""
    if tree.has_own_scopes:
        return None
    try:
        return _Proof(tree).reason(((),))
    except (_UndecidedError, SchemaCostError, Unresolvable, RecursionError):
        return None
    except (
        OverflowError,
        re.error,
    ):  # of numbers beyond any float, and patterns that the library matches by itself
        return None


class _Proof:
    """One attempt, with its allowance of steps.

    A set of places that comes again while it is being looked at needs itself inside itself: no finite value does that.
    """

    def __init__(self, tree: SchemaTree) -> None:
        self._tree = tree
        self._left = _STEPS
        self._open: set[frozenset[Pointer]] = set()
        self._validators = PartValidators(tree.root)

    def reason(self, places: tuple[Pointer, ...]) -> str | None:
        """Why no value meets the schemas at all these places together."""
        self._step()
        key = frozenset(places)
        if key in self._open:
            return f"{shown(places[0])} needs itself inside itself without end"
        self._open.add(key)
        try:
            parts = [part for place in places for part in self._parts(place, ())]
            return self._of_parts(places, parts)
        except _NothingError as nothing:
            return nothing.reason
        finally:
            self._open.discard(key)

    def _step(self) -> None:
        self._left -= 1
        if self._left < 0:
            raise _UndecidedError

    def _parts(self, place: Pointer, by: tuple[Pointer, ...]) -> Iterator[_Part]:
        """The schema there, and those that hold with it: its reference and ``allOf``. Raises _NothingError for ``false``."""
        self._step()
        if place in by:
            raise _NothingError(f"{shown(by[0])} refers to itself without end")
        schema = self._tree.nodes.get(place)
        if schema is False:
            raise _NothingError(f"{shown(place)} is false, which allows nothing")
        if not isinstance(schema, Mapping):
            return
        yield _Part(place, schema)
        if isinstance(reference := schema.get("$ref"), str):
            target = self._tree.target(reference)
            if target is None:
                raise _UndecidedError
            yield from self._parts(target, (*by, place))
        for index in range(len(schema.get("allOf", ()))):
            yield from self._parts((*place, "allOf", str(index)), (*by, place))

    def _of_parts(self, places: tuple[Pointer, ...], parts: list[_Part]) -> str | None:
        for part in parts:
            if part.schema.get("not") in ({}, True):
                return f"{shown((*part.place, 'not'))} refuses every value"
        listed = [part for part in parts if {"enum", "const"} & part.schema.keys()]
        if listed:
            return self._of_values(places, listed)
        if why := self._of_types(parts):
            return why
        return self._of_branches(places, parts)

    def _of_values(self, places: tuple[Pointer, ...], listed: list[_Part]) -> str | None:
        """Where values are listed, each is tried by the validator itself."""
        part = listed[0]
        keyword = "const" if "const" in part.schema else "enum"
        values = [part.schema["const"]] if keyword == "const" else part.schema["enum"]
        chars = 0
        for value in values:
            chars += len(json.dumps(value, ensure_ascii=False))
            if chars > _CANDIDATE_CHARS:
                raise _UndecidedError
            self._step()
            if all(self._validators.at(place).is_valid(value) for place in places):
                return None
        which = f"{shown(part.place)} has no value in its {keyword}"
        return f"{which} that meets the rest" if values else f"{shown(part.place)} has an empty enum"

    def _of_types(self, parts: list[_Part]) -> str | None:
        types, why = _types(parts), ""
        if not types:
            return f"{shown(parts[0].place)} leaves no type that all of its parts allow"
        for kind in sorted(types):
            if (reason := self._of_type(kind, parts)) is None:
                return None
            why = why or reason
        return why

    def _of_type(self, kind: str, parts: list[_Part]) -> str | None:
        match kind:
            case "number" | "integer":
                return _number_reason(parts, is_integer=kind == "integer")
            case "string":
                return _crossed(parts, "minLength", "maxLength")
            case "array":
                return self._array_reason(parts)
            case "object":
                return self._object_reason(parts)
        return None

    def _of_branches(self, places: tuple[Pointer, ...], parts: list[_Part]) -> str | None:
        """``anyOf`` or ``oneOf`` of which no branch is possible beside all else."""
        for part in parts:
            for keyword in ("anyOf", "oneOf"):
                branches = [(*part.place, keyword, str(n)) for n in range(len(part.schema.get(keyword, ())))]
                if not branches or set(branches) & set(places):
                    continue  # one of them is being looked at
                why = ""
                for branch in branches:
                    if (reason := self.reason((*places, branch))) is None:
                        return None  # looked at together with all the others
                    why = why or reason
                return f"{shown((*part.place, keyword))} has no branch that can be met: {why}"
        return None

    # --- arrays -----------------------------------------------------------------------------------

    def _array_reason(self, parts: list[_Part]) -> str | None:
        if why := _crossed(parts, "minItems", "maxItems"):
            return why
        least = _most(parts, "minItems", 0)
        for part in parts:
            if "contains" not in part.schema or (wanted := part.schema.get("minContains", 1)) < 1:
                continue
            if wanted > min(_least(parts, "maxItems"), part.schema.get("maxContains", math.inf)):
                return f"{shown(part.place)} wants {wanted} that it contains, and takes fewer"
            if why := self.reason(((*part.place, "contains"),)):
                return why
            least = max(least, wanted)
        longest = max((len(part.schema.get("prefixItems", ())) for part in parts), default=0)
        for index in range(min(int(least), longest + 1)):
            places = tuple(place for part in parts for place in _item(part, index))
            if places and (why := self.reason(places)):
                return why
        return None

    # --- objects ----------------------------------------------------------------------------------

    def _object_reason(self, parts: list[_Part]) -> str | None:
        if why := _crossed(parts, "minProperties", "maxProperties"):
            return why
        names = _required(parts)
        most = _least(parts, "maxProperties")
        if len(names) > most:
            return f"{shown(parts[0].place)} requires {len(names)} properties and takes {most:g}"
        for name in names:
            if why := self._property_reason(name, parts):
                return f"the required property {name[:60]!r} can't be: {why}"
        return _too_few_names(parts)

    def _property_reason(self, name: str, parts: list[_Part]) -> str | None:
        places: list[Pointer] = []
        for part in parts:
            self._step()
            own = _of_property(part, name)
            if not own and part.schema.get("additionalProperties") is False:
                return f"{shown(part.place)} takes no such property (additionalProperties is false)"
            if not own and "additionalProperties" in part.schema:
                own = [(*part.place, "additionalProperties")]
            places += own
            if "propertyNames" in part.schema:
                at = (*part.place, "propertyNames")
                if not self._validators.at(at).is_valid(name):
                    return f"{shown(at)} refuses the name"
        return self.reason(tuple(places)) if places else None


class _NothingError(Exception):
    """A schema among those that hold together that allows nothing by itself."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


def _types(parts: list[_Part]) -> frozenset[str]:
    left = _ALL_TYPES
    for part in parts:
        named = part.schema.get("type")
        if named is None:
            continue
        kinds = frozenset({named} if isinstance(named, str) else named)
        # All integers are numbers; what allows numbers allows integers.
        both = left & kinds
        if ("integer" in kinds and "number" in left) or ("integer" in left and "number" in kinds):
            both |= {"integer"}
        left = both - {"integer"} if "number" in both else both
    return left


def _number_reason(parts: list[_Part], *, is_integer: bool) -> str | None:
    low, high = _most(parts, "minimum", -math.inf), _least(parts, "maximum")
    over, under = _most(parts, "exclusiveMinimum", -math.inf), _least(parts, "exclusiveMaximum")
    where = shown(parts[0].place)
    bottom, top = max(low, over), min(high, under)
    if bottom > top or (bottom == top and (over >= bottom or under <= top)):
        return f"{where} has its least number, {bottom:g}, above its greatest, {top:g}"
    if not is_integer or math.isinf(bottom) or math.isinf(top):
        return None
    steps = [part.schema["multipleOf"] for part in parts if isinstance(part.schema.get("multipleOf"), int)]
    step = math.lcm(1, *steps)
    first = math.ceil(Fraction(bottom) / step) * step
    first += step if first <= over else 0
    if first > top or first >= under:
        what = "integer" if step == 1 else f"multiple of {step}"
        return f"{where} has no {what} between {bottom:g} and {top:g}"
    return None


def _crossed(parts: list[_Part], low: str, high: str) -> str | None:
    least, most = _most(parts, low, 0), _least(parts, high)
    return f"{shown(parts[0].place)} has {low} {least:g} above {high} {most:g}" if least > most else None


def _most(parts: list[_Part], keyword: str, default: float) -> Any:
    return max((part.schema[keyword] for part in parts if keyword in part.schema), default=default)


def _least(parts: list[_Part], keyword: str) -> Any:
    return min((part.schema[keyword] for part in parts if keyword in part.schema), default=math.inf)


def _item(part: _Part, index: int) -> Iterator[Pointer]:
    if index < len(part.schema.get("prefixItems", ())):
        yield (*part.place, "prefixItems", str(index))
    elif "items" in part.schema:
        yield (*part.place, "items")


def _required(parts: list[_Part]) -> list[str]:
    """With those that a required one requires in its turn."""
    names = dict.fromkeys(name for part in parts for name in part.schema.get("required", ()))
    pending = list(names)
    while pending:
        name = pending.pop()
        for part in parts:
            more = [
                each for each in part.schema.get("dependentRequired", {}).get(name, ()) if each not in names
            ]
            names.update(dict.fromkeys(more))
            pending += more
    return list(names)


def _of_property(part: _Part, name: str) -> list[Pointer]:
    own = [(*part.place, "properties", name)] if name in part.schema.get("properties", {}) else []
    patterns = part.schema.get("patternProperties", {})
    return own + [(*part.place, "patternProperties", each) for each in patterns if found(each, name)]


def _too_few_names(parts: list[_Part]) -> str | None:
    least = _most(parts, "minProperties", 0)
    for part in parts:
        if part.schema.get("additionalProperties") is False and not part.schema.get("patternProperties"):
            names = [name for name, each in part.schema.get("properties", {}).items() if each is not False]
            if len(names) < least:
                return f"{shown(part.place)} wants {least:g} properties and knows {len(names)}"
    return None
