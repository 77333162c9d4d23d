"""From a field's name to the text's value for it: by a label that says the same, else by what the field means."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from llm_service.providers.extraction.amounts import Amount
from llm_service.providers.extraction.concepts import Concept, concept_of, spoken
from llm_service.providers.extraction.dates import find_dates
from llm_service.providers.extraction.facts import Facts
from llm_service.providers.extraction.labels import Labelled
from llm_service.providers.extraction.letter import postcode, without_postcode
from llm_service.providers.extraction.words import stems

_SAME_NAME = 100
_SAME_CONCEPT = 80
_PER_MISSING_WORD = 15
_ENOUGH = 60
"""A label may lack one word of the field's name (``Number`` for ``document_number``), not two."""
_VALUE_CHARS = 500


@dataclass(frozen=True, slots=True)
class Field:
    """A field of a schema: the words of its name and what they mean."""

    stems: frozenset[str]
    title: frozenset[str]
    """The stems of the schema's title for it: another name."""
    concept: Concept | None
    named_by: frozenset[str]
    """The stems that told the concept; none of them when its description did."""


def field_of(name: str, title: str = "", description: str = "") -> Field:
    """Read a field's name; its title, then its description decide where the name says nothing."""
    found, other = frozenset(stems(spoken(name))), frozenset(stems(title[:200]))
    concept, named_by = concept_of(found)
    if concept is None:
        concept = concept_of(other)[0] or concept_of(stems(description[:300]))[0]
    return Field(found, other, concept, named_by)


def labelled_value(field: Field, facts: Facts) -> str:
    """The value of the label nearest in meaning to the field, or nothing."""
    ranked = [(_likeness(field, label), -number, label) for number, label in enumerate(facts.labels)]
    likeness, _, best = max(ranked, default=(0, 0, None))
    return best.value[:_VALUE_CHARS] if best is not None and likeness >= _ENOUGH else ""


def _likeness(field: Field, label: Labelled) -> int:
    if not field.stems or not label.stems:
        return 0
    if label.stems in (field.stems, field.title):
        return _SAME_NAME
    missing = len(field.stems - label.stems - field.named_by)
    if label.concept is not None and label.concept == field.concept:
        return _SAME_CONCEPT - _PER_MISSING_WORD * missing
    shared = len(field.stems & label.stems) / len(field.stems | label.stems)
    return int(_SAME_NAME * shared) if label.concept is None and field.concept is None else 0


def text_value(field: Field, facts: Facts) -> str:
    """What the text says of the field, as one text; nothing where it does not."""
    said = labelled_value(field, facts)
    finder = _FINDERS.get(field.concept) if field.concept else None
    return finder(facts, said) if finder else said


def list_value(field: Field, facts: Facts) -> list[str]:
    """All the text says of the field."""
    lister = _LISTERS.get(field.concept) if field.concept else None
    if lister is not None:
        return lister(facts)
    said = labelled_value(field, facts)
    separator = ";" if ";" in said else ","
    return [part.strip() for part in said.split(separator) if part.strip()]


def total(facts: Facts, said: str = "") -> Amount | None:
    """The amount a paper is about: one of a label or sentence that says total, else the largest one."""
    labelled = [amount for amount in facts.amounts if said and amount.text in said]
    named = [
        amount
        for amount in facts.amounts
        if any(
            word in facts.text[max(0, amount.start - 60) : amount.start].lower()
            for word in ("total", "итого", "общ", "всего")
        )
    ]
    candidates = labelled or named or facts.amounts
    return max(candidates, key=lambda amount: amount.value, default=None)


def deadlines(facts: Facts) -> list[str]:
    """Days after the paper's own day, in ISO form, each once, the earliest first."""
    own = facts.dates[0].day if facts.dates else None
    return [day.isoformat() for day in sorted({each.day for each in facts.dates if own and each.day > own})]


def _first_date(facts: Facts, said: str) -> str:
    found = find_dates(said) or facts.dates
    return found[0].day.isoformat() if found else ""


def _number(facts: Facts, said: str) -> str:
    return (
        said.removeprefix("№").strip()
        if any(char.isdigit() for char in said) and len(said) <= 60
        else facts.number
    )


def _sender(facts: Facts, said: str) -> str:
    return said or facts.letter.sender


def _address(said: str, by_place: str) -> str:
    return without_postcode(said or by_place)


def _postcode(said: str, *addresses: str) -> str:
    return next((code for code in map(postcode, (said, *addresses)) if code), "")


def _place_of(party: str, facts: Facts) -> str:
    return labelled_value(field_of(f"адрес {party}"), facts)


def _subject(facts: Facts, said: str) -> str:
    return said or facts.letter.subject or labelled_value(field_of("вложение"), facts).rstrip(".")


def _summary(facts: Facts, _said: str) -> str:
    return " ".join(facts.brief) or labelled_value(field_of("вложение"), facts)


def _amount(facts: Facts, said: str) -> str:
    found = total(facts, said)
    return found.text if found else said


def _currency(facts: Facts, said: str) -> str:
    found = total(facts)
    return found.currency if found else said


def _first(values: list[str]) -> str:
    return values[0] if values else ""


_FINDERS: Mapping[Concept, Callable[[Facts, str], str]] = {
    Concept.SENDER: _sender,
    Concept.RECIPIENT: lambda facts, said: said or facts.letter.recipient,
    Concept.SENDER_ADDRESS: lambda facts, said: _address(said, facts.letter.sender_address),
    Concept.RECIPIENT_ADDRESS: lambda facts, said: _address(said, facts.letter.recipient_address),
    Concept.SENDER_POSTCODE: lambda facts, said: _postcode(
        said, _place_of("отправителя", facts), facts.letter.sender_address
    ),
    Concept.RECIPIENT_POSTCODE: lambda facts, said: _postcode(
        said, _place_of("получателя", facts), facts.letter.recipient_address
    ),
    Concept.ADDRESS: lambda facts, said: _address(said, facts.address),
    Concept.POSTCODE: lambda facts, said: _postcode(said, facts.address),
    Concept.DATE: _first_date,
    Concept.DEADLINE: lambda facts, said: _first(
        [date.day.isoformat() for date in find_dates(said)] or deadlines(facts)
    ),
    Concept.NUMBER: _number,
    Concept.SUBJECT: _subject,
    Concept.SUMMARY: _summary,
    Concept.TITLE: lambda facts, said: said or facts.title,
    Concept.AMOUNT: _amount,
    Concept.CURRENCY: _currency,
    Concept.EMAIL: lambda facts, said: said if "@" in said else _first(facts.emails),
    Concept.PHONE: lambda facts, said: said or _first(facts.phones),
    Concept.LANGUAGE: lambda facts, _said: facts.source.language,
    Concept.SIGNATURE: lambda facts, said: said or facts.letter.signature,
    Concept.ORGANISATION: lambda facts, said: said or _first(facts.organisations),
    Concept.PERSON: lambda facts, said: said or _first(facts.people),
    Concept.KEYWORDS: lambda facts, _said: ", ".join(facts.keywords),
}
_LISTERS: Mapping[Concept, Callable[[Facts], list[str]]] = {
    Concept.ORGANISATION: lambda facts: facts.organisations,
    Concept.PERSON: lambda facts: facts.people,
    Concept.EMAIL: lambda facts: facts.emails,
    Concept.PHONE: lambda facts: facts.phones,
    Concept.KEYWORDS: lambda facts: facts.keywords,
    Concept.DEADLINE: deadlines,
    Concept.DATE: lambda facts: list(dict.fromkeys(each.day.isoformat() for each in facts.dates)),
    Concept.AMOUNT: lambda facts: list(dict.fromkeys(each.text for each in facts.amounts)),
    Concept.SUMMARY: lambda facts: facts.summary,
}
