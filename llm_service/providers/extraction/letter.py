"""The parts of a letter that carries no labels: letterhead, addressee, subject, signature, told by their places."""

from __future__ import annotations

import re
from dataclasses import dataclass

from llm_service.providers.extraction.lexicon import word_list
from llm_service.providers.extraction.source import Source

_GREETINGS = ("уважаем", "dear ", "добрый день", "здравствуйте", "to whom it may concern")
_FAREWELLS = ("с уважением", "искренне ваш", "sincerely", "yours ", "kind regards", "best regards", "regards")
_SUBJECTS = ("о ", "об ", "обо ", "касательно ", "re: ", "subject: ", "тема: ", "по вопросу ")
_ADDRESSEES = word_list(
    """
    директору генеральному начальнику руководителю председателю президенту главе министру заведующему губернатору
    судье ректору прокурору управляющему командиру врачу инженеру редактору уполномоченному в to attn attention
    главному исполнительному финансовому техническому коммерческому
    """
)
_ADDRESS = re.compile(
    r"(?<!\d)\d{6}(?!\d)|\b(?:г|ул|пр|просп|наб|пер|обл|пл|бул|пос|ш)\.\s?[А-ЯЁ]|\b(?:Street|St|Road|Rd|Avenue|Ave|Lane|Square)\b"
)
_POSTCODE = re.compile(r"(?<!\d)\d{6}(?!\d)")
_HEAD_LINES = 40
_TAIL_LINES = 3


@dataclass(frozen=True, slots=True)
class Letter:
    """What the places say; an empty text where there is no such part."""

    sender: str = ""
    sender_address: str = ""
    recipient: str = ""
    recipient_address: str = ""
    subject: str = ""
    signature: str = ""


def read_letter(source: Source) -> Letter:
    """The parts of an unlabelled letter; all empty where no line greets anyone."""
    lines = [line for line in source.lines if line]
    greeting = next((n for n, line in enumerate(lines[:_HEAD_LINES]) if is_greeting(line)), None)
    if greeting is None:
        return Letter()
    head = lines[:greeting]
    subject = next(
        (n for n in reversed(range(len(head))) if head[n].lower().startswith(_SUBJECTS)), len(head)
    )
    to = next((n for n in range(subject) if _begins_addressee(head[n])), subject)
    sender, recipient = head[:to], head[to:subject]
    return Letter(
        sender=_first_name(sender),
        sender_address=_address(sender),
        recipient=", ".join(line.rstrip(",") for line in recipient if not is_address(line)),
        recipient_address=_address(recipient),
        subject=" ".join(head[subject : subject + 1]),
        signature=_signature(lines[greeting:]),
    )


def is_greeting(line: str) -> bool:
    """Whether a line greets the addressee."""
    return line.lower().startswith(_GREETINGS)


def is_address(line: str) -> bool:
    """Whether a line holds a postal address: a postcode, or the marks of streets and towns."""
    return len(line) <= 200 and _ADDRESS.search(line) is not None


def postcode(text: str) -> str:
    """The first six-digit postcode of a short text, or nothing."""
    found = _POSTCODE.search(text[:2_000])
    return found[0] if found else ""


def without_postcode(address: str) -> str:
    """An address without its postcode."""
    return " ".join(_POSTCODE.sub("", address[:2_000]).replace(" ,", ",").split()).strip(" ,")


def _begins_addressee(line: str) -> bool:
    first = line.split(maxsplit=1)[0].lower().strip(",:")
    return first in _ADDRESSEES and len(line) <= 100


def _first_name(lines: list[str]) -> str:
    """The first line that is neither an address nor a contact nor a number: the letterhead begins with who writes."""
    for line in lines:
        if (
            not is_address(line)
            and "@" not in line
            and not line.lower().startswith(("исх", "№", "тел", "tel", "from:"))
        ):
            return line
    return ""


def _address(lines: list[str]) -> str:
    return next((line for line in lines if is_address(line)), "")


def _signature(lines: list[str]) -> str:
    for number, line in enumerate(lines):
        if line.lower().startswith(_FAREWELLS):
            rest = line.partition(",")[2].strip()
            after = [rest] if rest else lines[number + 1 : number + 1 + _TAIL_LINES]
            return ", ".join(part.rstrip(",") for part in after)
    return ""
