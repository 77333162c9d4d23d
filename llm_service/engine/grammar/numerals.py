"""Numbers between bounds, and multiples of a number, as automata over their digits."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction

from llm_service.engine.grammar.automaton import MOST_STATES, Automaton, TooLarge, explore

# Beyond 15 digits a number does not come back from a float as it went in.
_MOST_DIGITS = 15
_FEWER_DIGITS = 6
# Places behind the point beyond those of the bounds themselves.
_MORE_PLACES = 2
_MOST_PLACES = 6
# A remainder is a state, and so is a place in the bounds: their product has to stay below the automaton's limit.
_MOST_REMAINDERS = 1_000


@dataclass(frozen=True, slots=True)
class Range:
    """Bounds of a number; None where there is none."""

    least: Fraction | None = None
    is_least_excluded: bool = False
    most: Fraction | None = None
    is_most_excluded: bool = False
    step: Fraction | None = None
    """What it is a multiple of."""

    @property
    def is_open(self) -> bool:
        return self.least is None and self.most is None and self.step is None

    def digits(self, places: int, size: int) -> tuple[int, int]:
        """The smallest and largest number with so many places and digits, without the point."""
        scale = 10**places
        limit = 10**size - 1
        low = -limit if self.least is None else math.ceil(self.least * scale)
        high = limit if self.most is None else math.floor(self.most * scale)
        if self.is_least_excluded and self.least is not None and low == self.least * scale:
            low += 1
        if self.is_most_excluded and self.most is not None and high == self.most * scale:
            high -= 1
        return max(low, -limit), min(high, limit)

    @property
    def places(self) -> int:
        """Places worth having behind the point."""
        exact = [bound for bound in (self.least, self.most, self.step) if bound is not None]
        own = max((_places_of(bound) for bound in exact), default=0)
        return own if self.step is not None else min(_MOST_PLACES, own + _MORE_PLACES)


def is_exact(step: Fraction) -> bool:
    """Whether a validator's floats agree about its multiples: an integer, or a half, a quarter, and so on."""
    return step.denominator & (step.denominator - 1) == 0


def integers(bounds: Range) -> Automaton:
    """Integers within the bounds, as JSON writes them. Raises TooLarge."""
    return _largest(bounds, (0,))


def decimals(bounds: Range) -> Automaton:
    """Numbers within the bounds, with and without a point, without an exponent. Raises TooLarge."""
    return _largest(bounds, (bounds.places, 0))


def _largest(bounds: Range, most_places: Sequence[int]) -> Automaton:
    """With as many digits and places as an automaton has room for: each remainder takes a state at each digit."""
    for places in most_places:
        for size in (_MOST_DIGITS, _FEWER_DIGITS):
            if size * sum(_step(bounds.step, count) for count in range(places + 1)) > MOST_STATES:
                continue
            found = _numbers(bounds, range(places + 1), size)
            if not found.is_empty:
                return found
    return _numbers(bounds, (0,), _FEWER_DIGITS)


def _numbers(bounds: Range, places: Iterable[int], size: int) -> Automaton:
    begun: list[_State] = []
    for count in places:
        low, high = bounds.digits(count, size)
        step = _step(bounds.step, count)
        if low > high:
            continue
        if high >= 0:
            begun += _begun("", max(low, 0), high, count, step)
        if low < 0:
            # "-0" is left out: the same number has a plainer form.
            begun += _begun("-", max(-high, 1), -low, count, step)
    return explore(frozenset(begun), _moves_of, _is_accepting)


def _step(step: Fraction | None, places: int) -> int:
    """What the digits, read as an integer, have to be a multiple of."""
    if step is None:
        return 1
    scaled = step * 10**places
    # n / 10^places is a multiple of step: n * denominator is one of numerator.
    found: int = scaled.numerator // math.gcd(scaled.numerator, scaled.denominator)
    if found > _MOST_REMAINDERS:
        raise TooLarge
    return found


@dataclass(frozen=True, slots=True)
class _State:
    """What is left of a number of known sign, length and place of the point, between two of the same form.

    Only what is left: numbers whose beginnings were different and do not matter any more are in one state.
    """

    sign: str
    digits: int
    places: int
    """Of the digits left, those behind the point; the point comes before them."""
    has_point: bool
    """The point is to come."""
    low: str | None
    """The rest of the lower bound, while all digits so far are its; else None."""
    high: str | None
    remainder: int
    step: int


def _begun(sign: str, low: int, high: int, places: int, step: int) -> Iterator[_State]:
    shortest = max(len(str(low)), places + 1)
    for size in range(shortest, max(len(str(high)), places + 1) + 1):
        # Of a length there is nothing below 10...0, but for numbers below 1 with zeros before them.
        first = max(low, 10 ** (size - 1) if size > places + 1 else 0)
        last = min(high, 10**size - 1)
        if first <= last:
            bounds = (str(first).zfill(size), str(last).zfill(size))
            yield _State(sign, size, places, places > 0, *bounds, 0, step)


def _moves_of(states: frozenset[_State]) -> list[tuple[int, int, frozenset[_State]]]:
    found: dict[int, set[_State]] = {}
    for state in states:
        for character, following in _following(state):
            found.setdefault(ord(character), set()).add(following)
    return [(point, point, frozenset(to)) for point, to in sorted(found.items())]


def _following(state: _State) -> Iterator[tuple[str, _State]]:
    if state.sign:
        yield state.sign, replace(state, sign="")
    elif state.has_point and state.digits == state.places:
        yield ".", replace(state, has_point=False)
    elif state.digits:
        least = "0" if state.low is None else state.low[0]
        most = "9" if state.high is None else state.high[0]
        for digit in map(str, range(int(least), int(most) + 1)):
            yield (
                digit,
                replace(
                    state,
                    digits=state.digits - 1,
                    low=state.low[1:] if state.low is not None and digit == least else None,
                    high=state.high[1:] if state.high is not None and digit == most else None,
                    remainder=(state.remainder * 10 + int(digit)) % state.step,
                ),
            )


def _is_accepting(states: frozenset[_State]) -> bool:
    return any(not state.digits and not state.remainder for state in states)


def _places_of(number: Fraction) -> int:
    """Decimal places of it, as far as they are taken."""
    return next(
        (places for places in range(_MOST_PLACES) if (number * 10**places).denominator == 1), _MOST_PLACES
    )
