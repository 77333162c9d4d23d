"""The grammar of a schema: what it can't hold is named, what nothing meets is refused."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from llm_service.engine.grammar.converter import SchemaTooLarge, SchemaUnusable, to_grammar
from llm_service.engine.grammar.formats import FORMATS

SCHEMAS: list[dict[str, Any]] = json.loads(
    (Path(__file__).parents[2] / "fixtures" / "schemas" / "schemas.json").read_text("utf-8")
)


@pytest.mark.parametrize("case", SCHEMAS, ids=lambda case: case["name"])
def test_of_the_published_schemas_all_is_held(case: dict[str, Any]) -> None:
    assert to_grammar(case["schema"]).unenforced == ()


@pytest.mark.parametrize(
    ("schema", "keyword"),
    [
        ({"type": "string", "pattern": "(?=a)b"}, "pattern at #"),
        ({"type": "string", "format": "color"}, "format at #"),
        ({"type": "string", "maxLength": 5000}, "maxLength at #"),
        ({"type": "number", "multipleOf": 0.01}, "multipleOf at #"),
        ({"type": "array", "items": {"type": "string"}, "uniqueItems": True}, "uniqueItems at #"),
        ({"type": "array", "contains": {"type": "null"}, "maxContains": 1}, "maxContains at #"),
        ({"oneOf": [{"type": "integer"}, {"type": "number", "minimum": 0}]}, "oneOf at #/oneOf"),
        ({"type": "object", "not": {"properties": {"a": {"minimum": 1}}}}, "not at #/not"),
        ({"type": "object", "properties": {"a": {}}, "if": {"minProperties": 2}, "then": False}, "if at #"),
        ({"type": "object", "minProperties": 2}, "minProperties at #"),
        (
            {"type": "object", "properties": {"deep": {"type": "array", "items": {"format": "odd"}}}},
            "format at #/properties/deep/items",
        ),
    ],
)
def test_what_the_grammar_does_not_hold_is_named_with_its_place(schema: dict[str, Any], keyword: str) -> None:
    (finding,) = to_grammar(schema).unenforced
    assert finding.startswith(f"{keyword}: ")


@pytest.mark.parametrize(
    "schema",
    [
        False,
        {"type": "integer", "minimum": 5, "maximum": 4},
        {"type": "integer", "exclusiveMinimum": 4, "exclusiveMaximum": 5},
        {"type": "string", "minLength": 3, "maxLength": 2},
        {"type": "string", "pattern": "^a{5}$", "maxLength": 4},
        {"enum": ["a"], "type": "integer"},
        {"allOf": [{"type": "string"}, {"type": "null"}]},
        {"type": "object", "properties": {"a": False}, "required": ["a"]},
        {"type": "object", "required": ["a"], "additionalProperties": False},
        {"type": "object", "properties": {"a": {}}, "required": ["a"], "maxProperties": 0},
        {"type": "array", "items": False, "minItems": 1},
        {"type": "array", "items": {"enum": [1, 2]}, "uniqueItems": True, "minItems": 3},
        {"$ref": "#/$defs/missing"},
        {"$ref": "https://example.com/schema"},
        {"$ref": "#"},
        {"type": "no type"},
        {"minimum": "one"},
        {"anyOf": [{"const": number} for number in range(300)]},
    ],
)
def test_what_nothing_meets_or_nobody_can_follow_is_refused(schema: Any) -> None:
    with pytest.raises(SchemaUnusable):
        to_grammar(schema)


@pytest.mark.parametrize(
    "schema",
    [
        {"anyOf": [{"const": number} for number in range(300)]},
        {"enum": list(range(6_000))},
    ],
)
def test_what_is_too_large_for_a_grammar_is_told_from_what_nothing_meets(schema: Any) -> None:
    with pytest.raises(SchemaTooLarge):
        to_grammar(schema)


def claimed() -> set[str]:
    """What the page says is held, by its first column."""
    page = (Path(__file__).parents[3] / "docs" / "engine.md").read_text("utf-8")
    rows = [line.split("|")[1] for line in page.splitlines() if line.startswith("| `") or "of up to" in line]
    return set(re.findall(r"`(\$?[A-Za-z-]+)`", " ".join(rows)))


def met(schema: Any) -> set[str]:
    """Keywords of the schema, and the formats that it names."""
    if isinstance(schema, list):
        return {word for each in schema for word in met(each)}
    if not isinstance(schema, dict):
        return set()
    named = {schema["format"]} if isinstance(schema.get("format"), str) else set()
    return {*schema, *named, *(word for each in schema.values() for word in met(each))}


def test_the_list_has_each_keyword_and_format_that_is_claimed() -> None:
    assert len(SCHEMAS) >= 40
    of_the_list = {word for case in SCHEMAS for word in met(case["schema"])}
    keywords = {word for word in claimed() if word not in ("iri", "idn")}
    assert len(keywords) > 35
    assert keywords - of_the_list == set()
    assert set(FORMATS) - of_the_list == set()


def test_an_optional_property_that_nothing_meets_is_left_out() -> None:
    text = to_grammar(
        {"type": "object", "properties": {"a": False, "b": {"const": 1}}, "required": ["b"]}
    ).text
    assert "\\x22b\\x22" in text
    assert "\\x22a\\x22" not in text


def test_the_same_schema_gives_the_same_grammar() -> None:
    case = SCHEMAS[-1]["schema"]
    assert to_grammar(case) == to_grammar(json.loads(json.dumps(case)))
