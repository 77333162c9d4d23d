"""Plain text in the encodings it comes in: Unicode, and what Russian systems wrote before it."""

from __future__ import annotations

import codecs
import unicodedata

_BOMS = (
    # UTF-32 first: its little-endian mark begins with that of UTF-16.
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_ONE_BYTE = ("cp1251", "koi8-r", "cp866", "cp1252")
# Enough for letters to be told apart by how often they come; judged four times, it takes some 20 ms.
_SAMPLE_BYTES = 16 * 1024
# How many of 1,000 letters of Russian text are this one; rarer ones are taken as 5.
_FREQUENT = {
    "о": 110,
    "е": 85,
    "а": 80,
    "и": 74,
    "н": 67,
    "т": 63,
    "с": 55,
    "р": 47,
    "в": 45,
    "л": 44,
    "к": 35,
}
_FREQUENT |= {
    "м": 32,
    "д": 30,
    "п": 28,
    "у": 26,
    "я": 20,
    "ы": 19,
    "ь": 17,
    "г": 17,
    "з": 16,
    "б": 16,
    "ч": 14,
}
# The two letters beside each other that Russian has most often, one pair after the other.
_FREQUENT_PAIRS = "стнотонаеновниравокоалерпопрнерерогоосталиолоркаетлаловадетьин"
_PAIRS = frozenset(_FREQUENT_PAIRS[at : at + 2] for at in range(0, len(_FREQUENT_PAIRS), 2))
_PAIR = 60
_RARE = 5
_WRONG = -200
_FOREIGN = 30


def decode(content: bytes) -> str:
    """The text, with line feeds only. Never fails: what no encoding reads becomes U+FFFD."""
    text = _decoded(content)
    return text.replace("\r\n", "\n").replace("\r", "\n")


def _decoded(content: bytes) -> str:
    for mark, encoding in _BOMS:
        if content.startswith(mark):
            return content.decode(encoding, "replace")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        return content.decode(_likeliest(content[:_SAMPLE_BYTES]), "replace")


def _likeliest(sample: bytes) -> str:
    return max(_ONE_BYTE, key=lambda encoding: _score(sample.decode(encoding, "replace")))


def _score(text: str) -> int:
    """How much the text looks like Russian, or like a Western language, in whole words."""
    score = 0
    before = " "
    for char in text:
        if char > "\x7f":
            score += _worth(char, before)
        elif char.isalpha() and _is_cyrillic(before):
            score += _WRONG
        before = char
    return score


def _worth(char: str, before: str) -> int:
    if _is_cyrillic(char):
        if before.isascii() and before.isalpha():
            return _WRONG  # a word of two alphabets
        if char.isupper() and before.islower():
            return _WRONG  # the letters are right and their cases swapped: the usual look of a wrong encoding
        pair = _PAIR if (before + char).lower() in _PAIRS else 0
        return pair + _FREQUENT.get(char.lower(), _RARE)
    if char.isalpha():
        # An accented letter belongs among plain ones; a run of them is Russian read as Western.
        return _FOREIGN if before.isascii() and before.isalpha() else -_FOREIGN
    # Dashes and quotation marks are worth nothing; frames of old terminals and controls are signs of a
    # mistake.
    return 0 if unicodedata.category(char)[0] in "PZ" or char == "№" else _WRONG // 4


def _is_cyrillic(char: str) -> bool:
    return "\u0400" <= char <= "\u04ff"
