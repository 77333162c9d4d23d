"""What a JSON Schema is made of: the schemas inside it, by pointer, and where its references lead.

Values that a schema holds as data (``enum``, ``const``, ``default``, ``examples``) are no schemas, whatever is in them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TypeAlias
from urllib.parse import quote, unquote

Pointer: TypeAlias = tuple[str, ...]
"""The steps from the top of the document, unescaped."""

_ONE = frozenset(
    {
        "additionalProperties",
        "contains",
        "contentSchema",
        "else",
        "if",
        "items",
        "not",
        "propertyNames",
        "then",
        "unevaluatedItems",
        "unevaluatedProperties",
    }
)
_LISTS = frozenset({"allOf", "anyOf", "oneOf", "prefixItems"})
_MAPS = frozenset({"$defs", "definitions", "dependentSchemas", "patternProperties", "properties"})


def below(schema: object) -> Iterator[tuple[Pointer, object]]:
    """The schemas directly inside one, each with the steps to it."""
    if not isinstance(schema, Mapping):
        return
    for keyword, value in schema.items():
        if keyword in _ONE:
            yield (keyword,), value
        elif keyword in _LISTS and isinstance(value, list):
            yield from (((keyword, str(place)), each) for place, each in enumerate(value))
        elif keyword in _MAPS and isinstance(value, Mapping):
            yield from (((keyword, str(name)), each) for name, each in value.items())


class SchemaTree:
    """A schema with all schemas that it uses: those inside it, and those that its references lead to."""

    def __init__(self, root: object) -> None:
        self.root = root
        self.nodes: dict[Pointer, object] = {}
        self.lost: list[str] = []
        """References that lead nowhere."""
        self._anchors: dict[str, Pointer] = {}
        self._walk((), root)
        self.has_own_scopes = any(
            isinstance(node, Mapping) and "$id" in node for place, node in self.nodes.items() if place
        )
        """Whether a schema inside it has an address of its own, by which references in it are meant."""
        if not self.has_own_scopes:
            self._follow()

    def target(self, reference: str) -> Pointer | None:
        """Where a reference of this document leads; None for nowhere, and for one that leads outside."""
        if not reference.startswith("#"):
            return None
        pointer = unquote(reference[1:])
        if pointer and not pointer.startswith("/"):
            return self._anchors.get(pointer)
        steps = tuple(step.replace("~1", "/").replace("~0", "~") for step in pointer.split("/")[1:])
        return steps if self._at(steps) is not None else None

    def _at(self, steps: Pointer) -> object | None:
        """A schema; None where there is nothing, or nothing that is a schema."""
        found = self.root
        for step in steps:
            try:
                found = found[int(step)] if isinstance(found, list) else found[step]  # type: ignore[index]
            except (KeyError, IndexError, ValueError, TypeError):
                return None
        return found if isinstance(found, Mapping | bool) else None

    def _walk(self, place: Pointer, schema: object) -> None:
        pending = [(place, schema)]
        while pending:
            at, node = pending.pop()
            if at in self.nodes:
                continue
            self.nodes[at] = node
            if isinstance(node, Mapping):
                for keyword in ("$anchor", "$dynamicAnchor"):
                    if isinstance(name := node.get(keyword), str):
                        self._anchors.setdefault(name, at)
            pending.extend(((*at, *steps), each) for steps, each in below(node))

    def _follow(self) -> None:
        """A reference may lead to a place that no keyword names, so that what is there is walked too."""
        seen: set[str] = set()
        pending = list(self.nodes.values())
        while pending:
            node = pending.pop()
            for reference in _references(node):
                if reference in seen:
                    continue
                seen.add(reference)
                there = self.target(reference)
                if there is None:
                    self.lost.append(reference)
                elif there not in self.nodes:
                    known = len(self.nodes)
                    self._walk(there, self._at(there))
                    pending.extend(list(self.nodes.values())[known:])


def _references(node: object) -> Iterator[str]:
    if isinstance(node, Mapping):
        found = (node.get(keyword) for keyword in ("$ref", "$dynamicRef"))
        yield from (each for each in found if isinstance(each, str) and each.startswith("#"))


def fragment(place: Pointer) -> str:
    """A pointer as the part of an address behind ``#``."""
    return "".join("/" + quote(step.replace("~", "~0").replace("/", "~1"), safe="~") for step in place)


def shown(place: Pointer) -> str:
    """A pointer as a reader of the schema would say it: ``properties.age``; ``(top)`` for the whole."""
    return ".".join(place)[:120] or "(top)"
