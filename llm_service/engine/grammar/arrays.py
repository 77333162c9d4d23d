"""Arrays of a schema as rules."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from llm_service.engine.grammar.findings import Findings, Impossible
from llm_service.engine.grammar.merging import Schema
from llm_service.engine.grammar.rules import Rules, json_literal
from llm_service.engine.grammar.texts import MOST_REPETITIONS

# Each set of values that are used already is a rule: 2 to the power of this many.
_MOST_UNIQUE = 8
_COMMA = 'ws "," ws'


@dataclass(frozen=True, slots=True)
class ArrayMaker:
    """Makes the rules of one array."""

    rule_of: Callable[[Any, str], str]
    """The rule of a schema at a place. Raises Impossible."""
    values_of: Callable[[Any, str], list[Any] | None]
    """All values of a schema that has few, else None."""
    rules: Rules
    findings: Findings

    def rule(self, schema: Schema, place: str) -> str:
        """Raises Impossible."""
        self.rules.shared("ws")
        least, most = int(schema.get("minItems", 0)), schema.get("maxItems")
        firsts = list(schema.get("prefixItems", ()))
        rest = schema.get("items", schema.get("unevaluatedItems", not firsts))
        firsts, least = self._containing(schema, firsts, rest, least, place)
        if most is not None and least > most:
            raise Impossible(f"minItems is above maxItems at {place}")
        if schema.get("uniqueItems") and (most is None or most > 1):
            unique = None if firsts else self._unique(rest, least, most, place)
            if unique is not None:
                return unique
            self.findings.add("uniqueItems", place, "only items of a few values are kept apart")
        return self._in_order(firsts, rest, least, most, place)

    def _containing(
        self, schema: Schema, firsts: list[Any], rest: Any, least: int, place: str
    ) -> tuple[list[Any], int]:
        """What the array has to contain comes first: an order that JSON Schema leaves open."""
        if "contains" not in schema:
            return firsts, least
        wanted = int(schema.get("minContains", 1))
        if "maxContains" in schema:
            self.findings.add("maxContains", place, "the other items may be such too")
        added = [{"allOf": [rest, schema["contains"]]}] * wanted
        return [*firsts, *added], max(least, len(firsts) + wanted) if wanted else least

    def _unique(self, rest: Any, least: int, most: int | None, place: str) -> str | None:
        values = self.values_of(rest, f"{place}/items")
        if values is None or len(values) > _MOST_UNIQUE:
            return None
        distinct = list({json.dumps(value, sort_keys=True): value for value in values}.values())
        if least > len(distinct):
            raise Impossible(f"there are fewer values than minItems at {place}")
        made: dict[frozenset[int], str] = {}

        def after(used: frozenset[int]) -> str:
            if used not in made:
                ways = ['""'] if len(used) >= least else []
                if most is None or len(used) < most:
                    left = [number for number in range(len(distinct)) if number not in used]
                    comma = f"{_COMMA} " if used else ""
                    ways += [f"{comma}{json_literal(distinct[each])} {after(used | {each})}" for each in left]
                made[used] = self.rules.add(" | ".join(ways) or '""')
            return made[used]

        return self.rules.add(f'"[" ws {after(frozenset())} ws "]"')

    def _in_order(self, firsts: list[Any], rest: Any, least: int, most: int | None, place: str) -> str:
        if most is not None:
            firsts = firsts[:most]
        leading = []
        for number, schema in enumerate(firsts):
            try:
                leading.append(self.rule_of(schema, f"{place}/prefixItems/{number}"))
            except Impossible:
                if number < least:
                    raise
                most = number
                break
        more = self._more(rest, max(0, least - len(leading)), most, len(leading), place)
        # From the last one back: each may be the end where there are enough.
        body = more
        for number in reversed(range(len(leading))):
            comma = f"{_COMMA} " if number else ""
            body = self.rules.add(f"{comma}{leading[number]} {body}" + (' | ""' if number >= least else ""))
        return self.rules.add(f'"[" ws {body} ws "]"')

    def _more(self, rest: Any, least: int, most: int | None, before: int, place: str) -> str:
        room = None if most is None else most - before
        try:
            item = self.rule_of(rest, f"{place}/items") if room != 0 else ""
        except Impossible:
            item = ""
        if not item:
            if least:
                raise Impossible(f"minItems is above the items there can be at {place}")
            return self.rules.add('""')
        if least > MOST_REPETITIONS or (room is not None and room > MOST_REPETITIONS):
            keyword = "minItems" if least > MOST_REPETITIONS else "maxItems"
            self.findings.add(keyword, place, f"more than {MOST_REPETITIONS} can't be counted")
            least, room = min(least, MOST_REPETITIONS), None
        return self.rules.add(_repetition(item, least, room, is_first=not before))


def _repetition(item: str, least: int, most: int | None, *, is_first: bool) -> str:
    def times(low: int, high: int | None) -> str:
        return f"({_COMMA} {item}){{{low},{'' if high is None else high}}}"

    if not is_first:
        return times(least, most)
    more = f"{item} {times(max(0, least - 1), None if most is None else most - 1)}"
    return more if least else f'{more} | ""'
