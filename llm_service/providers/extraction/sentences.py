"""Sentences: where one ends, in two languages full of abbreviations."""

from __future__ import annotations

from collections.abc import Iterator

from llm_service.providers.extraction.lexicon import word_list

MOST_SENTENCES = 600
"""Ranked at most: some 25 pages; the chosen ones would not change for more, only the time would."""
_CLOSING = "\"'»”’)]"
_OPENING = "\"'«“‘(["
_NEVER_LAST = frozenset(
    word_list(
        """
    ул. д. т. им. см. стр. рис. табл. п. пп. ст. тел. корп. кв. оф. наб. пр. просп. пер. стр. обл. р-н. пос. с. дер.
    гр. гос. исх. вх. т.е. т.к. напр. св. проф. акад. руб./мес. mr. mrs. ms. dr. prof. st. no. nos. fig. e.g. i.e.
    vs. approx. art. sec. cf. jr. sr. dept.
        """
    )
)
_LAST_BEFORE_CAPITAL = frozenset(
    word_list("г. гг. руб. коп. тыс. млн. млрд. экз. л. шт. др. т.д. т.п. кг. км. м. ltd. inc. co. etc.")
)


def sentences(paragraph: str) -> Iterator[str]:
    """The sentences of one paragraph."""
    tokens = paragraph.split()
    begin = 0
    for index, token in enumerate(tokens):
        following = tokens[index + 1] if index + 1 < len(tokens) else ""
        if not following or _ends(tokens[index - 1] if index else "", token, following):
            yield " ".join(tokens[begin : index + 1])
            begin = index + 1


def _ends(before: str, token: str, following: str) -> bool:
    bare = token.rstrip(_CLOSING)
    if bare[-1:] not in ("!", "?", "…", "."):
        return False
    start = following.lstrip(_OPENING + "—–- ")[:1]
    if bare[-1] != ".":
        return not start.islower()
    word = bare.lstrip(_OPENING).lower()
    if word in _NEVER_LAST or (len(word) == 2 and word[0].isalpha() and bare[-2].isupper()):
        return False
    if word == "г.":
        return before[-1:].isdigit() and start.isupper()
    if word in _LAST_BEFORE_CAPITAL:
        return start.isupper()
    return start.isupper() or start.isdigit()
