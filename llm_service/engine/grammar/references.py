"""Where a ``$ref`` leads: within the document, by pointer or by anchor."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import unquote

from llm_service.engine.grammar.findings import SchemaUnusable


def resolved(root: Any, reference: object) -> Any:
    """The schema that is meant. Raises SchemaUnusable."""
    if not isinstance(reference, str) or not reference.startswith("#"):
        raise SchemaUnusable(f"$ref {str(reference)[:100]!r} leads outside the schema.")
    pointer = unquote(reference[1:])
    if pointer and not pointer.startswith("/"):
        return _anchored(root, pointer)
    found = root
    for part in pointer.split("/")[1:]:
        step = part.replace("~1", "/").replace("~0", "~")
        try:
            found = found[int(step)] if isinstance(found, list) else found[step]
        except (KeyError, IndexError, ValueError, TypeError):
            raise SchemaUnusable(f"$ref {reference[:100]!r} leads nowhere.") from None
    return found


def _anchored(root: Any, name: str) -> Any:
    pending = [root]
    while pending:
        node = pending.pop()
        if isinstance(node, Mapping):
            if name in (node.get("$anchor"), node.get("$dynamicAnchor")):
                return node
            pending.extend(node.values())
        elif isinstance(node, list):
            pending.extend(node)
    raise SchemaUnusable(f"$ref '#{name[:100]}' leads nowhere.")
