"""What an answer cost where its provider does not say so: by a table in a file, each row with its day and its source.

What is not in the table is unknown, and never nothing.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from functools import cache
from importlib.resources import files
from pathlib import Path

from llm_service.errors import SettingsInvalid
from llm_service.providers.protocol import Completion, FinishReason, Usage
from llm_service.resilience.clock import Clock

DOLLAR = "USD"
_MILLION = 1_000_000
_DATED = re.compile(r"-(\d{4}-\d{2}-\d{2}|\d{8})$")
"""What vendors put behind a model's name in their answers: gpt-4o-2024-08-06, claude-haiku-4-5-20251001."""


@dataclass(frozen=True, slots=True)
class Price:
    """Of a million tokens of one model, in ``currency``."""

    provider: str
    model: str
    input: float
    output: float
    cached: float | None
    """Of the prompt, from the vendor's cache; None: unknown."""
    currency: str
    to_prompt: int | None
    """The longest prompt it is for, in tokens."""
    until: date | None
    """The last day."""
    read_on: date
    source: tuple[str, ...]

    def of(self, usage: Usage) -> float | None:
        """What these tokens cost; None where that can't be known."""
        prompt, completion, cached = usage.prompt_tokens, usage.completion_tokens, usage.cached_tokens or 0
        if prompt is None or completion is None or (cached and self.cached is None):
            return None
        cached = min(cached, prompt)
        money = (prompt - cached) * self.input + cached * (self.cached or 0.0) + completion * self.output
        return money / _MILLION

    def fits(self, prompt_tokens: int, today: date) -> bool:
        """Whether it is for such a prompt on this day."""
        within = self.to_prompt is None or prompt_tokens <= self.to_prompt
        return within and (self.until is None or today <= self.until)


@dataclass(frozen=True, slots=True)
class PriceList:
    """The prices of one provider; the first that fits counts."""

    rows: tuple[Price, ...] = ()
    dollars: Mapping[str, float] | None = None
    """What one unit of other currencies is worth."""
    clock: Clock | None = None

    def of(self, *models: str) -> tuple[Price, ...]:
        """The rows of the first of these names that has any."""
        for model in models:
            if found := tuple(row for row in self.rows if row.model == model):
                return found
        return ()

    def priced(self, completion: Completion, asked: str) -> Completion:
        """With its cost in US dollars: the provider's own figure where there is one, else by the table, else unknown."""
        if completion.cost is not None or not self.rows or self.clock is None:
            return completion
        named = completion.model
        today = self.clock.now().date()
        prompt = completion.usage.prompt_tokens or 0
        rows = (row for row in self.of(named, _DATED.sub("", named), asked) if row.fits(prompt, today))
        row = next(rows, None)
        rate = None if row is None else self.rate(row.currency)
        cost = row.of(completion.usage) if row is not None else None
        return completion if cost is None or rate is None else replace(completion, cost=cost * rate)

    def estimate(self, model: str, prompt_tokens: int, answer_tokens: int) -> float | None:
        """US dollars for a call of so many tokens; None where the table does not say."""
        usage = Usage(prompt_tokens, answer_tokens)
        return self.priced(Completion("", FinishReason.STOP, model, usage), model).cost

    def rate(self, currency: str) -> float | None:
        """Dollars for one unit; None where nobody said."""
        return 1.0 if currency == DOLLAR else (self.dollars or {}).get(currency)


@dataclass(frozen=True, slots=True)
class PriceTable:
    """All prices: those of one's own file go before those that are shipped."""

    own: tuple[Price, ...]
    shipped: tuple[Price, ...]
    dollars: Mapping[str, float]

    @staticmethod
    def load(file: Path | None) -> PriceTable:
        """Raises SettingsInvalid for a file of one's own that can't be read as one."""
        if file is None:
            return PriceTable((), _shipped(), {})
        try:
            content = tomllib.loads(file.read_text("utf-8"))
            rates = {str(name): _amount(rate) for name, rate in _table(content.get("dollars", {})).items()}
            return PriceTable(_rows(content), _shipped(), rates)
        except (OSError, ValueError, TypeError) as error:
            raise SettingsInvalid(f"LLM_PRICES_FILE={file}: {error}") from None

    def of(self, provider: str, clock: Clock, *, at_the_vendors: bool) -> PriceList:
        """A provider's. ``at_the_vendors``: whether it is asked at the vendor's usual address, whose prices are shipped."""
        rows = (*self.own, *(self.shipped if at_the_vendors else ()))
        return PriceList(tuple(row for row in rows if row.provider == provider), self.dollars, clock)


@cache
def _shipped() -> tuple[Price, ...]:
    return _rows(tomllib.loads(files("llm_service.providers").joinpath("prices.toml").read_text("utf-8")))


def _rows(content: Mapping[str, object]) -> tuple[Price, ...]:
    if unknown := sorted(content.keys() - {"price", "dollars"}):
        raise ValueError(f"has {', '.join(unknown)}, and only [[price]] and [dollars] are read")
    rows = content.get("price", [])
    if not isinstance(rows, Sequence) or isinstance(rows, str):
        raise TypeError("price must be rows, each begun by [[price]]")
    return tuple(_price(number, _table(row)) for number, row in enumerate(rows, 1))


_FIELDS = frozenset(
    {"provider", "model", "input", "output", "cached", "currency", "to_prompt", "until", "date", "source"}
)


def _price(number: int, row: Mapping[str, object]) -> Price:
    try:
        if unknown := sorted(row.keys() - _FIELDS):
            raise ValueError(f"{', '.join(unknown)} is no field of a row")
        until, longest, source = row.get("until"), row.get("to_prompt"), row.get("source", [])
        return Price(
            provider=_word(row, "provider"),
            model=_word(row, "model"),
            input=_amount(row.get("input")),
            output=_amount(row.get("output")),
            cached=None if row.get("cached") is None else _amount(row["cached"]),
            currency=_word(row, "currency") if "currency" in row else DOLLAR,
            to_prompt=None if longest is None else int(_amount(longest)),
            until=None if until is None else _day(until),
            read_on=_day(row.get("date")),
            source=tuple(map(str, source)) if isinstance(source, list) else (str(source),),
        )
    except (ValueError, TypeError) as error:
        raise ValueError(f"row {number} of price: {error}") from None


def _table(value: object) -> Mapping[str, object]:
    if not isinstance(value, Mapping):
        raise TypeError("a table of names and values is needed where there is something else")
    return value


def _word(row: Mapping[str, object], name: str) -> str:
    value = row.get(name)
    if not isinstance(value, str) or not value.strip():
        raise ValueError(f"{name} must be a text")
    return value.strip()


def _amount(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < 1e9:
        raise ValueError(f"{value!r} is no amount of 0 or more")
    return float(value)


def _day(value: object) -> date:
    if type(value) is not date:
        raise ValueError(f"{value!r} is no day, as in date = 2026-11-21")
    return value
