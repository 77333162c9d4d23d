"""Amounts of money: a currency's sign, code or name, and the number beside it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from decimal import Decimal
from itertools import islice

from llm_service.providers.extraction.numbers import number_of

MOST_AMOUNTS = 100
_CURRENCIES = {
    "руб": "RUB", "₽": "RUB", "rub": "RUB", "$": "USD", "usd": "USD", "дол": "USD", "€": "EUR", "eur": "EUR",
    "евр": "EUR", "£": "GBP", "gbp": "GBP", "¥": "CNY", "cny": "CNY", "юан": "CNY", "kzt": "KZT", "тен": "KZT",
}  # fmt: skip
_SIGN = re.compile(
    r"[₽$€£¥]|\b(?:руб(?:\.|л(?:ей|я|ь|ях|ями))?|RUB|USD|EUR|GBP|CNY|KZT|евро|доллар(?:ов|а|ы)?|юан(?:ей|я|ь)|тенге)(?!\w)"
)
# From the first digit of a number on: begun anew at each of a long run, it took 43 ms of 20,000 zeros, now 0.2.
_NUMBER_BEFORE = re.compile(
    r"(?<!\d)(\d(?:[\d., \n]{0,24}\d)?)\s?(тыс|млн|млрд|thousand|million|billion)?\.?\s{0,2}(?:US\s|\(US\)\s)?\Z"
)
_NUMBER_AFTER = re.compile(
    r"\s{0,2}(\d(?:[\d.,]{0,24}\d)?)(?:\s?(тыс|млн|млрд|thousand|million|billion|k|m|bn)\b)?"
)
_KOPECKS = re.compile(r"\s{0,2}(\d{2})\s{0,2}коп(?:\.|еек|ейки|ейка)?")
_WINDOW = 40
_IN_WORDS = 200
"""Characters that "(семь миллионов …)" between number and currency may take."""
_TIMES = {
    "тыс": 10**3, "thousand": 10**3, "k": 10**3, "млн": 10**6, "million": 10**6, "m": 10**6,
    "млрд": 10**9, "billion": 10**9, "bn": 10**9,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Amount:
    """An amount, its currency's three-letter code, and how the text writes it."""

    value: Decimal
    currency: str
    text: str
    start: int


def find_amounts(text: str) -> list[Amount]:
    """All amounts in the order of the text, at most 100."""
    found: list[Amount] = []
    end = 0
    for sign in islice(_SIGN.finditer(text), 5 * MOST_AMOUNTS):
        amount, after = _before(text, sign, end) or _after(text, sign) or (None, end)
        if amount is not None and len(found) < MOST_AMOUNTS:
            found.append(amount)
            end = after
    return found


def _before(text: str, sign: re.Match[str], floor: int) -> tuple[Amount, int] | None:
    """``1 840 000 руб.``, ``5 млн (пять миллионов) руб. 00 коп.``; nothing before ``floor`` is read again."""
    stop = sign.start()
    if text[:stop].endswith((") ", ")")):
        opened = text.rfind("(", max(floor, stop - _IN_WORDS), stop)
        stop = opened if opened >= 0 else stop
    begin = max(floor, stop - _WINDOW)
    found = _NUMBER_BEFORE.search(text[begin:stop])
    if found is None:
        return None
    digits = _last_number(found[1])
    value = _value(digits, found[2])
    if value is None:
        return None
    end = sign.end()
    kopecks = _KOPECKS.match(text, end)
    if kopecks is not None:
        value, end = value + Decimal(kopecks[1]) / 100, kopecks.end()
    start = begin + found.start(1) + len(found[1]) - len(digits)
    return Amount(value, _CURRENCIES[sign[0][:3].lower()], _shown(text[start:end]), start), end


def _after(text: str, sign: re.Match[str]) -> tuple[Amount, int] | None:
    """``$1,250,000``, ``EUR 18,000``."""
    found = _NUMBER_AFTER.match(text, sign.end())
    value = _value(found[1], found[2]) if found else None
    if found is None or value is None:
        return None
    whole = text[sign.start() : found.end()]
    return Amount(value, _CURRENCIES[sign[0][:3].lower()], _shown(whole), sign.start()), found.end()


def _last_number(run: str) -> str:
    """The last number of a run of digits and blanks: of ``58 2 055 000`` it is ``2 055 000``."""
    parts = run.split()
    taken = [parts.pop()]
    while (
        parts
        and len(taken[0].partition(",")[0].partition(".")[0]) == 3
        and parts[-1].isdigit()
        and len(parts[-1]) <= 3
    ):
        taken.insert(0, parts.pop())
    return run[run.rindex(taken[0]) :] if len(taken) == 1 else run[_position(run, taken) :]


def _position(run: str, taken: list[str]) -> int:
    """Where the last ``len(taken)`` parts of the run begin."""
    position = len(run)
    for part in reversed(taken):
        position = run.rindex(part, 0, position)
    return position


def _value(digits: str, scale: str | None) -> Decimal | None:
    number = number_of(digits)
    return None if number is None else number * _TIMES.get(scale or "", 1)


def _shown(text: str) -> str:
    return " ".join(text.split())
