"""Everything found in one text, found once and used by whoever asks."""

from __future__ import annotations

import re
from dataclasses import dataclass

from llm_service.providers.extraction.amounts import Amount, find_amounts
from llm_service.providers.extraction.concepts import Concept, concept_of
from llm_service.providers.extraction.contacts import find_emails, find_phones
from llm_service.providers.extraction.dates import FoundDate, find_dates
from llm_service.providers.extraction.keywords import keywords
from llm_service.providers.extraction.labels import Labelled, find_labels
from llm_service.providers.extraction.letter import Letter, read_letter
from llm_service.providers.extraction.names import MOST_NAMES, find_organisations, find_people, listed_people
from llm_service.providers.extraction.paragraphs import paragraphs
from llm_service.providers.extraction.source import Source, read
from llm_service.providers.extraction.summary import Sentence, how_many, read_sentences, shortened, summarise
from llm_service.providers.extraction.words import stems

_TITLE_CHARS = 200
_KEYWORDS = 10
_NUMBER = re.compile(r"(?:№|\bNo\.|\bNr\.)\s?(\w[\w/.-]{0,30})")


@dataclass(frozen=True, slots=True)
class Facts:
    """One text and what was found in it, each list in the order of the text."""

    source: Source
    paragraphs: list[str]
    sentences: list[Sentence]
    labels: list[Labelled]
    letter: Letter
    dates: list[FoundDate]
    amounts: list[Amount]
    emails: list[str]
    phones: list[str]
    organisations: list[str]
    people: list[str]

    @property
    def title(self) -> str:
        """A letter's subject, else the first line that could be a heading: no label, no contact."""
        if self.letter.subject:
            return shortened(self.letter.subject, _TITLE_CHARS)
        labelled = {self.source.lines[each.line] for each in self.labels}
        for paragraph in self.paragraphs[:5]:
            if (
                paragraph not in labelled
                and "@" not in paragraph
                and any(char.isalpha() for char in paragraph)
            ):
                return shortened(paragraph, _TITLE_CHARS)
        return ""

    @property
    def keywords(self) -> list[str]:
        """What the text is about; names of people are told apart."""
        names = frozenset(stem for person in self.people for stem in stems(person))
        return keywords(_spoken(self.paragraphs, self.labels), _KEYWORDS, names)

    @property
    def number(self) -> str:
        """The first number the text calls one: ``Исх. № 412/06``, ``Agreement No. SA-2026/117``."""
        found = _NUMBER.search(self.source.text)
        return found[1].rstrip(".-/") if found else ""

    def summary(self, count: int | None = None) -> list[str]:
        """The sentences that say most; as many as the text's length asks for when ``count`` is None."""
        return summarise(self.sentences, how_many(len(self.sentences)) if count is None else count)


def _spoken(pieces: list[str], labels: list[Labelled]) -> list[str]:
    """The paragraphs without the labels of forms and without addresses of e-mail."""
    starts = tuple(f"{each.label}:" for each in labels)
    plain = (piece.partition(":")[2] if piece.startswith(starts) else piece for piece in pieces)
    return [" ".join(word for word in piece.split() if "@" not in word) for piece in plain]


def find_facts(text: str) -> Facts:
    """Read a text and find everything in it."""
    source = read(text)
    pieces = paragraphs(source)
    flowing = "\n".join(pieces)
    labels = find_labels(source)
    return Facts(
        source=source,
        paragraphs=pieces,
        sentences=read_sentences(pieces),
        labels=labels,
        letter=read_letter(source),
        dates=find_dates(flowing),
        amounts=find_amounts(flowing),
        emails=find_emails(flowing),
        phones=find_phones(flowing),
        organisations=find_organisations(flowing),
        people=_people(flowing, labels),
    )


def _people(text: str, labels: list[Labelled]) -> list[str]:
    """People whose names carry a mark, and those a label lists (``Present: Helen Marsh (chair), Tom Okafor``)."""
    listed = [
        name
        for each in labels
        if concept_of(each.stems)[0] is Concept.PERSON
        for name in listed_people(each.value)
    ]
    return list(dict.fromkeys([*listed, *find_people(text)]))[:MOST_NAMES]
