"""What a field or a label means: its names in two languages, told by the stems of its words."""

from __future__ import annotations

import re
from collections.abc import Iterable
from enum import StrEnum

from llm_service.providers.extraction.words import stems


class Concept(StrEnum):
    """A kind of fact that papers state and schemas ask for."""

    SENDER_ADDRESS = "sender_address"
    SENDER_POSTCODE = "sender_postcode"
    RECIPIENT_ADDRESS = "recipient_address"
    RECIPIENT_POSTCODE = "recipient_postcode"
    SENDER = "sender"
    RECIPIENT = "recipient"
    ADDRESS = "address"
    POSTCODE = "postcode"
    DEADLINE = "deadline"
    DATE = "date"
    CURRENCY = "currency"
    AMOUNT = "amount"
    EMAIL = "email"
    PHONE = "phone"
    NUMBER = "number"
    SUBJECT = "subject"
    KEYWORDS = "keywords"
    SUMMARY = "summary"
    TITLE = "title"
    LANGUAGE = "language"
    SIGNATURE = "signature"
    ORGANISATION = "organisation"
    PERSON = "person"
    CONFIDENCE = "confidence"
    REASON = "reason"


_NAMES: dict[Concept, tuple[str, ...]] = {
    Concept.SENDER_ADDRESS: (
        "адрес отправителя",
        "откуда",
        "обратный адрес",
        "sender address",
        "return address",
    ),
    Concept.SENDER_POSTCODE: (
        "индекс отправителя",
        "индекс места отправления",
        "sender postcode",
        "sender zip",
        "sender postal code",
    ),
    Concept.RECIPIENT_ADDRESS: (
        "адрес получателя",
        "куда",
        "адрес доставки",
        "адрес назначения",
        "recipient address",
        "delivery address",
    ),
    Concept.RECIPIENT_POSTCODE: (
        "индекс получателя",
        "индекс места назначения",
        "recipient postcode",
        "recipient zip",
        "recipient postal code",
    ),
    Concept.SENDER: ("отправитель", "от кого", "sender", "from"),
    Concept.RECIPIENT: ("получатель", "кому", "адресат", "recipient", "addressee", "to"),
    Concept.ADDRESS: ("адрес", "address", "место", "place"),
    Concept.POSTCODE: ("индекс", "почтовый индекс", "postcode", "zip", "postal code"),
    Concept.DEADLINE: ("срок", "дедлайн", "deadline", "due date", "valid until", "действует до"),
    Concept.DATE: ("дата", "date", "дата приёма"),
    Concept.CURRENCY: ("валюта", "currency", "валюта суммы", "currency amount", "currency total amount"),
    Concept.AMOUNT: (
        "сумма",
        "итого",
        "всего",
        "стоимость",
        "цена",
        "total",
        "amount",
        "price",
        "cost",
        "ценность",
    ),
    Concept.EMAIL: ("email", "e-mail", "mail", "электронная почта", "эл. почта", "почта"),
    Concept.PHONE: ("телефон", "тел", "phone", "tel", "telephone", "mobile"),
    Concept.NUMBER: ("номер", "исходящий номер", "number", "no", "исх"),
    Concept.SUBJECT: ("тема", "предмет", "subject", "re"),
    Concept.KEYWORDS: ("ключевые слова", "теги", "keywords", "tags", "topics"),
    Concept.SUMMARY: (
        "содержание",
        "краткое содержание",
        "резюме",
        "аннотация",
        "summary",
        "abstract",
        "описание",
    ),
    Concept.TITLE: ("заголовок", "название", "наименование", "title", "heading"),
    Concept.LANGUAGE: ("язык", "language"),
    Concept.SIGNATURE: ("подпись", "подписант", "signature", "signatory", "signed by"),
    Concept.ORGANISATION: (
        "организация",
        "компания",
        "стороны",
        "контрагент",
        "organisation",
        "organization",
        "company",
        "party",
        "parties",
    ),
    Concept.PERSON: (
        "люди",
        "фио",
        "лицо",
        "участники",
        "people",
        "person",
        "persons",
        "participants",
        "present",
        "apologies",
        "присутствовали",
    ),
    Concept.CONFIDENCE: ("уверенность", "confidence"),
    Concept.REASON: ("причина", "обоснование", "reason"),
}
_PHRASES = tuple(
    (frozenset(stems(name)), concept) for concept, names in _NAMES.items() for name in names if stems(name)
)
_BORDER = re.compile(r"(?<=[a-zа-яё])(?=[A-ZА-ЯЁ])")


def spoken(name: str) -> str:
    """A field's name as words: ``totalAmount`` and ``total_amount`` become ``total Amount``."""
    return (
        _BORDER.sub(" ", name[:200]).replace("_", " ").replace("-", " ")
        if name.lower() != "e-mail"
        else "email"
    )


def concept_of(found: Iterable[str]) -> tuple[Concept | None, frozenset[str]]:
    """The concept whose longest name is all among the stems, and that name's stems; the more special one first."""
    held = frozenset(found)
    best: tuple[Concept | None, frozenset[str]] = (None, frozenset())
    for phrase, concept in _PHRASES:
        if phrase <= held and len(phrase) > len(best[1]):
            best = (concept, phrase)
    return best
