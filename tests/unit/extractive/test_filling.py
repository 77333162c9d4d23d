"""A JSON Schema is filled with what the text says, and with the right types in any case."""

from __future__ import annotations

import time
from typing import Any

import pytest

from llm_service.prompts.answer import check_answer
from tests.unit.extractive.asking import ask, fields

INVOICE = """\
Счёт на оплату № 77 от 5 марта 2026 г.

Поставщик: ООО «Луч»
Покупатель: АО «Восход»
Договор: 12/К
Количество мест: 14
Срочно: да
Срок оплаты: 20.03.2026
Контактное лицо: Смирнова А. А., тел. +7 (495) 123-45-67, luch@example.ru

Всего к оплате: 118 000,50 руб.
"""


async def test_fields_are_found_by_their_names() -> None:
    found = await fields(
        INVOICE,
        {
            "type": "object",
            "properties": {
                "Поставщик": {"type": "string"},
                "buyer": {"type": "string", "title": "Покупатель"},
                "Количество мест": {"type": "integer"},
                "Срочно": {"type": "boolean"},
                "срок_оплаты": {"type": "string", "format": "date"},
                "date": {"type": "string", "format": "date"},
                "invoiceNumber": {"type": "string"},
                "total_amount": {"type": "number"},
                "currency": {"type": "string"},
                "contactEmail": {"type": "string"},
                "phones": {"type": "array", "items": {"type": "string"}},
                "organisations": {"type": "array", "items": {"type": "string"}, "maxItems": 1},
                "kind": {"enum": ["договор", "счёт", "письмо"]},
                "Цвет": {"type": "string"},
            },
        },
    )
    assert found == {
        "Поставщик": "ООО «Луч»",
        "buyer": "АО «Восход»",
        "Количество мест": 14,
        "Срочно": True,
        "срок_оплаты": "2026-03-20",
        "date": "2026-03-05",
        "invoiceNumber": "77",
        "total_amount": 118_000.5,
        "currency": "RUB",
        "contactEmail": "luch@example.ru",
        "phones": ["+7 (495) 123-45-67"],
        "organisations": ["ООО «Луч»"],
        "kind": "счёт",
    }


async def test_nested_objects_take_their_parents_names() -> None:
    text = (
        "Sender: Green Fields Ltd\nSender address: 5 Mill Road, Leeds\n"
        "Recipient: Mr Hill\nDelivery address: 7 Oak Lane, York\n"
    )
    party = {"type": "object", "properties": {"name": {"type": "string"}, "address": {"type": "string"}}}
    found = await fields(
        text,
        {"properties": {"sender": party, "recipient": {"$ref": "#/$defs/party"}}, "$defs": {"party": party}},
    )
    assert found == {
        "sender": {"name": "Green Fields Ltd", "address": "5 Mill Road, Leeds"},
        "recipient": {"name": "Mr Hill", "address": "7 Oak Lane, York"},
    }


EVERYTHING: dict[str, object] = {
    "type": "object",
    "required": ["s", "n", "i", "b", "a", "o", "e", "c", "z", "u", "d", "l", "x", "m"],
    "additionalProperties": False,
    "properties": {
        "s": {"type": "string"},
        "n": {"type": "number", "minimum": 3},
        "i": {"type": "integer"},
        "b": {"type": "boolean"},
        "a": {"type": "array", "items": {"type": "number"}},
        "o": {"type": "object", "required": ["p"], "properties": {"p": {"type": "string"}}},
        "e": {"enum": ["red", "blue", "other"]},
        "c": {"const": 7},
        "z": {"type": "null"},
        "u": {"anyOf": [{"type": "null"}, {"type": "integer"}]},
        "d": {"type": ["string", "null"], "format": "date"},
        "l": {
            "type": "array",
            "minItems": 2,
            "items": {"type": "object", "required": ["q"], "properties": {"q": {"type": "integer"}}},
        },
        "x": {"type": "string", "default": "as said"},
        "m": {"type": "string", "maxLength": 3, "title": "summary"},
    },
}


@pytest.mark.parametrize(
    "text", [INVOICE, "x", "s: 5\nn: many\ni: 1.5\nb: maybe\na: 1, two, 3\nd: tomorrow\nu: none\n"]
)
async def test_required_fields_are_there_with_the_right_types(text: str) -> None:
    completion = await ask(text, schema=EVERYTHING)
    check_answer(completion.text, EVERYTHING)


async def test_what_the_text_does_not_say_is_empty_null_or_absent() -> None:
    found = await fields("x", EVERYTHING)
    assert (found["s"], found["n"], found["u"], found["d"], found["e"], found["x"]) == (
        "",
        3,
        None,
        None,
        "other",
        "as said",
    )
    optional = {"properties": EVERYTHING["properties"]}
    assert set(await fields("x", optional)) == {"c", "z"}


@pytest.mark.parametrize(
    ("schema", "value"),
    [
        ({"type": "string", "title": "язык"}, "ru"),
        ({"type": "array", "items": {"type": "string"}}, []),
        ({}, ""),
        ({"enum": [3, 4]}, 3),
    ],
)
async def test_a_schema_need_not_be_an_object(schema: dict[str, object], value: object) -> None:
    assert await fields("Просто текст.", schema) == value


VERDICT: dict[str, object] = {
    "type": "object",
    "required": ["sender", "date", "status", "reason"],
    "properties": {
        "status": {"enum": ["success", "error"]},
        "sender": {"type": "string"},
        "date": {"type": "string", "format": "date"},
        "reason": {"type": "string"},
    },
}


async def test_a_verdict_says_whether_the_required_facts_were_found() -> None:
    good = await fields("From: Mr Hill\nDate: 5 May 2026", VERDICT)
    assert good == {"status": "success", "sender": "Mr Hill", "date": "2026-05-05", "reason": ""}
    bad = await fields("Date: 5 May 2026", VERDICT)
    assert bad == {
        "status": "error",
        "sender": "",
        "date": "2026-05-05",
        "reason": "Not found in the text: sender.",
    }


async def test_a_label_decides_an_enum_before_the_words_do() -> None:
    schema: dict[str, object] = {"properties": {"priority": {"enum": ["low", "high"]}}}
    assert await fields("High high high.\nPriority: low", schema) == {"priority": "low"}


def _doubling() -> dict[str, Any]:
    levels = {
        f"d{n}": {
            "properties": {side: {"$ref": f"#/$defs/d{n + 1}"} for side in "ab"},
            "required": ["a", "b"],
        }
        for n in range(40)
    }
    return {"$defs": {**levels, "d40": {"type": "string"}}, "$ref": "#/$defs/d0"}


def _deep() -> dict[str, Any]:
    schema: dict[str, Any] = {"type": "string"}
    for _ in range(200):
        schema = {"type": "object", "required": ["a"], "properties": {"a": schema}}
    return schema


def _wide() -> dict[str, Any]:
    return {
        "properties": {
            f"totalSummaryKeywords{n}": {"enum": ["letter", "act"], "title": "keywords"} for n in range(5_000)
        }
    }


@pytest.mark.parametrize(
    "schema",
    [
        _doubling(),
        _deep(),
        _wide(),
        {"$ref": "#"},
        {"$ref": "#/$defs/none"},
        {"anyOf": [{"$ref": "#"}]},
        {"minItems": 10**9, "items": {}},
    ],
    ids=["doubling", "deep", "wide", "itself", "nowhere", "itself in a choice", "many"],
)
async def test_a_schema_that_runs_away_ends(schema: dict[str, object]) -> None:
    text = INVOICE * 200
    began = time.process_time()
    await ask(text, schema=schema)
    assert time.process_time() - began < 2
