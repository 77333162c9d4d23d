"""What was found in a text, as a page a person reads; in the text's language."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from llm_service.providers.extraction.facts import Facts
from llm_service.providers.extraction.labels import Labelled
from llm_service.providers.extraction.source import Language

_SHOWN = 8
"""Of each kind: a line that still fits a screen."""
_LABELS_SHOWN = 12


@dataclass(frozen=True, slots=True)
class _Words:
    main: str
    facts: str
    dates: str
    amounts: str
    organisations: str
    people: str
    contacts: str
    keywords: str
    nothing: str
    cut: str
    honest: str


_WORDS: Mapping[Language, _Words] = {
    "ru": _Words(
        main="Главное:",
        facts="Реквизиты:",
        dates="Даты",
        amounts="Суммы",
        organisations="Организации",
        people="Люди",
        contacts="Контакты",
        keywords="Ключевые слова",
        nothing="В тексте не нашлось ни законченных предложений, ни реквизитов.",
        cut="Документ очень длинный: прочитаны его начало и конец.",
        honest="Это выдержка, составленная без языковой модели: предложения взяты из документа дословно.",
    ),
    "en": _Words(
        main="Main points:",
        facts="Stated facts:",
        dates="Dates",
        amounts="Amounts",
        organisations="Organisations",
        people="People",
        contacts="Contacts",
        keywords="Keywords",
        nothing="The text holds neither whole sentences nor labelled facts.",
        cut="The document is very long: its beginning and its end were read.",
        honest="This is an extract made without a language model: its sentences are the document's own.",
    ),
}


def honest_line(language: Language) -> str:
    """The last line of every answer in words: what it is not."""
    return _WORDS[language].honest


def page(facts: Facts) -> str:
    """The report on one text, without the last line."""
    say = _WORDS[facts.source.language]
    parts = [facts.title, _points(say, facts), _lists(say, facts), say.cut if facts.source.cut else ""]
    return "\n\n".join(part for part in parts if part)


def _points(say: _Words, facts: Facts) -> str:
    chosen = facts.summary
    stated = _stated(facts.labels, facts)
    lines = [say.main, *(f"— {sentence}" for sentence in chosen)] if chosen else []
    if stated and len(chosen) < 3:
        lines += [say.facts, *(f"— {label.label}: {label.value}" for label in stated)]
    return "\n".join(lines) or say.nothing


def _stated(labels: Sequence[Labelled], facts: Facts) -> list[Labelled]:
    """Labels whose values are facts, not the beginning of a long passage; the title is shown already."""
    return [label for label in labels if len(label.value) <= 300 and label.value != facts.title][
        :_LABELS_SHOWN
    ]


def _lists(say: _Words, facts: Facts) -> str:
    rows = (
        (say.dates, dict.fromkeys(each.text for each in facts.dates)),
        (say.amounts, dict.fromkeys(each.text for each in facts.amounts)),
        (say.organisations, dict.fromkeys(facts.organisations)),
        (say.people, dict.fromkeys(facts.people)),
        (say.contacts, dict.fromkeys([*facts.emails, *facts.phones])),
        (say.keywords, dict.fromkeys(facts.keywords)),
    )
    return "\n".join(f"{name}: {_listed(list(values))}" for name, values in rows if values)


def _listed(values: list[str]) -> str:
    more = f" (+{len(values) - _SHOWN})" if len(values) > _SHOWN else ""
    return "; ".join(values[:_SHOWN]) + more
