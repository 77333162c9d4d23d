"""Placeholders: ``{{name}}`` in a prompt's text becomes a value of the task.

One pass over the template: a value that holds ``{{text}}`` itself is put in as it is and never read again.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

KNOWN_NAMES = frozenset(
    {"text", "data", "filename", "filenames", "task_type", "task_id", "date", "language"},
)
"""``text`` and ``data`` are the task's own; ``filename`` is the first file's name, ``filenames`` all of them,
one a line; ``date`` is today in UTC as YYYY-MM-DD; ``language`` is the task's ``language`` field."""
METADATA_PREFIX = "metadata."
"""``metadata.<key>`` is that field of the task's metadata, unknown fields of its body included."""
SYSTEM_NAMES = frozenset({"date"})
"""All a system text may use: nothing in it comes from a task, so that no document can speak as the system."""

_PLACEHOLDER = re.compile(r"\{\{[ \t]{0,8}+([\w.\-]{1,100}+)[ \t]{0,8}+\}\}")


def render(template: str, values: Mapping[str, str]) -> str:
    """The template with each placeholder replaced by its value; a known name without a value is empty."""
    return _PLACEHOLDER.sub(lambda found: values.get(found[1], ""), template)


def placeholders(template: str) -> frozenset[str]:
    """The names a template uses; a task's ``text`` or ``data`` not among them goes along as a document."""
    return frozenset(found[1] for found in _PLACEHOLDER.finditer(template))


def template_problems(template: str, *, system: bool = False) -> list[str]:
    """What is wrong with a template, a short sentence each."""
    allowed = SYSTEM_NAMES if system else KNOWN_NAMES
    problems = [
        f"unknown placeholder {{{{{name}}}}} (known: {_known(allowed, metadata=not system)})"
        for name in sorted(placeholders(template) - allowed)
        if system or not (name.startswith(METADATA_PREFIX) and len(name) > len(METADATA_PREFIX))
    ]
    if "{{" in _PLACEHOLDER.sub("", template):
        problems.append("'{{' that begins no placeholder")
    return problems


def _known(names: frozenset[str], *, metadata: bool) -> str:
    return ", ".join([*sorted(names), *([f"{METADATA_PREFIX}<key>"] if metadata else [])])
