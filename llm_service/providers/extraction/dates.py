"""Dates as Russian and English papers write them. Only real days of the calendar count."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date
from itertools import islice

from llm_service.providers.extraction.lexicon import word_list

MOST_DATES = 200
_ISO = r"(?<!\d)(?P<iso_year>\d{4})-(?P<iso_month>\d{2})-(?P<iso_day>\d{2})(?!\d)"
_NUMERIC = r"(?<![\d.])(?P<day>\d{1,2})[./](?P<month>\d{1,2})[./](?P<year>\d{4})(?!\d)"
_DAY_NAME = (
    r"(?<![\d.])(?P<d_day>\d{1,2})(?:st|nd|rd|th)?[»”\"]?\s{1,2}(?P<d_name>[A-Za-zА-Яа-я]{3,9})\.?,?\s{1,2}(?P<d_year>\d{4})(?!\d)"
    r"(?:\s?г(?:\.|ода))?"
)
_NAME_DAY = (
    r"(?<![A-Za-z])(?P<n_name>(?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec)[a-z]{0,6})\.?\s{1,2}"
    r"(?P<n_day>\d{1,2})(?:st|nd|rd|th)?,?\s{1,2}(?P<n_year>\d{4})(?!\d)"
)
_DATE = re.compile("|".join((_ISO, _NUMERIC, _DAY_NAME, _NAME_DAY)))

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
    found = (_read(match) for match in islice(_DATE.finditer(text), 5 * MOST_DATES))
    return [each for each in found if each is not None][:MOST_DATES]


def _read(match: re.Match[str]) -> FoundDate | None:
    parts = match.groupdict()
    if parts["iso_year"]:
        numbers = (parts["iso_year"], parts["iso_month"], parts["iso_day"])
    elif parts["year"]:
        numbers = (parts["year"], parts["month"], parts["day"])
    elif parts["d_year"]:
        numbers = (parts["d_year"], _month(parts["d_name"]), parts["d_day"])
    else:
        numbers = (parts["n_year"], _month(parts["n_name"]), parts["n_day"])
    year, month, day = (int(number) for number in numbers)
    if month > 12 and day <= 12:
        month, day = day, month
    try:
        return FoundDate(date(year, month, day), " ".join(match[0].split()), match.start())
    except ValueError:
        return None


def _month(name: str) -> str:
    """The number of a month by the beginning of its name, "0" when it is none."""
    lower = name.lower()
    number = _MONTH_BEGINNINGS.get(lower[:3])
    if number is None and lower in ("май", "мая", "мае"):
        number = 5
    return str(number or 0)
