"""What a text is about, in its own words and pairs of words."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from itertools import pairwise

from llm_service.providers.extraction.lexicon import word_list
from llm_service.providers.extraction.words import is_content, stem, words

_VERB_ENDINGS = word_list(
    "ться ется ются ится ятся ать ять ить еть ает яет ует ают яют уют ила ала или али ило ало лось лась лись ляет ing ed"
)
_ADJECTIVE_ENDINGS = word_list("ый ий ая яя ое ее ые ие ого его ому ему ым ых ую юю ной ной ной ous ive able")
_PAIR_WEIGHT = 2.2
"""Two words that stand together twice say more than either of them more often."""
_LEAST_WEIGHT = 0.85
"""A noun of four letters said twice."""
_FEWEST = 3
"""One word or two characterise nothing."""


def keywords(paragraphs: Sequence[str], count: int, names: frozenset[str] = frozenset()) -> list[str]:
    """The ``count`` most telling words and pairs said more than once, the weightiest first.

    A word that a chosen pair holds is left out; ``names`` are stems that are no keywords.
    """
    forms: defaultdict[str, Counter[str]] = defaultdict(Counter)
    pairs: defaultdict[tuple[str, str], Counter[str]] = defaultdict(Counter)
    for paragraph in paragraphs:
        _count(words(paragraph), forms, pairs)
    weights: dict[tuple[str, ...], float] = {
        (one,): _weight(_form(shapes), sum(shapes.values()))
        for one, shapes in forms.items()
        if sum(shapes.values()) > 1
    }
    weights |= {
        pair: _PAIR_WEIGHT * sum(shapes.values()) * _pair_quality(_form(shapes))
        for pair, shapes in pairs.items()
        if sum(shapes.values()) > 1
    }
    chosen: list[str] = []
    used: set[str] = set()
    for parts in sorted(weights, key=lambda each: (-weights[each], each)):
        if len(chosen) == count or weights[parts] < _LEAST_WEIGHT:
            break
        if not (used | names) & set(parts):
            chosen.append(_form(forms[parts[0]] if len(parts) == 1 else pairs[parts[0], parts[1]]))
            used |= set(parts)
    return chosen if len(chosen) >= _FEWEST else []


def _count(
    found: list[str],
    forms: defaultdict[str, Counter[str]],
    pairs: defaultdict[tuple[str, str], Counter[str]],
) -> None:
    stemmed = [stem(word) if len(word) > 3 and is_content(word) else "" for word in found]
    for one, word in zip(stemmed, found, strict=True):
        if one:
            forms[one][word] += 1
    for (first, second), (left, right) in zip(pairwise(stemmed), pairwise(found), strict=True):
        if first and second and first != second:
            pairs[first, second][f"{left} {right}"] += 1


def _form(shapes: Counter[str]) -> str:
    """How to show a word of several forms: the most frequent one, of those the shortest; a capital only if always."""
    lower = Counter[str]()
    for shape, times in shapes.items():
        lower[shape.lower()] += times
    best = min(lower, key=lambda shape: (-lower[shape], len(shape), shape))
    as_written = [shape for shape in shapes if shape.lower() == best]
    return as_written[0] if len(as_written) == 1 and not as_written[0].isupper() else best


def _weight(form: str, times: int) -> float:
    """Nouns weigh what they are said; a lone verb or adjective says little, unless it is said very often."""
    quality = 0.2 if form.endswith((*_VERB_ENDINGS, *_ADJECTIVE_ENDINGS)) else 1.0
    return times * quality * min(len(form), 9) / 9


def _pair_quality(form: str) -> float:
    first, _, second = form.partition(" ")
    return 0.3 if first.endswith(_VERB_ENDINGS[:-2]) or second.endswith(_VERB_ENDINGS) else 1.0
