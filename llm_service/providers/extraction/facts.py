"""Everything found in one text, found once and used by whoever asks."""

from __future__ import annotations

import re
from dataclasses import dataclass

from llm_service.providers.extraction.amounts import Amount, find_amounts
from llm_service.providers.extraction.concepts import Concept
from llm_service.providers.extraction.contacts import find_emails, find_phones
from llm_service.providers.extraction.dates import FoundDate, find_dates
from llm_service.providers.extraction.keywords import keywords
from llm_service.providers.extraction.labels import Labelled, find_labels
from llm_service.providers.extraction.letter import Letter, is_address, is_greeting, read_letter
from llm_service.providers.extraction.names import MOST_NAMES, find_organisations, find_people, listed_people
from llm_service.providers.extraction.paragraphs import paragraphs
from llm_service.providers.extraction.source import Source, read
from llm_service.providers.extraction.summary import how_many, read_sentences, shortened, summarise
from llm_service.providers.extraction.vocabulary import Vocabulary, read_vocabulary
from llm_service.providers.extraction.words import stems

_TITLE_CHARS = 200
_KEYWORDS = 10
_BRIEF = 2
_NUMBER = re.compile(r"(?:№|\bNo\.|\bNr\.)\s?(\w[\w/.-]{0,30})")


@dataclass(frozen=True, slots=True)
class Facts:
    """One text and what was found in it, each list in the order of the text."""

    source: Source
    text: str
    """The paragraphs, one a line: what amounts and dates are found in."""
    title: str
    number: str
    """The first number the text calls one: ``Исх. № 412/06``, ``Agreement No. SA-2026/117``."""
    address: str
    """The first line that is a postal address."""
    labels: list[Labelled]
    letter: Letter
    summary: list[str]
    """The sentences that say most; as many as the text's length asks for."""
    brief: list[str]
    """The two of them that say most."""
    keywords: list[str]
    vocabulary: Vocabulary
    dates: list[FoundDate]
    amounts: list[Amount]
    emails: list[str]
    phones: list[str]
    organisations: list[str]
    people: list[str]


def find_facts(text: str) -> Facts:
    """Read a text and find everything in it: once, as a schema may ask for a fact hundreds of times."""
    source = read(text)
    pieces = paragraphs(source)
    flowing = "\n".join(pieces)
    labels = find_labels(source)
    letter = read_letter(source)
    sentences = read_sentences(pieces)
    people = _people(flowing, labels)
    return Facts(
        source=source,
        text=flowing,
        title=_title(source, pieces, labels, letter),
        number=_number(flowing),
        address=next((line for line in source.lines if is_address(line)), ""),
        labels=labels,
        letter=letter,
        summary=summarise(sentences, how_many(len(sentences))),
        brief=summarise(sentences, _BRIEF),
        keywords=keywords(_spoken(pieces, labels), _KEYWORDS, frozenset(stems(" ".join(people)))),
        vocabulary=read_vocabulary(pieces),
        dates=find_dates(flowing),
        amounts=find_amounts(flowing),
        emails=find_emails(flowing),
        phones=find_phones(flowing),
        organisations=find_organisations(flowing),
        people=people,
    )


def _title(source: Source, pieces: list[str], labels: list[Labelled], letter: Letter) -> str:
    """A letter's subject, else the first line that could be a heading: no label, no contact."""
    labelled = {source.lines[each.line] for each in labels}
    headings = (
        piece
        for piece in pieces[:5]
        if piece not in labelled
        and "@" not in piece
        and not is_greeting(piece)
        and any(char.isalpha() for char in piece)
    )
    return shortened(letter.subject or next(headings, ""), _TITLE_CHARS)


def _number(text: str) -> str:
    found = _NUMBER.search(text)
    return found[1].rstrip(".-/") if found else ""


def _spoken(pieces: list[str], labels: list[Labelled]) -> list[str]:
    """The paragraphs without the labels of forms and without addresses of e-mail."""
    starts = tuple(f"{each.label}:" for each in labels)
    plain = (piece.partition(":")[2] if piece.startswith(starts) else piece for piece in pieces)
    return [" ".join(word for word in piece.split() if "@" not in word) for piece in plain]


def _people(text: str, labels: list[Labelled]) -> list[str]:
    """People whose names carry a mark, and those a label lists (``Present: Helen Marsh (chair), Tom Okafor``)."""
    listed = [name for each in labels if each.concept is Concept.PERSON for name in listed_people(each.value)]
    return list(dict.fromkeys([*listed, *find_people(text)]))[:MOST_NAMES]
