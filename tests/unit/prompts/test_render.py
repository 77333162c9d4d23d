"""Placeholders are filled in one pass."""

from __future__ import annotations

import time

import pytest

from llm_service.prompts.render import placeholders, render, template_problems


def test_values_take_their_places() -> None:
    template = "Файл {{filename}}, филиал {{ metadata.branch }}: {{text}}{{text}}"
    values = {"filename": "а.pdf", "metadata.branch": "Тула", "text": "x"}
    assert render(template, values) == "Файл а.pdf, филиал Тула: xx"


def test_a_value_is_never_read_again() -> None:
    assert render("{{text}}", {"text": "{{data}} \\1 \\g<0>", "data": "secret"}) == "{{data}} \\1 \\g<0>"


def test_a_value_cannot_complete_a_placeholder_around_it() -> None:
    assert render("{{text}}data}}", {"text": "{{", "data": "secret"}) == "{{data}}"


def test_a_known_name_without_a_value_is_empty() -> None:
    assert render("a{{language}}b{{metadata.none}}c", {}) == "abc"


def test_other_braces_stay() -> None:
    assert render('{"a": {"b": 1}} {x}', {}) == '{"a": {"b": 1}} {x}'


def test_names_used_are_told() -> None:
    assert placeholders("{{text}} {{ metadata.a-b }} {{text}}") == {"text", "metadata.a-b"}


@pytest.mark.parametrize("template", ["{{nope}}", "{{metadata.}}", "{{ text }", "{{}}", "{{" * 3])
def test_a_wrong_template_is_told(template: str) -> None:
    assert template_problems(template)


def test_a_system_text_takes_nothing_from_a_task() -> None:
    assert template_problems("{{date}}", system=True) == []
    for name in ("text", "filename", "metadata.a", "language"):
        assert template_problems(f"{{{{{name}}}}}", system=True)


@pytest.mark.parametrize("piece", ["{", "{{", "{{a", "{{ ", "{{a ", "a", " "])
def test_a_pathological_template_takes_no_time(piece: str) -> None:
    template = piece * (1_000_000 // len(piece))
    began = time.thread_time()
    placeholders(template)
    assert time.thread_time() - began < 0.15
