"""Objects of a schema as rules: declared properties in their order, then those that patterns and the rest allow."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from llm_service.engine.grammar.automaton import Automaton, TooLarge, lengths, words
from llm_service.engine.grammar.findings import Findings, Impossible
from llm_service.engine.grammar.merging import Schema
from llm_service.engine.grammar.pattern import PatternUnsupported, pattern_automaton
from llm_service.engine.grammar.rules import Rules, json_literal
from llm_service.engine.grammar.texts import MOST_REPETITIONS

# A key that nobody declared: long enough for a name.
_KEY_CHARACTERS = 40
_COLON = 'ws ":" ws'


@dataclass(frozen=True, slots=True)
class _Property:
    """A declared property: the rule for its key and value."""

    rule: str
    is_required: bool


@dataclass(frozen=True, slots=True)
class ObjectMaker:
    """Makes the rules of one object."""

    rule_of: Callable[[Any, str], str]
    """The rule of a schema at a place. Raises Impossible."""
    is_valid: Callable[[Any, Any], bool]
    rules: Rules
    findings: Findings

    def rule(self, schema: Schema, place: str) -> str:
        """Raises Impossible."""
        self.rules.shared("ws")
        patterns = self._patterns(schema, place)
        declared = self._declared(schema, patterns, place)
        others = self._others(schema, patterns, set(schema.get("properties", {})), place)
        least, most = int(schema.get("minProperties", 0)), schema.get("maxProperties")
        required = sum(each.is_required for each in declared)
        least = least if least > required else 0
        if most is not None and most < required:
            raise Impossible(f"more properties are required than maxProperties at {place}")
        if least > len(declared):
            if others is None:
                raise Impossible(f"minProperties is above the properties there are at {place}")
            if least > len(declared) + 1:
                self.findings.add("minProperties", place, "names that nobody declared may come twice")
        return self._sequence(declared, others, least, most)

    # --- properties ---------------------------------------------------------------------------------

    def _declared(self, schema: Schema, patterns: Mapping[str, Automaton], place: str) -> list[_Property]:
        properties = dict(schema.get("properties", {}))
        required = schema.get("required", ())
        for name in required:
            properties.setdefault(name, self._undeclared(schema, patterns, name))
        names = schema.get("propertyNames", True)
        found = []
        for name, own in properties.items():
            both = [
                own,
                *(schema["patternProperties"][each] for each in patterns if patterns[each].takes(name)),
            ]
            try:
                if names is not True and not self.is_valid(name, names):
                    raise Impossible(f"propertyNames refuses {name!r} at {place}")
                value = self.rule_of(own if len(both) == 1 else {"allOf": both}, f"{place}/properties/{name}")
            except Impossible:
                if name in required:
                    raise
                continue
            found.append(_Property(f"{json_literal(name)} {_COLON} {value}", name in required))
        return found

    def _undeclared(self, schema: Schema, patterns: Mapping[str, Automaton], name: str) -> Any:
        if any(automaton.takes(name) for automaton in patterns.values()):
            return True
        return schema.get("additionalProperties", schema.get("unevaluatedProperties", True))

    def _patterns(self, schema: Schema, place: str) -> dict[str, Automaton]:
        found = {}
        for pattern in schema.get("patternProperties", {}):
            try:
                found[pattern] = pattern_automaton(pattern)
            except (PatternUnsupported, TooLarge) as error:
                self.findings.add("patternProperties", place, f"{pattern!r}: {str(error) or 'too large'}")
        return found

    def _others(
        self, schema: Schema, patterns: Mapping[str, Automaton], declared: set[str], place: str
    ) -> str | None:
        """A rule for one more property under a name that is not declared; None where there is none.

        Where the schema does not speak of them they are allowed by JSON Schema, and left out here all the same: whoever
        lists properties means these.
        """
        rest = schema.get(
            "additionalProperties", schema.get("unevaluatedProperties", not schema.get("properties"))
        )
        ways = []
        try:
            keys = self._keys(schema, declared, place)
            for pattern, automaton in patterns.items():
                mine = keys & automaton
                for other in patterns:
                    if other != pattern:
                        mine -= patterns[other]
                ways.append(
                    self._way(
                        mine, schema["patternProperties"][pattern], f"{place}/patternProperties/{pattern}"
                    )
                )
            if rest is not False:
                for automaton in patterns.values():
                    keys -= automaton
                ways.append(self._way(keys, rest, f"{place}/additionalProperties"))
        except TooLarge:
            self.findings.add(
                "additionalProperties", place, "the automaton for their names would be too large"
            )
            return None
        possible = [way for way in ways if way is not None]
        return self.rules.add(" | ".join(possible)) if possible else None

    def _keys(self, schema: Schema, declared: set[str], place: str) -> Automaton:
        keys = lengths(1, _KEY_CHARACTERS) - words({*declared, *schema.get("required", ())})
        names = schema.get("propertyNames", True)
        if isinstance(names, Mapping):
            if set(names) <= {"pattern", "type"} and "pattern" in names:
                try:
                    return keys & pattern_automaton(names["pattern"])
                except PatternUnsupported as error:
                    self.findings.add("propertyNames", place, str(error))
            elif set(names) <= {"enum", "type"} and "enum" in names:
                return keys & words(name for name in names["enum"] if isinstance(name, str))
            elif set(names) <= {"minLength", "maxLength", "type"}:
                return keys & lengths(names.get("minLength", 0), names.get("maxLength"))
            else:
                self.findings.add("propertyNames", place, "only one pattern, an enum or lengths are kept")
        return keys

    def _way(self, keys: Automaton, schema: Any, place: str) -> str | None:
        if keys.is_empty:
            return None
        try:
            value = self.rule_of(schema, place)
        except Impossible:
            return None
        return f"{self.rules.string(keys)} {_COLON} {value}"

    # --- their sequence -----------------------------------------------------------------------------

    def _sequence(self, declared: list[_Property], others: str | None, least: int, most: int | None) -> str:
        """Rules by place in the list and number of properties written; only counted as far as it matters."""
        counted = max(least, (most + 1) if most is not None else 0, 1)
        made: dict[tuple[int, int], str] = {}

        def rest(at: int, written: int) -> str | None:
            """The rule for what comes from the ``at``-th on, comma and all; None where nothing may."""
            if most is not None and written > most:
                return None
            if (at, written) not in made:
                body = tail(written) if at == len(declared) else following(at, written)
                if body is None:
                    return None
                made[at, written] = self.rules.add(body)
            return made[at, written]

        def following(at: int, written: int) -> str | None:
            each = declared[at]
            comma = 'ws "," ws ' if written else ""
            with_it = rest(at + 1, min(written + 1, counted))
            ways = [f"{comma}{each.rule} {with_it}"] if with_it is not None else []
            without = None if each.is_required else rest(at + 1, written)
            return " | ".join([*ways, *([without] if without is not None else [])]) or None

        def tail(written: int) -> str | None:
            low = max(0, least - written)
            high = None if most is None else most - written
            if others is None or high == 0:
                return None if low else '""'
            return _repeated(others, low, high, is_first=not written)

        body = rest(0, 0)
        if body is None:
            raise Impossible("no set of properties has the number that is wanted")
        return self.rules.add(f'"{{" ws {body} ws "}}"')


def _repeated(rule: str, least: int, most: int | None, *, is_first: bool) -> str:
    """The rule so often, with commas; the first without one where nothing was written before."""
    if most is not None and most > MOST_REPETITIONS:
        most = None
    if not is_first:
        return f'(ws "," ws {rule}){{{least},{"" if most is None else most}}}'
    more = f'(ws "," ws {rule}){{{max(0, least - 1)},{"" if most is None else most - 1}}}'
    return f"{rule} {more}" if least else f'({rule} {more} | "")'
