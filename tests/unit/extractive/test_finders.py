"""What is found in a text, and what is not."""

from __future__ import annotations

import pytest

from llm_service.providers.extraction.amounts import find_amounts
from llm_service.providers.extraction.contacts import find_emails, find_phones
from llm_service.providers.extraction.dates import find_dates
from llm_service.providers.extraction.facts import find_facts
from llm_service.providers.extraction.names import find_organisations, find_people
from llm_service.providers.extraction.numbers import first_number
from llm_service.providers.extraction.paragraphs import paragraphs
from llm_service.providers.extraction.sentences import sentences
from llm_service.providers.extraction.source import read
from llm_service.providers.extraction.words import stem


@pytest.mark.parametrize(
    ("text", "day"),
    [
        ("от 03.08.2026 г.", "2026-08-03"),
        ("3/8/2026", "2026-08-03"),
        ("8/23/2026", "2026-08-23"),
        ("on 2026-08-03.", "2026-08-03"),
        ("«3» августа 2026 года", "2026-08-03"),
        ("9 мая 2026", "2026-05-09"),
        ("1 марта\n2026 г.", "2026-03-01"),
        ("3 August 2026", "2026-08-03"),
        ("3rd of no month, but Aug. 3, 2026", "2026-08-03"),
        ("August 3rd 2026", "2026-08-03"),
        ("Дата:20.11.2026", "2026-11-20"),
    ],
)
def test_dates_are_found(text: str, day: str) -> None:
    assert [found.day.isoformat() for found in find_dates(text)] == [day]


@pytest.mark.parametrize(
    "text",
    [
        "31.02.2026",
        "13.13.2026",
        "1.2.3.2026",
        "v2026-08",
        "2026",
        "5 яблок 2026",
        "12.05.20261",
        "2026-13-01",
    ],
)
def test_what_is_no_date_is_not_found(text: str) -> None:
    assert find_dates(text) == []


def test_a_date_is_shown_as_it_is_written() -> None:
    assert [found.text for found in find_dates("до 1 декабря 2026 г. и 16.11.2026")] == [
        "1 декабря 2026 г.",
        "16.11.2026",
    ]


@pytest.mark.parametrize(
    ("text", "value", "currency"),
    [
        ("7 416 000 руб.", "7416000", "RUB"),
        ("500 руб. 00 коп.", "500", "RUB"),
        ("1 250,50 рублей", "1250.5", "RUB"),
        ("сумму 5 млн рублей", "5000000", "RUB"),
        ("1 840 000 (один миллион восемьсот сорок тысяч) рублей 15 копеек", "1840000.15", "RUB"),
        ("опор 58 2 055 000 ₽", "2055000", "RUB"),
        ("$1,250,000", "1250000", "USD"),
        ("$1.2 million", "1200000", "USD"),
        ("EUR 18,000", "18000", "EUR"),
        ("18.000,50 €", "18000.5", "EUR"),
        ("£99.95", "99.95", "GBP"),
    ],
)
def test_amounts_are_found(text: str, value: str, currency: str) -> None:
    found = find_amounts(text)
    assert [(str(each.value.normalize().__format__("f")), each.currency) for each in found] == [
        (value, currency)
    ]


@pytest.mark.parametrize("text", ["рубеж 5", "руб.", "5 рубежей", "$", "US$", "Рубин 5"])
def test_what_is_no_amount_is_not_found(text: str) -> None:
    assert find_amounts(text) == []


def test_two_amounts_are_two() -> None:
    found = find_amounts("Оборудование 1 840 000 руб., обучение — 215 000 руб. и EUR 5, EUR 6")
    assert [int(each.value) for each in found] == [1_840_000, 215_000, 5, 6]
    assert found[0].text == "1 840 000 руб."


def test_emails_are_found() -> None:
    text = "Пишите: ivan.petrov+x@post.example.ru, <a@b.co>; не a@b, @c.com, x@.com, a@b..com и a@1.2"
    assert find_emails(text) == ["ivan.petrov+x@post.example.ru", "a@b.co"]


def test_phones_are_found() -> None:
    text = "тел. +7 (846) 555-01-77, 8 800 555 35 35, 8(495)123-45-67; +44 20 7946 0958. № 80099912345674, 12+34567"
    assert find_phones(text) == [
        "+7 (846) 555-01-77",
        "8 800 555 35 35",
        "8(495)123-45-67",
        "+44 20 7946 0958",
    ]


def test_organisations_are_found() -> None:
    text = (
        "ООО «Ромашка» и Акционерное общество «Заря» против Green Fields Ltd. Роман «Война и мир» не при чём."
    )
    assert find_organisations(text) == ["ООО «Ромашка»", "Акционерное общество «Заря»", "Green Fields Ltd"]


def test_people_are_found() -> None:
    text = (
        "Иванов И. И., П. П. Сидорова, Кузнецовой Марине Олеговне, Mr Victor Lindqvist. Уважаемый Пётр Ильич!"
    )
    assert set(find_people(text)) == {
        "Иванов И. И.",
        "П. П. Сидорова",
        "Кузнецовой Марине Олеговне",
        "Mr Victor Lindqvist",
    }


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("Живёт в г. Самара, ул. Полевая, д. 4. Пишет редко.", 2),
        ("Сдано в 2026 г. Принято позже.", 2),
        ("Итого 5 руб. По расчёту мало.", 2),
        ("Директор И. С. Гаврилова подписала. Всё.", 2),
        ("Mr. Smith met Dr. Brown. They talked.", 2),
        ("Costs 3.5 percent? Yes! Sure…", 3),
        ("и т.д. и т.п.", 1),
    ],
)
def test_sentences_end_where_they_end(text: str, count: int) -> None:
    found = list(sentences(text))
    assert len(found) == count
    assert " ".join(found) == text


def test_lines_broken_by_a_page_become_paragraphs() -> None:
    text = (
        "Общая сумма затрат составила 2 055 000 руб. при утверждённом бюд-\nжете отдела и при полной загрузке "
        "всех сотрудников нового\nцентра.\n- первый пункт\n- второй пункт\nИтого: 5\n\nНовый абзац"
    )
    joined = paragraphs(read(text))
    assert joined[0].endswith(
        "утверждённом бюджете отдела и при полной загрузке всех сотрудников нового центра."
    )
    assert joined[1:] == ["первый пункт", "второй пункт", "Итого: 5", "Новый абзац"]


def test_forms_of_a_word_have_one_stem() -> None:
    for forms in (
        ["договор", "договора", "договоров", "договорами"],
        ["поставка", "поставки", "поставку"],
        ["orders", "order"],
    ):
        assert len({stem(form) for form in forms}) == 1
    assert stem("договор") != stem("поставка")


@pytest.mark.parametrize(
    ("text", "number"),
    [("1 840 000", "1840000"), ("1,250", "1250"), ("-3,5 %", "-3.5"), ("нет", None), ("12.", "12")],
)
def test_numbers_are_read(text: str, number: str | None) -> None:
    found = first_number(text)
    assert (None if found is None else str(found)) in (number, f"{number}.0")


def test_labels_may_stand_in_tables_and_above_their_values() -> None:
    facts = find_facts(
        "| Поставщик | ООО «Луч» |\n| --- | --- |\n\n**Адрес:**\nг. Тула,\nул. Мира, д. 1\n\nhttps://a.example\nв 10:30"
    )
    assert [(each.label, each.value) for each in facts.labels] == [
        ("Поставщик", "ООО «Луч»"),
        ("Адрес", "г. Тула, ул. Мира, д. 1"),
    ]


def test_invisible_characters_do_not_hide_words() -> None:
    assert find_emails(read("a\u200bb@c\u00ad.example").text) == ["ab@c.example"]
