"""What the page of the guarantee says of upgrades under load."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def text(found: Mapping[str, Any]) -> str:
    """Markdown without a heading."""
    about, courses = found["about"], found["courses"]
    sums = {
        name: sum(course["numbers"].get(name, 0) for course in courses) for name in ("tasks", "lost", "wrong")
    }
    head = (
        f"**{sums['tasks']:,} tasks while workers of an earlier commit were replaced by those of {about['commit']}, and "
        f"back: {sums['lost']} lost, {sums['wrong']} answered wrongly.**"
    )
    lines = [
        head,
        "Where the earlier version or the mode has no transactions a task may be answered twice.",
        "",
        *(f"- {name}: {value}" for name, value in about.items() if name not in {"command", "seed"}),
        f"- command: `{about['command']}`",
        "",
        "| course | begins with | what was done while tasks came in | tasks | lost | wrong | answered twice | holds |",
        "|---|---|---|--:|--:|--:|--:|---|",
        *map(_row, courses),
    ]
    wrong = [f"- {course['course']}: {sentence}" for course in courses for sentence in course["wrong"]]
    return "\n".join([*lines, *([""] if wrong else []), *wrong]) + "\n"


def _row(course: Mapping[str, Any]) -> str:
    begins, numbers = course["begins"], course["numbers"]
    since = begins["commits_since"]
    origin = f"{begins['commit']}, {begins['date']}, {since} commits before" if since else "the same commit"
    counts = [f"{numbers.get(name, 0):,}" for name in ("tasks", "lost", "wrong", "answered twice")]
    held = "**no**" if course["wrong"] else "yes"
    return f"| {' | '.join([course['course'], origin, '; '.join(course['steps']), *counts, held])} |"
