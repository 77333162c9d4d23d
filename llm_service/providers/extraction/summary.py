"""The sentences that say most: ranked by the weight of their words, chosen so that they don't repeat each other."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from math import log

from llm_service.providers.extraction.lexicon import word_list
from llm_service.providers.extraction.sentences import MOST_SENTENCES, sentences
from llm_service.providers.extraction.words import is_content, stem, words

_FEWEST_WORDS = 5
_FULL_WEIGHT_WORDS = 8
"""Shorter sentences say less by themselves and are weighed down in proportion."""
_LABEL_WORDS = 4
_LONGEST_CHARS = 400
_GREETINGS = (
    "уважаем",
    "с уважением",
    "dear ",
    "yours ",
    "sincerely",
    "kind regards",
    "приложение:",
    "добрый день",
)
_REQUESTS = frozenset(
    word_list("просим прошу требуем предлагаем предлагает request ask asked propose decided agreed")
)
_CUES = frozenset(
    word_list(
        """
        решил решили итого общая общую необходимо обязуется обязался обработано сократилось
        выросла снизилось составила total must terminate reported conclusion therefore result results made between
        """
    )
)


@dataclass(frozen=True, slots=True)
class Sentence:
    """One sentence of the text and what its words are."""

    text: str
    paragraph: int
    order: int
    stems: tuple[str, ...]
    telling: float
    """From 0 to 1: whether it asks, decides, concludes or names a figure."""


def read_sentences(paragraphs: Sequence[str]) -> list[Sentence]:
    """The text's whole sentences, at most 600: no labels, headings, greetings or signatures."""
    found: list[Sentence] = []
    for number, paragraph in enumerate(paragraphs):
        if paragraph.startswith("|") or paragraph.lower().startswith(_GREETINGS):
            continue
        for text in _without_label(paragraph, list(sentences(paragraph))):
            all_words = words(text)
            if len(all_words) < _FEWEST_WORDS or "@" in text or text[-1] not in '.!?…»”")':
                continue
            kept = tuple(stem(word) for word in all_words if is_content(word))
            found.append(Sentence(text, number, len(found), kept, _telling(text, all_words)))
            if len(found) == MOST_SENTENCES:
                return found
    return found


def _without_label(paragraph: str, found: list[str]) -> list[str]:
    """Nothing of a paragraph that is one labelled value, which is a fact and no sentence."""
    label, colon, _ = paragraph.partition(":")
    return [] if len(found) == 1 and colon and len(label.split()) <= _LABEL_WORDS else found


def _telling(text: str, all_words: Sequence[str]) -> float:
    lower = {word.lower() for word in all_words}
    asks = 0.7 if all_words[0].lower() in _REQUESTS else 0.5 if lower & _REQUESTS else 0.0
    concludes = 0.3 if lower & _CUES else 0.0
    return asks + concludes + 0.2 * any(char.isdigit() for char in text)


def how_many(sentences_read: int) -> int:
    """Sentences of a summary: three for a letter, seven for a long report."""
    return min(7, max(3, round(2 * log(sentences_read + 1)))) if sentences_read > 3 else sentences_read


def summarise(found: Sequence[Sentence], count: int) -> list[str]:
    """The ``count`` sentences that say most, in the order of the text."""
    frequency = Counter(each for sentence in found for each in set(sentence.stems))
    score = {sentence.order: _score(sentence, found, frequency) for sentence in found}
    left = list(found)
    chosen: list[Sentence] = []
    said: Counter[str] = Counter()
    while left and len(chosen) < count:
        best = max(left, key=lambda one: (score[one.order] * _newness(one, said, chosen), -one.order))
        left.remove(best)
        chosen.append(best)
        said.update(set(best.stems))
    return [shortened(sentence.text) for sentence in sorted(chosen, key=lambda one: one.order)]


def _score(sentence: Sentence, found: Sequence[Sentence], frequency: Counter[str]) -> float:
    kinds = set(sentence.stems)
    if not kinds:
        return 0.0
    weight = sum(log(1 + frequency[each]) for each in kinds) / (len(kinds) + 4)
    length = min(1.0, len(sentence.stems) / _FULL_WEIGHT_WORDS)
    first_of_paragraph = sentence.order == 0 or found[sentence.order - 1].paragraph != sentence.paragraph
    early = 0.5 if sentence.order == 0 else 0.15 if first_of_paragraph else 0.0
    too_long = 0.7 if len(sentence.text) > _LONGEST_CHARS else 1.0
    return weight * (1 + early + sentence.telling) * length * too_long


def _newness(sentence: Sentence, said: Counter[str], chosen: Sequence[Sentence]) -> float:
    """Between 0 and 1: how much of it has not been said, less when its paragraph has spoken already."""
    kinds = set(sentence.stems)
    if not kinds:
        return 0.0
    repeated = sum(1 for each in kinds if said[each]) / len(kinds)
    same_paragraph = sum(1 for each in chosen if each.paragraph == sentence.paragraph)
    return float((1 - 0.7 * repeated) * 0.6**same_paragraph)


def shortened(text: str, longest: int = _LONGEST_CHARS) -> str:
    """The text, cut at a word with an ellipsis where it is longer than allowed."""
    if len(text) <= longest:
        return text
    return text[:longest].rpartition(" ")[0].rstrip(" ,;:") + " …"
