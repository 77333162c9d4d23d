"""Words and their stems."""

from __future__ import annotations

import re

from llm_service.providers.extraction.lexicon import STOPWORDS, word_list

_WORD = re.compile(r"[^\W\d_]+(?:-[^\W\d_]+)*")

_RU_ENDINGS = word_list(
    """
    ировать ировал ируется ирует ается яется уется ились илась илось ется ются ить ать ять
    иями ями ами ией иям ием иях ого ему ому ыми ими его ов ев ей ой ий ый ая яя ое ее ие ые ую юю
    ам ям ах ях ом ем ым им ых их ию ью ия ья ы и а я о е у ю ь й
    """
)
_EN_ENDINGS = word_list("ations ation ments ment ings ing ies ied ers er ed es s ly y e")
"""Longest first within what can be confused: the first that fits is cut off."""
_STEM_LETTERS = 4
"""What a stem keeps at least: shorter ones join unrelated words (most Russian roots have four letters)."""


def words(text: str) -> list[str]:
    """The words of a text in order, as they are written."""
    return _WORD.findall(text)


def stem(word: str) -> str:
    """A word without its ending, lower case: near enough to tell that two forms are one word."""
    plain = word.lower().replace("ё", "е")
    for ending in _RU_ENDINGS if plain[-1:] > "\u0400" else _EN_ENDINGS:
        if plain.endswith(ending) and len(plain) - len(ending) >= _STEM_LETTERS:
            return plain[: -len(ending)]
    return plain


def stems(text: str) -> tuple[str, ...]:
    """The stems of all words of a short text, such as a label."""
    return tuple(stem(word) for word in words(text))


def is_content(word: str) -> bool:
    """Whether the word may say what a text is about."""
    return len(word) > 2 and word.lower() not in STOPWORDS
