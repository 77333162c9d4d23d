"""Finite automata over characters: how patterns, lengths, formats and ranges are put together without loss.

A character is its code point; a transition has an interval of them.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass
from typing import TypeAlias, TypeVar

Interval: TypeAlias = tuple[int, int]
"""First and last code point."""

LAST = 0x10FFFF
# llama.cpp walks a grammar of so many rules still in microseconds a character; one of more takes seconds to be read.
MOST_STATES = 3_000
_DEAD = -1
_State = TypeVar("_State", bound=Hashable)


class TooLarge(Exception):  # named for what happened
    """The automaton would have too many states."""


@dataclass(frozen=True, slots=True)
class Automaton:
    """A deterministic one. State 0 begins; what has no transition is refused."""

    moves: tuple[tuple[tuple[int, int, int], ...], ...]
    """Of each state: first, last, next state; in order, without overlap."""
    accepting: frozenset[int]

    @property
    def is_empty(self) -> bool:
        """Whether it takes no string at all."""
        return not self.accepting

    def takes(self, text: str) -> bool:
        state = 0
        for character in text:
            state = self.next(state, ord(character))
            if state == _DEAD:
                return False
        return state in self.accepting

    def next(self, state: int, point: int) -> int:
        return next((target for low, high, target in self.moves[state] if low <= point <= high), _DEAD)

    def __and__(self, other: Automaton) -> Automaton:
        return _product(self, other, lambda one, two: one in self.accepting and two in other.accepting)

    def __sub__(self, other: Automaton) -> Automaton:
        return _product(self, other, lambda one, two: one in self.accepting and two not in other.accepting)


def lengths(least: int, most: int | None) -> Automaton:
    """All strings of so many characters. Raises TooLarge."""
    states = (least if most is None else most) + 1
    if states > MOST_STATES:
        raise TooLarge
    chain = [((0, LAST, place + 1),) for place in range(states - 1)]
    last: tuple[tuple[int, int, int], ...] = ((0, LAST, states - 1),) if most is None else ()
    return Automaton((*chain, last), frozenset(range(least, states)))


def words(texts: Iterable[str]) -> Automaton:
    """Exactly these."""
    moves: list[dict[int, int]] = [{}]
    accepting = set()
    for text in texts:
        state = 0
        for character in text:
            if ord(character) not in moves[state]:
                moves[state][ord(character)] = len(moves)
                moves.append({})
            state = moves[state][ord(character)]
        accepting.add(state)
    ordered = tuple(tuple((point, point, to) for point, to in sorted(each.items())) for each in moves)
    return Automaton(ordered, frozenset(accepting))


def explore(
    start: _State,
    moves_of: Callable[[_State], Sequence[tuple[int, int, _State]]],
    is_accepting: Callable[[_State], bool],
) -> Automaton:
    """The automaton whose states are found from the first; those that lead nowhere are left out. Raises TooLarge."""
    numbers = {start: 0}
    pending = [start]
    moves: list[list[tuple[int, int, int]]] = []
    while len(moves) < len(pending):
        found = []
        for low, high, target in moves_of(pending[len(moves)]):
            if target not in numbers:
                numbers[target] = len(pending)
                pending.append(target)
                if len(pending) > MOST_STATES:
                    raise TooLarge
            found.append((low, high, numbers[target]))
        moves.append(found)
    return _trimmed(moves, {numbers[state] for state in pending if is_accepting(state)})


def _trimmed(moves: Sequence[Sequence[tuple[int, int, int]]], accepting: set[int]) -> Automaton:
    sources: dict[int, set[int]] = {}
    for state, found in enumerate(moves):
        for _, _, target in found:
            sources.setdefault(target, set()).add(state)
    alive, pending = set(accepting), list(accepting)
    while pending:
        for source in sources.get(pending.pop(), ()):
            if source not in alive:
                alive.add(source)
                pending.append(source)
    kept = [0, *(state for state in range(1, len(moves)) if state in alive)]
    new = {state: number for number, state in enumerate(kept)}
    return Automaton(
        tuple(
            tuple((low, high, new[target]) for low, high, target in moves[state] if target in alive)
            for state in kept
        ),
        frozenset(new[state] for state in accepting),
    )


def _product(one: Automaton, two: Automaton, accepts: Callable[[int, int], bool]) -> Automaton:
    def moves_of(pair: tuple[int, int]) -> list[tuple[int, int, tuple[int, int]]]:
        left, right = pair
        found: list[tuple[int, int, tuple[int, int]]] = []
        for low, high, target in one.moves[left]:
            found += [(first, last, (target, to)) for first, last, to in _within(two, right, low, high)]
        return found

    return explore((0, 0), moves_of, lambda pair: accepts(*pair))


def _within(automaton: Automaton, state: int, low: int, high: int) -> list[tuple[int, int, int]]:
    """The state's moves over all of the interval; where it has none, to nowhere."""
    found = []
    for first, last, target in automaton.moves[state] if state != _DEAD else ():
        if last < low or first > high:
            continue
        if low < first:
            found.append((low, first - 1, _DEAD))
        found.append((max(first, low), min(last, high), target))
        low = min(last, high) + 1
    return [*found, (low, high, _DEAD)] if low <= high else found
