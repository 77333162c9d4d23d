"""An answer is held to its schema, whatever the answer and the schema are."""

from __future__ import annotations

import time
from typing import Any

import pytest

from llm_service.errors import AnswerNotJson, AnswerSchemaMismatch
from llm_service.prompts.answer import check_answer, extract_json, repair_turn
from llm_service.prompts.schema import schema_problems

PERSON: dict[str, object] = {
    "type": "object",
    "required": ["name", "age"],
    "additionalProperties": False,
    "properties": {
        "name": {"type": "string"},
        "age": {"type": "integer", "minimum": 0},
        "kind": {"enum": ["a"]},
    },
}


def mismatch(text: str, schema: dict[str, object]) -> str:
    with pytest.raises(AnswerSchemaMismatch) as caught:
        check_answer(text, schema)
    return caught.value.message


def test_without_a_schema_any_text_will_do() -> None:
    check_answer("{not json", None)


@pytest.mark.parametrize(
    "text",
    [
        '{"name": "Аня", "age": 3}',
        '\ufeff \n{"name": "Аня", "age": 3}\n',
        '```json\n{"name": "Аня", "age": 3}\n```',
        '```\n{"name": "Аня", "age": 3}\n```',
        '```json{"name": "Аня", "age": 3}```',
        '```JSON\r\n{"name": "Аня", "age": 3}\r\n```\n',
        'Вот ответ:\n```json\n{"name": "Аня", "age": 3}\n```\nГотово.',
        '```json\n{"name": "``` внутри", "age": 3}\n```',
        '{"name": "```json {}```", "age": 3}',
        '```json\n{"name": "Аня", "age": 3}',
    ],
)
def test_json_is_found_with_or_without_a_fence(text: str) -> None:
    check_answer(text, PERSON)
    assert extract_json(text).startswith("{")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "Конечно! Вот ответ.",
        '{"name": "А", "age": 3',
        '{"age": NaN}',
        '{"age": -Infinity}',
        "[" * 100_000,
        "9" * 5_000,
    ],
)
def test_what_is_no_json_is_refused_without_repeating_it(text: str) -> None:
    with pytest.raises(AnswerNotJson) as caught:
        check_answer(text, PERSON)
    assert len(caught.value.message) < 300
    assert "Конечно" not in caught.value.message


def test_findings_name_the_place_and_not_the_value() -> None:
    message = mismatch('{"name": ["секрет"], "age": -1, "kind": "секрет"}', PERSON)
    assert 'name: must be "string"' in message
    assert "age: does not keep minimum 0" in message
    assert 'kind: must be one of ["a"]' in message
    assert "секрет" not in message
    assert "'age' is a required property" in mismatch('{"name": ""}', PERSON)


def test_places_inside_lists_are_named() -> None:
    schema: dict[str, object] = {
        "properties": {"items": {"items": {"properties": {"price": {"type": "number"}}}}}
    }
    assert "items[1].price: must be" in mismatch('{"items": [{"price": 1}, {"price": "x"}]}', schema)


def test_findings_are_bounded() -> None:
    schema: dict[str, object] = {"items": {"type": "string"}}
    message = mismatch("[" + ",".join(["1"] * 5_000) + "]", schema)
    assert len(message) < 1_000
    assert "and more" in message


def test_a_pattern_that_runs_away_is_given_up() -> None:
    began = time.thread_time()
    text = '{"a": "' + "a" * 5_000 + '!"}'
    assert "takes too long" in mismatch(text, {"properties": {"a": {"pattern": "^(a|aa)+$"}}})
    assert "takes too long" in mismatch(
        text.replace('"a"', '"' + "a" * 5_000 + '!"'), {"patternProperties": {"^(a|aa)+$": {}}}
    )
    assert time.thread_time() - began < 1


def test_patterns_are_kept() -> None:
    check_answer(
        '{"a": "12"}', {"properties": {"a": {"pattern": "^[0-9]+$"}}, "patternProperties": {"^b": False}}
    )
    assert "pattern" in mismatch('{"a": "x"}', {"properties": {"a": {"pattern": "^[0-9]+$"}}})
    with pytest.raises(AnswerSchemaMismatch):
        check_answer('{"b": 1}', {"patternProperties": {"^b": {"type": "string"}}})


def test_references_that_multiply_are_cut_off() -> None:
    steps: dict[str, Any] = {f"d{n}": {"allOf": [{"$ref": f"#/$defs/d{n + 1}"}] * 2} for n in range(40)}
    schema: dict[str, object] = {"$defs": {**steps, "d40": {}}, "$ref": "#/$defs/d0"}
    assert "10000 references" in mismatch("{}", schema)


@pytest.mark.parametrize("reference", ["http://127.0.0.1:9/x", "file:///etc/passwd", "#/nowhere", "#"])
def test_a_reference_that_leads_nowhere_or_to_itself_ends(reference: str) -> None:
    assert "can't be held to the schema" in mismatch("{}", {"$ref": reference})


def test_wrong_schemas_are_told() -> None:
    assert schema_problems(PERSON) == ()
    assert "refers outside itself" in schema_problems({"properties": {"a": {"$ref": "other.json"}}})[0]
    assert "does not compile" in schema_problems({"properties": {"a": {"pattern": "("}}})[0]
    assert "more than 1000 characters" in schema_problems({"patternProperties": {"a" * 2_000: {}}})[0]
    assert (
        "no JSON Schema at properties.a.type" in schema_problems({"properties": {"a": {"type": "text"}}})[0]
    )
    assert "characters, more than" in schema_problems({"description": "a" * 300_000})[0]
    assert "plain JSON" in schema_problems({"enum": [float("nan")]})[0]


def test_the_repair_turn_shows_the_error_the_answer_and_the_schema() -> None:
    error = AnswerNotJson("The answer is not JSON: line 1.")
    turn = repair_turn(PERSON, "Конечно! " + "я" * 10_000, error)
    assert error.message in turn
    assert "Конечно!" in turn
    assert '"required": ["name", "age"]' in turn
    assert len(turn) < 5_500
