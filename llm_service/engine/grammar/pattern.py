"""Regular expressions of JSON Schema as automata.

What is taken: literals, classes, ``.``, groups, alternatives, repetitions, ``^`` and ``$``. What a class would match of
scripts beyond ASCII is left out where Python and ECMAScript differ about it: an answer may be narrower than its pattern
allows, never wider.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise

from llm_service.engine.grammar.automaton import LAST, Automaton, Interval, TooLarge, explore

# Outside of all characters: the string is looked at as if it had a mark at each end, which ^ and $ match.
_BEGIN, _END = -1, LAST + 1
_MOST_NODES = 20_000
_DIGITS: tuple[Interval, ...] = ((48, 57),)
_WORD: tuple[Interval, ...] = ((48, 57), (65, 90), (95, 95), (97, 122))
_SPACE: tuple[Interval, ...] = ((9, 13), (32, 32))
_CYRILLIC: Interval = (0x410, 0x44F)
# A complement beyond ASCII has characters that one engine calls a digit or a space and another does not; of letters
# there is no doubt.
_SHORTHANDS: dict[str, tuple[Interval, ...]] = {
    "d": _DIGITS,
    "w": _WORD,
    "s": _SPACE,
    "D": ((32, 47), (58, 126), _CYRILLIC),
    "W": ((32, 47), (58, 64), (91, 94), (96, 96), (123, 126)),
    "S": ((33, 126), _CYRILLIC),
}
_CONTROLS = {"n": 10, "r": 13, "t": 9, "f": 12, "v": 11, "0": 0}
# Everything but line ends (either engine's idea of them) and the code points that are no characters.
_DOT: tuple[Interval, ...] = ((0, 9), (14, 0x84), (0x86, 0x2027), (0x202A, 0xD7FF), (0xE000, LAST))
_SIGNS: dict[str, tuple[Interval, ...]] = {".": _DOT, "^": ((_BEGIN, _BEGIN),), "$": ((_END, _END),)}
_ANY: tuple[Interval, ...] = ((_BEGIN, _END),)


class PatternUnsupported(ValueError):  # named for what happened
    """The pattern has something that is no regular language, or is not taken here."""


@dataclass(slots=True)
class _Node:
    """A state of the automaton before it is made deterministic."""

    free: list[int]
    moves: list[tuple[Interval, int]]


@dataclass(frozen=True, slots=True)
class _Part:
    """A piece of it, from one state to another."""

    begin: int
    end: int


@lru_cache(maxsize=256)
def pattern_automaton(pattern: str) -> Automaton:
    """The strings in which the pattern is found, as JSON Schema has it. Raises PatternUnsupported, TooLarge."""
    reader = _Reader(pattern)
    around = reader.repeated(lambda: reader.characters(_ANY), 0, None)
    part = reader.joined([around, reader.whole(), reader.repeated(lambda: reader.characters(_ANY), 0, None)])
    return _between_marks(_determined(reader.nodes, part))


class _Reader:
    """Reads a pattern and builds the automaton on the way."""

    def __init__(self, pattern: str) -> None:
        self.nodes: list[_Node] = []
        self._pattern = pattern
        self._at = 0

    def whole(self) -> _Part:
        part = self._alternatives()
        if self._at < len(self._pattern):
            raise PatternUnsupported(f"')' at {self._at} closes nothing")
        return part

    # --- building ---------------------------------------------------------------------------------

    def characters(self, intervals: Iterable[Interval]) -> _Part:
        part = _Part(self._node(), self._node())
        self.nodes[part.begin].moves += [(interval, part.end) for interval in intervals]
        return part

    def joined(self, parts: list[_Part]) -> _Part:
        if not parts:
            node = self._node()
            return _Part(node, node)
        for left, right in pairwise(parts):
            self.nodes[left.end].free.append(right.begin)
        return _Part(parts[0].begin, parts[-1].end)

    def repeated(self, make: Callable[[], _Part], least: int, most: int | None) -> _Part:
        """``make`` builds the piece once more: each repetition has states of its own."""
        parts = [make() for _ in range(least)]
        if most is None:
            loop = make()
            hub = _Part(self._node(), self._node())
            self.nodes[hub.begin].free += [loop.begin, hub.end]
            self.nodes[loop.end].free += [loop.begin, hub.end]
            return self.joined([*parts, hub])
        end = self._node()
        for _ in range(most - least):
            optional = make()
            entrance = _Part(self._node(), optional.end)
            self.nodes[entrance.begin].free += [optional.begin, end]
            parts.append(entrance)
        return self.joined([*parts, _Part(end, end)])

    def _node(self) -> int:
        if len(self.nodes) >= _MOST_NODES:
            raise TooLarge
        self.nodes.append(_Node([], []))
        return len(self.nodes) - 1

    # --- reading ----------------------------------------------------------------------------------

    def _alternatives(self) -> _Part:
        parts = [self._sequence()]
        while self._takes("|"):
            parts.append(self._sequence())
        if len(parts) == 1:
            return parts[0]
        both = _Part(self._node(), self._node())
        for part in parts:
            self.nodes[both.begin].free.append(part.begin)
            self.nodes[part.end].free.append(both.end)
        return both

    def _sequence(self) -> _Part:
        parts = []
        while self._at < len(self._pattern) and self._pattern[self._at] not in "|)":
            parts.append(self._repetition())
        return self.joined(parts)

    def _repetition(self) -> _Part:
        begin = self._at
        part = self._atom()
        bounds = self._bounds()
        if bounds is None:
            return part

        def again() -> _Part:
            after, self._at = self._at, begin
            made = self._atom()
            self._at = after
            return made

        return self.repeated(again, *bounds)

    def _bounds(self) -> tuple[int, int | None] | None:
        signs: dict[str, tuple[int, int | None]] = {"*": (0, None), "+": (1, None), "?": (0, 1)}
        sign = self._pattern[self._at : self._at + 1]
        if sign in signs and sign:
            self._at += 1
            bounds = signs[sign]
        elif sign == "{":
            close = self._pattern.find("}", self._at)
            least, comma, most = self._pattern[self._at + 1 : close].partition(",")
            if close < 0 or not least.isdigit() or not (most.isdigit() or not most):
                raise PatternUnsupported(f"'{{' at {self._at} is no repetition")
            self._at = close + 1
            bounds = (int(least), int(most) if most else None if comma else int(least))
        else:
            return None
        if self._takes("+"):
            raise PatternUnsupported("possessive repetition")
        self._takes("?")  # lazy or not, the same strings match
        return bounds

    def _atom(self) -> _Part:
        sign = self._read()
        if sign == "(":
            return self._group()
        if sign in "*+?":
            raise PatternUnsupported(f"'{sign}' at {self._at - 1} repeats nothing")
        if sign == "[":
            return self.characters(self._class())
        if sign == "\\":
            return self.characters(self._escape(in_class=False))
        return self.characters(_SIGNS.get(sign) or [(ord(sign), ord(sign))])

    def _group(self) -> _Part:
        if self._takes("?"):
            if self._takes("P<") or (self._pattern[self._at :][:1] == "<" and self._is_name()):
                self._at = self._pattern.index(">", self._at) + 1
            elif not self._takes(":"):
                raise PatternUnsupported("a look around, a reference or flags")
        part = self._alternatives()
        if not self._takes(")"):
            raise PatternUnsupported("'(' is not closed")
        return part

    def _is_name(self) -> bool:
        return (
            self._pattern[self._at + 1 : self._at + 2] not in ("=", "!") and ">" in self._pattern[self._at :]
        )

    def _class(self) -> list[Interval]:
        is_negated = self._takes("^")
        found: list[Interval] = []
        while not (found and self._takes("]")):
            low = self._member()
            following = self._pattern[self._at + 1 : self._at + 2]
            if (
                len(low) == 1
                and low[0][0] == low[0][1]
                and self._pattern[self._at : self._at + 1] == "-"
                and following != "]"
            ):
                self._at += 1
                high = self._member()
                if len(high) != 1 or high[0][0] != high[0][1] or high[0][0] < low[0][0]:
                    raise PatternUnsupported("a range in a class ends before it begins")
                found.append((low[0][0], high[0][0]))
            else:
                found += low
        return list(_outside(found)) if is_negated else found

    def _member(self) -> list[Interval]:
        sign = self._read()
        if sign == "\\":
            return self._escape(in_class=True)
        if sign == "[" and self._pattern[self._at : self._at + 1] in (":", "["):
            raise PatternUnsupported("a class within a class")
        return [(ord(sign), ord(sign))]

    def _escape(self, *, in_class: bool) -> list[Interval]:
        sign = self._read()
        if sign in _SHORTHANDS:
            return list(_SHORTHANDS[sign])
        if sign in _CONTROLS:
            return [(_CONTROLS[sign], _CONTROLS[sign])]
        if sign in ("x", "u"):
            size = 2 if sign == "x" else 4
            digits = self._pattern[self._at : self._at + size]
            try:
                point = int(digits, 16)
            except ValueError:
                raise PatternUnsupported(f"\\{sign} without its digits") from None
            self._at += size
            return [(point, point)]
        if sign == "b" and in_class:
            return [(8, 8)]
        if sign.isalnum():
            raise PatternUnsupported(f"\\{sign}")
        return [(ord(sign), ord(sign))]

    def _read(self) -> str:
        if self._at >= len(self._pattern):
            raise PatternUnsupported("the pattern ends in the middle")
        self._at += 1
        return self._pattern[self._at - 1]

    def _takes(self, sign: str) -> bool:
        if not self._pattern.startswith(sign, self._at):
            return False
        self._at += len(sign)
        return True


def _outside(intervals: list[Interval]) -> Iterator[Interval]:
    low = 0
    for first, last in sorted(intervals):
        if first > low:
            yield (low, first - 1)
        low = max(low, last + 1)
    if low <= LAST:
        yield (low, LAST)


def _determined(nodes: list[_Node], part: _Part) -> Automaton:
    def closed(states: Iterable[int]) -> frozenset[int]:
        found, pending = set(), list(states)
        while pending:
            state = pending.pop()
            if state not in found:
                found.add(state)
                pending += nodes[state].free
        return frozenset(found)

    def moves_of(states: frozenset[int]) -> list[tuple[int, int, frozenset[int]]]:
        moves = [move for state in states for move in nodes[state].moves]
        cuts = sorted({low for (low, _), _ in moves} | {high + 1 for (_, high), _ in moves})
        found: list[tuple[int, int, frozenset[int]]] = []
        for low, above in pairwise(cuts):
            targets = {target for (first, last), target in moves if first <= low and above - 1 <= last}
            if targets:
                found.append((low, above - 1, closed(targets)))
        return found

    return explore(closed([part.begin]), moves_of, lambda states: part.end in states)


def _between_marks(marked: Automaton) -> Automaton:
    """The same without the marks at its ends."""

    def moves_of(state: int) -> list[tuple[int, int, int]]:
        return [
            (max(low, 0), min(high, LAST), target)
            for low, high, target in marked.moves[state]
            if high >= 0 and low <= LAST
        ]

    start = marked.next(0, _BEGIN)
    if start < 0:
        return Automaton(((),), frozenset())
    return explore(start, moves_of, lambda state: marked.next(state, _END) in marked.accepting)
