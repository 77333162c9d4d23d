"""Organisations and people, by the marks their names carry."""

from __future__ import annotations

import re
from collections.abc import Iterator

from llm_service.providers.extraction.lexicon import word_list

MOST_NAMES = 50
_CANDIDATES = 2_000
_FORMS = frozenset(word_list("ООО АО ПАО ЗАО ОАО НАО ИП ФГУП МУП ГУП ГБУ МБУ ФГБУ ТСЖ СНТ НКО АНО КФХ ГК ТД"))
_KINDS = frozenset(
    word_list(
        """
        общество акционерное публичное товарищество кооператив фонд компания завод банк институт университет
        предприятие учреждение объединение ассоциация агентство фирма фабрика холдинг группа
        """
    )
)
_SHORTEST = 5
"""Characters of a line that can hold a name: empty lines by the thousand cost nothing."""
_WORDS_BEFORE_QUOTE = 6
_QUOTED_CHARS = 100
_SUFFIXES = frozenset(word_list("Ltd LLC Inc GmbH PLC Plc plc Corp Corporation Limited LLP AG BV"))
_TITLES = frozenset(word_list("Mr Mrs Ms Dr Prof Sir"))
_PATRONYMIC = re.compile(r"[А-ЯЁ][а-яё]{2,20}(?:ович|евич|овн|евн|ичн|инична)(?:а|у|ем|ом|е|ы|ой|)\Z")
_INITIALS = re.compile(
    r"(?:[А-ЯЁ]\.\s?[А-ЯЁ]\.\s?[А-ЯЁ][а-яё]{1,30}|\b[А-ЯЁ][а-яё]{1,30}\s[А-ЯЁ]\.\s?[А-ЯЁ]\.)"
)


def find_organisations(text: str) -> list[str]:
    """Names of organisations in the order of the text, each once."""
    found = dict.fromkeys([*_quoted(text), *_with_suffix(text)])
    return sorted(found, key=text.find)[:MOST_NAMES]


def _quoted(text: str) -> Iterator[str]:
    """``ООО «Ромашка»``, ``Товарищество собственников жилья «Роща»``."""
    opened = text.find("«")
    for _ in range(_CANDIDATES):
        if opened < 0:
            return
        closed = text.find("»", opened, opened + _QUOTED_CHARS)
        name = text[opened : closed + 1] if closed > 0 else ""
        form = _form_before(text[max(0, opened - 80) : opened])
        if name and form and "\n\n" not in name:
            yield f"{form} {' '.join(name.split())}"
        opened = text.find("«", opened + 1)


def _form_before(text: str) -> str:
    """The words that make a quoted name an organisation's, or nothing."""
    tokens = text.rpartition("\n\n")[2].split()[-_WORDS_BEFORE_QUOTE:]
    if tokens and tokens[-1].strip("(") in _FORMS:
        return tokens[-1].strip("(")
    for index in range(len(tokens) - 1, -1, -1):
        if tokens[index][:1].isupper() and tokens[index].lower() in _KINDS:
            return " ".join(tokens[index:])
    return ""


def _with_suffix(text: str) -> Iterator[str]:
    """``Harbour Logistics Ltd``: the capitalised words before the suffix, on its line."""
    for line in text.split("\n"):
        if len(line) < _SHORTEST or not any(suffix in line for suffix in _SUFFIXES):
            continue
        tokens = line.split()
        for index, token in enumerate(tokens):
            if token.strip(".,;:()") in _SUFFIXES:
                begin = index
                while (
                    begin > 0
                    and index - begin < 5
                    and tokens[begin - 1][:1].isupper()
                    and tokens[begin - 1][-1].isalnum()
                ):
                    begin -= 1
                if begin < index:
                    yield " ".join([*tokens[begin:index], token.strip(".,;:()")])


def find_people(text: str) -> list[str]:
    """Names of people: with initials, with a patronymic, with a title; each once."""
    found: dict[str, None] = {}
    for line in text.split("\n"):
        if len(line) < _SHORTEST:
            continue
        for match in _INITIALS.finditer(line):
            found[" ".join(match[0].split())] = None
        found |= dict.fromkeys(_full_names(line.split()))
        if len(found) > MOST_NAMES:
            break
    return list(found)[:MOST_NAMES]


def listed_people(text: str) -> list[str]:
    """The names of a list: two or three capitalised words between commas; what stands in brackets is a role."""
    parts = (part.partition("(")[0].split() for part in text[:2_000].replace(";", ",").split(","))
    return [
        " ".join(part) for part in parts if 2 <= len(part) <= 3 and all(word[0].isupper() for word in part)
    ]


def _full_names(tokens: list[str]) -> Iterator[str]:
    bare = [token.strip(",.;:!?()«»\"'") for token in tokens]
    for index, word in enumerate(bare):
        if word in _TITLES:
            names = bare[index + 1 : index + 3]
            if names and names[0][:1].isupper():
                yield " ".join([word, *(name for name in names if name[:1].isupper())])
        elif index >= 2 and _PATRONYMIC.match(word) and _are_names(tokens[index - 2 : index]):
            yield " ".join(bare[index - 2 : index + 1])


def _are_names(tokens: list[str]) -> bool:
    """Surname and first name: capitalised, with no end of a sentence or clause between them."""
    return all(token.istitle() and token.isalpha() and not token.startswith("Уважаем") for token in tokens)
