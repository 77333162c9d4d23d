"""A verdict decides between SUCCESS and FAILED."""

from __future__ import annotations

import json

import pytest

from llm_service.errors import AnswerNotJson, VerdictFailed
from llm_service.prompts.verdict import VerdictRule, apply

RULE = VerdictRule("Статус", aliases=("status",))


@pytest.mark.parametrize("word", ["Успешно", "Success", "success", "SUCCESS", " Успешно\n"])
@pytest.mark.parametrize("field", ["Статус", "status"])
def test_words_of_success_pass(field: str, word: str) -> None:
    apply(RULE, json.dumps({field: word, "Причина": "нет"}))


@pytest.mark.parametrize(
    "value", ['"Ошибка"', '"error"', '"успех"', '""', "null", "true", "1", '["Успешно"]']
)
def test_anything_else_in_the_field_is_a_failure_with_its_reason(value: str) -> None:
    with pytest.raises(VerdictFailed) as caught:
        apply(RULE, '{"Статус": ' + value + ', "Причина": "Нет адреса"}')
    assert caught.value.message == "Нет адреса"


def test_a_failure_without_a_reason_shows_the_verdict() -> None:
    with pytest.raises(VerdictFailed, match="Статус: Ошибка, without a reason"):
        apply(RULE, '{"Статус": "Ошибка"}')


@pytest.mark.parametrize("text", ["Всё хорошо", "", "[1]", '{"Отправитель": "А"}', '"Ошибка"', "12"])
def test_an_answer_that_names_no_verdict_passes(text: str) -> None:
    apply(RULE, text)


@pytest.mark.parametrize(
    "text", ["{", ' \n{"Статус": "Успешно"', "{'Статус': 'Успешно'}", "```json\n{oops}\n```"]
)
def test_broken_json_is_never_a_success(text: str) -> None:
    with pytest.raises(AnswerNotJson):
        apply(RULE, text)


def test_a_fence_does_not_hide_a_verdict() -> None:
    with pytest.raises(VerdictFailed, match="Пусто"):
        apply(RULE, '```json\n{"Статус": "Ошибка", "Причина": "Пусто"}\n```')


def test_a_reason_is_one_bounded_line() -> None:
    with pytest.raises(VerdictFailed) as caught:
        apply(RULE, '{"Статус": "Ошибка", "Причина": "a\\n\\u001b[31mERROR %s"}' % ("я" * 5_000))
    assert len(caught.value.message) <= 1_000
    assert caught.value.message.isprintable()
    with pytest.raises(VerdictFailed, match=r'\["а", 1\]'):
        apply(RULE, '{"Статус": "Ошибка", "Причина": ["а", 1]}')
