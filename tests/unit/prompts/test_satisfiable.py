"""A schema that no answer can meet is refused, and no other is."""

from __future__ import annotations

import time
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llm_service.prompts.bounded_validator import SchemaCostError, bounded_validator
from llm_service.prompts.satisfiable import why_impossible
from llm_service.prompts.schema import schema_problems
from llm_service.prompts.subschemas import SchemaTree


def needs(**properties: Any) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "required": list(properties)}


IMPOSSIBLE: dict[str, tuple[Any, str]] = {
    "false": (False, "(top) is false"),
    "a required false": (needs(x=False), "'x' can't be: properties.x is false"),
    "numbers": (needs(age={"type": "integer", "minimum": 5, "maximum": 3}), "properties.age"),
    "exclusive": ({"type": "number", "exclusiveMinimum": 1, "maximum": 1}, "above its greatest"),
    "no integer between": ({"type": "integer", "exclusiveMinimum": 1, "exclusiveMaximum": 2}, "no integer"),
    "no multiple": ({"type": "integer", "multipleOf": 10, "minimum": 11, "maximum": 19}, "multiple of 10"),
    "lengths": ({"type": "string", "minLength": 4, "maxLength": 3}, "minLength 4 above maxLength 3"),
    "items": ({"type": "array", "minItems": 2, "maxItems": 1}, "minItems 2 above maxItems 1"),
    "an item": ({"type": "array", "minItems": 1, "items": {"type": "string", "enum": [1]}}, "items"),
    "a first item": ({"type": "array", "minItems": 1, "prefixItems": [False]}, "prefixItems.0 is false"),
    "contained": ({"type": "array", "contains": {"enum": []}}, "empty enum"),
    "contained in nothing": ({"type": "array", "contains": {}, "maxItems": 0}, "takes fewer"),
    "an empty enum": ({"enum": []}, "empty enum"),
    "enum of another type": (needs(a={"type": "string", "enum": [1, 2]}), "no value in its enum"),
    "const of another type": ({"type": "integer", "const": "a"}, "no value in its const"),
    "const and enum": ({"const": 3, "enum": [1, 2]}, "no value in its const"),
    "too few properties": (
        {"type": "object", "properties": {"a": {}}, "additionalProperties": False, "minProperties": 2},
        "wants 2 properties and knows 1",
    ),
    "too many required": ({"type": "object", "required": ["a", "b"], "maxProperties": 1}, "requires 2"),
    "not known": (
        {"type": "object", "required": ["b"], "properties": {"a": {}}, "additionalProperties": False},
        "additionalProperties is false",
    ),
    "a name that is refused": (
        {"type": "object", "required": ["long"], "propertyNames": {"maxLength": 3}},
        "refuses the name",
    ),
    "required by another": (
        {"type": "object", "required": ["a"], "dependentRequired": {"a": ["b"]}, "properties": {"b": False}},
        "'b' can't be",
    ),
    "types apart": ({"allOf": [{"type": "string"}, {"type": "number"}]}, "no type"),
    "types apart by reference": (
        {"$ref": "#/$defs/a", "type": "string", "$defs": {"a": {"type": "array"}}},
        "no type",
    ),
    "closed twice": (
        {
            "allOf": [
                {"type": "object", "properties": {"a": {}}, "additionalProperties": False},
                needs(a={}, b={}),
            ]
        },
        "'b' can't be",
    ),
    "no branch": ({"type": "string", "anyOf": [{"type": "null"}, {"enum": [1]}]}, "no branch"),
    "no one of": ({"oneOf": [False, {"type": "string", "minLength": 2, "maxLength": 1}]}, "no branch"),
    "not anything": ({"not": {}}, "refuses every value"),
    "without end": (
        {"$ref": "#/$defs/n", "$defs": {"n": needs(next={"$ref": "#/$defs/n"})}},
        "inside itself without end",
    ),
    "a reference to itself": ({"$ref": "#"}, "refers to itself without end"),
    "nowhere": (needs(a={"$ref": "#/$defs/b"}), "what is not there: '#/$defs/b'"),
    "no such anchor": (needs(a={"$ref": "#there"}), "what is not there"),
    "outside": ({"$ref": "https://example.com/s.json"}, "refers outside itself"),
    "a pattern": (needs(a={"type": "string", "pattern": "("}), "does not compile"),
}

POSSIBLE: dict[str, Any] = {
    "anything": {},
    "an optional property that can't be": {"type": "object", "properties": {"a": False}},
    "bounds of another type": {"minimum": 5, "maximum": 3},
    "one number": {"type": "number", "minimum": 1, "maximum": 1},
    "an integer that is written as a number": {"type": "integer", "const": 1.0},
    "a number that is an integer": {"allOf": [{"type": "number"}, {"type": "integer"}]},
    "an empty array of nothing": {"type": "array", "items": False},
    "more than a prefix": {"type": "array", "minItems": 3, "prefixItems": [{"type": "string"}]},
    "contained none": {"type": "array", "contains": False, "minContains": 0},
    "by a pattern": {
        "type": "object",
        "required": ["x-a"],
        "patternProperties": {"^x-": {"type": "string"}},
        "additionalProperties": False,
    },
    "a list of itself": {
        "$ref": "#/$defs/n",
        "$defs": {"n": {"type": "object", "properties": {"next": {"$ref": "#/$defs/n"}}, "required": []}},
    },
    "a tree": {
        "$defs": {"n": needs(kids={"type": "array", "items": {"$ref": "#/$defs/n"}})},
        "$ref": "#/$defs/n",
    },
    "a list with an end": {
        "$defs": {"n": needs(next={"anyOf": [{"type": "null"}, {"$ref": "#/$defs/n"}]})},
        "$ref": "#/$defs/n",
    },
    "what looks like a schema and is data": {
        "enum": [{"$ref": "https://example.com/"}, {"pattern": "("}, {"$ref": "#/nowhere"}],
        "default": {"$ref": "#/nowhere"},
        "examples": [{"pattern": "("}],
    },
    "properties of such names": needs(pattern={"type": "string"}, enum={"type": "string"}),
    "the second branch": {"type": "string", "oneOf": [{"type": "null"}, {"type": "string"}]},
    "one value of many": {"type": "string", "enum": [1, 2, "a"]},
    "by its pointer": needs(a={"$ref": "#/x-parts/0"}) | {"x-parts": [{"type": "string"}]},
    "by a pointer with escapes": {"$defs": {"a/b~c%": {"type": "string"}}, "$ref": "#/$defs/a~1b~0c%25"},
    "by an anchor": {"$defs": {"a": {"$anchor": "here", "type": "string"}}, "$ref": "#here"},
    "with an address of its own": {"$id": "https://example.com/s", "$defs": {"a": {}}, "$ref": "#/$defs/a"},
    "a part with an address": {"$defs": {"a": {"$id": "a", "$defs": {"b": {}}, "$ref": "#/$defs/b"}}},
}


@pytest.mark.parametrize(("schema", "words"), IMPOSSIBLE.values(), ids=IMPOSSIBLE)
def test_what_no_answer_can_meet_is_refused_with_the_reason(schema: Any, words: str) -> None:
    (problem, *_) = schema_problems(schema)
    assert words in problem


@pytest.mark.parametrize("schema", POSSIBLE.values(), ids=POSSIBLE)
def test_what_some_answer_can_meet_is_taken(schema: Any) -> None:
    assert schema_problems(schema) == ()


def test_a_schema_that_takes_long_to_look_through_is_taken_soon() -> None:
    many = {"allOf": [{"anyOf": [{"required": [f"{n}{m}"]} for m in range(20)]} for n in range(200)]}
    slow = needs(**{"a" * 40 + "b": {}}) | {"patternProperties": {"^(a|aa)+$": False}}
    wide = {
        "type": "object",
        "required": [f"p{n}" for n in range(3_000)],
        "additionalProperties": {"type": "string"},
    }
    for schema in (many, slow, wide):
        began = time.process_time()
        assert schema_problems(schema) == ()
        assert time.process_time() - began < 5


VALUES: list[Any] = [
    None,
    True,
    0,
    1,
    2,
    5,
    1.5,
    "",
    "a",
    "abc",
    [],
    [1],
    ["a", 1],
    {},
    {"a": 1},
    {"a": "a", "b": []},
    {"b": None},
]
SMALL = st.integers(0, 3)
LEAVES = st.fixed_dictionaries(
    {},
    optional={
        "type": st.sampled_from(
            ["object", "array", "string", "number", "integer", "null", ["string", "integer"]]
        ),
        "minimum": SMALL,
        "maximum": SMALL,
        "exclusiveMaximum": SMALL,
        "multipleOf": st.integers(1, 3),
        "minLength": SMALL,
        "maxLength": SMALL,
        "minItems": SMALL,
        "maxItems": SMALL,
        "minProperties": SMALL,
        "maxProperties": SMALL,
        "required": st.lists(st.sampled_from("ab"), unique=True),
        "enum": st.lists(st.sampled_from(VALUES), max_size=2, unique_by=repr),
        "const": st.sampled_from(VALUES),
        "$ref": st.sampled_from(["#", "#/$defs/a", "#/$defs/b"]),
        "dependentRequired": st.just({"a": ["b"]}),
    },
)


def _nested(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    part = st.one_of(inner, st.booleans())
    combined = st.fixed_dictionaries(
        {},
        optional={
            "allOf": st.lists(part, min_size=1, max_size=2),
            "anyOf": st.lists(part, min_size=1, max_size=2),
            "oneOf": st.lists(part, min_size=1, max_size=2),
            "not": part,
            "items": part,
            "prefixItems": st.lists(part, min_size=1, max_size=2),
            "contains": part,
            "minContains": st.integers(0, 2),
            "properties": st.dictionaries(st.sampled_from("ab"), part, max_size=2),
            "patternProperties": st.dictionaries(st.sampled_from(["^a", "b$"]), part, max_size=1),
            "additionalProperties": part,
            "propertyNames": part,
        },
    )
    return st.builds(lambda one, other: one | other, LEAVES, combined)


@settings(max_examples=150, deadline=None, derandomize=True)
@given(
    schema=st.recursive(LEAVES, _nested, max_leaves=6),
    a=LEAVES,
    b=st.recursive(LEAVES, _nested, max_leaves=3),
)
def test_no_schema_is_refused_that_one_of_some_values_meets(schema: Any, a: Any, b: Any) -> None:
    whole = schema | {"$defs": {"a": a, "b": b}}
    tree = SchemaTree(whole)
    if tree.lost or not (problems := why_impossible(tree)):
        return
    for value in VALUES:
        with suppress(SchemaCostError):
            assert not bounded_validator(whole).is_valid(value), (problems, value)
