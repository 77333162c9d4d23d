"""The book of a grammar's rules, in GBNF."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator

from llm_service.engine.grammar.automaton import Automaton

# What is free between the tokens of JSON. Without a bound a model may write spaces for ever.
_SPACE = 'ws ::= | " " | "\\n" [ \\t]{0,20}'
# Characters of a string: as they are, or by an escape; no half of a surrogate pair.
_CHARACTER = (
    r'char ::= [^"\\\x00-\x1F\x7F\uD800-\uDFFF] | "\\" (["\\/bfnrt] | "u" '
    r'([1-9a-cefA-CEF] hex hex hex | [dD] [0-7] hex hex | "0" ([1-9a-fA-F] hex hex | "0" [2-9a-fA-F] hex)))'
)
_NUMBER = r'number ::= "-"? ("0" | [1-9] [0-9]{0,14}) ("." [0-9]{1,15})? ([eE] [+-]? [1-9]? [0-9])?'
_INTEGER = r'integer ::= "0" | "-"? [1-9] [0-9]{0,14}'
_SHARED: dict[str, tuple[str, tuple[str, ...]]] = {
    "ws": (_SPACE, ()),
    "hex": ("hex ::= [0-9a-fA-F]", ()),
    "char": (_CHARACTER, ("hex",)),
    "string": (r'string ::= "\"" char* "\""', ("char",)),
    "number": (_NUMBER, ()),
    "integer": (_INTEGER, ()),
    "boolean": ('boolean ::= "true" | "false"', ()),
    "null": ('null ::= "null"', ()),
    "pair": ('pair ::= string ws ":" ws value', ("string", "ws", "value")),
    "object": ('object ::= "{" ws (pair (ws "," ws pair)* ws)? "}"', ("pair", "ws")),
    "array": ('array ::= "[" ws (value (ws "," ws value)* ws)? "]"', ("value", "ws")),
    "value": (
        "value ::= object | array | string | number | boolean | null",
        ("object", "array", "string", "number", "boolean", "null"),
    ),
}
_ESCAPES = {0x22: '\\"', 0x5C: "\\\\", 8: "\\b", 9: "\\t", 10: "\\n", 12: "\\f", 13: "\\r"}
# What stands in a JSON string as it is. DEL does too, and is left out as no text has it.
_PLAIN = ((0x20, 0x21), (0x23, 0x5B), (0x5D, 0x7E), (0x80, 0xD7FF), (0xE000, 0x10FFFF))
# The parser of llama.cpp and its stacks take this many; above, a schema is too much for one answer.
MOST_RULES = 20_000
NOTHING = '""'


class GrammarTooLarge(Exception):  # named for what happened
    """The grammar would have more rules than can be read in a moment."""


class Rules:
    """Rules by name; a rule that exists already is not written again."""

    def __init__(self) -> None:
        self._bodies: dict[str, str] = {}
        self._names: dict[str, str] = {}
        self._shared: dict[str, None] = {}

    def shared(self, name: str) -> str:
        """A rule that every grammar may use."""
        if name not in self._shared:
            self._shared[name] = None
            for needed in _SHARED[name][1]:
                self.shared(needed)
        return name

    def reserve(self) -> str:
        """A name whose body comes later."""
        if len(self._bodies) >= MOST_RULES:
            raise GrammarTooLarge
        name = f"r{len(self._bodies)}"
        self._bodies[name] = ""
        return name

    def write(self, name: str, body: str) -> None:
        self._bodies[name] = body

    def add(self, body: str) -> str:
        """The name of a rule with this body."""
        if body not in self._names:
            name = self.reserve()
            self.write(name, body)
            self._names[body] = name
        return self._names[body]

    def string(self, automaton: Automaton) -> str:
        """A rule for the JSON strings whose content the automaton takes."""
        return self._states(automaton, '"\\""', _in_string, '"\\"" ')

    def bare(self, automaton: Automaton) -> str:
        """A rule for what the automaton takes, as it is."""
        return self._states(automaton, '""', _as_is, "")

    def text(self, root: str) -> str:
        """The grammar."""
        # A name without a body was reserved for what turned out impossible: nothing leads there.
        lines = [
            f"root ::= {root}",
            *(f"{name} ::= {body or NOTHING}" for name, body in self._bodies.items()),
        ]
        return "\n".join([*lines, *(_SHARED[name][0] for name in self._shared)]) + "\n"

    def _states(
        self,
        automaton: Automaton,
        end: str,
        spelled: Callable[[Iterable[tuple[int, int]]], Iterator[str]],
        begin: str,
    ) -> str:
        names = [self.reserve() for _ in automaton.moves]
        for state, moves in enumerate(automaton.moves):
            by_target: dict[int, list[tuple[int, int]]] = {}
            for low, high, target in moves:
                by_target.setdefault(target, []).append((low, high))
            ways = [
                f"{way} {names[target]}"
                for target, intervals in by_target.items()
                for way in spelled(intervals)
            ]
            self.write(names[state], " | ".join([*ways, *([end] if state in automaton.accepting else [])]))
        return self.add(f"{begin}{names[0]}") if begin else names[0]


def literal(text: str) -> str:
    """The text as GBNF's literal."""
    return '"' + "".join(_point(ord(character)) for character in text) + '"'


def json_literal(value: object) -> str:
    """The value's JSON as GBNF's literal."""
    return literal(json.dumps(value, ensure_ascii=False, separators=(", ", ": ")))


def _in_string(intervals: Iterable[tuple[int, int]]) -> Iterator[str]:
    intervals = list(intervals)
    plain = [
        (max(low, first), min(high, last))
        for low, high in intervals
        for first, last in _PLAIN
        if low <= last and high >= first
    ]
    if plain:
        yield _class(plain)
    for point, escape in _ESCAPES.items():
        if any(low <= point <= high for low, high in intervals):
            yield literal(escape)


def _as_is(intervals: Iterable[tuple[int, int]]) -> Iterator[str]:
    yield _class(intervals)


def _class(intervals: Iterable[tuple[int, int]]) -> str:
    ranges = (_point(low) if low == high else f"{_point(low)}-{_point(high)}" for low, high in intervals)
    return "[" + "".join(ranges) + "]"


def _point(point: int) -> str:
    """A character that means nothing of its own, in a literal or a class."""
    if chr(point).isascii() and (chr(point).isalnum() or chr(point) in " _:,.{}"):
        return chr(point)
    if point < 0x100:
        return f"\\x{point:02X}"
    return f"\\u{point:04X}" if point < 0x10000 else f"\\U{point:08X}"
