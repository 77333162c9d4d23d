from __future__ import annotations

import pytest

from llm_service.cli.watching.answer import Fields, Words, read_answer, read_error


def test_an_object_becomes_fields_in_its_order() -> None:
    result = '{"б": "два", "а": "", "list": ["x", "y"], "deep": {"n": 1}, "no": null, "yes": true}'
    assert read_answer({"result": result}) == Fields(
        (
            ("б", "два"),
            ("а", "—"),
            ("list", "x; y"),
            ("deep", '{\n  "n": 1\n}'),
            ("no", "—"),
            ("yes", "true"),
        )
    )


def test_sentences_of_a_list_stand_one_a_line() -> None:
    long = "a" * 41
    assert read_answer({"result": {"points": [long, "b"]}}) == Fields((("points", f"{long}\nb"),))


@pytest.mark.parametrize(
    ("body", "text"),
    [
        ({"result": '{"raw_response": "Итог.\\nДва."}'}, "Итог.\nДва."),
        ({"result": {"raw_response": "as an object"}}, "as an object"),
        ({"result": "no JSON"}, "no JSON"),
        ({"result": "[1, 2]"}, "[\n  1,\n  2\n]"),
        ({}, "—"),
    ],
)
def test_anything_else_is_words(body: dict[str, object], text: str) -> None:
    assert read_answer(body) == Words(text)


@pytest.mark.parametrize(
    ("body", "text"),
    [
        (
            {"error_message": "broken", "error": {"code": "document_unreadable"}},
            "broken (document_unreadable)",
        ),
        ({"error_message": "broken"}, "broken"),
        ({"error": "odd"}, "no reason was given"),
    ],
)
def test_an_error_is_its_reason_and_code(body: dict[str, object], text: str) -> None:
    assert read_error(body) == text
