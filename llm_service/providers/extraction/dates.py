"""Dates as Russian and English papers write them. Only real days of the calendar count."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date
from itertools import islice

from llm_service.providers.extraction.lexicon import word_list

MOST_DATES = 200
_CANDIDATES = 2_000
"""Years looked at: a text of nothing but years must not take longer than a calendar."""
_YEAR = re.compile(r"(?<!\d)(?:1[89]|20|21)\d\d(?!\d)")
"""Every date is found by its year, so that a text is searched once, for something simple."""
_AFTER_YEAR = re.compile(r"-(\d{2})-(\d{2})(?!\d)")
_BEFORE_YEAR = re.compile(
    r"(?<![\d.])(\d{1,2})[./](\d{1,2})[./]\Z"
    r"|(?<![\d.])(\d{1,2})(?:st|nd|rd|th)?[»”\"]?\s{1,2}([A-Za-zА-Яа-я]{3,9})\.?,?\s{1,2}\Z"
    r"|(?<![A-Za-z])([A-Z][a-z]{2,8})\.?\s{1,2}(\d{1,2})(?:st|nd|rd|th)?,?\s{1,2}\Z"
)
_WINDOW = 24
"""Characters before a year that a day and a month's name take at most."""
_WORD_YEAR = re.compile(r"\s?г(?:\.|ода)")

_MONTH_BEGINNINGS = {
    **{name: n for n, name in enumerate(word_list("янв фев мар апр мая июн июл авг сен окт ноя дек"), 1)},
    **{name: n for n, name in enumerate(word_list("jan feb mar apr may jun jul aug sep oct nov dec"), 1)},
}


@dataclass(frozen=True, slots=True)
class FoundDate:
    """A date and how the text writes it."""

    day: date
    text: str
    start: int


def find_dates(text: str) -> list[FoundDate]:
    """All dates in the order of the text, at most 200. 03/04/2026 is read day first, as all of Europe does."""
    found = (_around(text, year) for year in islice(_YEAR.finditer(text), _CANDIDATES))
    return [each for each in found if each is not None][:MOST_DATES]


def _around(text: str, year: re.Match[str]) -> FoundDate | None:
    """The date whose year this is, or None when it is just a number."""
    iso = _AFTER_YEAR.match(text, year.end())
    if iso is not None:
        return _real(year[0], iso[1], iso[2], text[year.start() : iso.end()], year.start())
    begin = max(0, year.start() - _WINDOW)
    before = _BEFORE_YEAR.search(text[begin : year.start()])
    if before is None:
        return None
    number_day, number_month, day, name, name_first, day_after = before.groups()
    if number_month and int(number_month) > 12 >= int(number_day):
        number_day, number_month = number_month, number_day
    month = number_month or _month(name or name_first)
    word = _WORD_YEAR.match(text, year.end()) if name else None
    start = begin + before.start()
    written = text[start : word.end() if word else year.end()]
    return _real(year[0], month, number_day or day or day_after, written, start)


def _real(year: str, month: str, day: str, text: str, start: int) -> FoundDate | None:
    """The date, or None when the calendar has no such day."""
    try:
        return FoundDate(date(int(year), int(month), int(day)), " ".join(text.split()), start)
    except ValueError:
        return None


def _month(name: str) -> str:
    """The number of a month by the beginning of its name, "0" when it is none."""
    lower = name.lower()
    number = _MONTH_BEGINNINGS.get(lower[:3])
    if number is None and lower in ("май", "мая", "мае"):
        number = 5
    return str(number or 0)
