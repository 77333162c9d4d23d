"""How often a text says each word, whatever the word's form."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from llm_service.providers.extraction.words import stem, words

_HEAD_WORDS = 20
_HEAD_WEIGHT = 8
"""A paper says what it is in its first lines; further down it names other papers."""


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """The weight of each stem, and the first word that had it."""

    weights: Mapping[str, int]
    forms: Mapping[str, str]


def read_vocabulary(paragraphs: Iterable[str]) -> Vocabulary:
    """Weigh the words of a text; those of its first lines weigh more."""
    found = [word.lower() for paragraph in paragraphs for word in words(paragraph)]
    of_form = {form: stem(form) for form in set(found)}
    weights = Counter(of_form[word] for word in found)
    for word in found[:_HEAD_WORDS]:
        weights[of_form[word]] += _HEAD_WEIGHT - 1
    forms: dict[str, str] = {}
    for word in found:
        forms.setdefault(of_form[word], word)
    return Vocabulary(weights, forms)
