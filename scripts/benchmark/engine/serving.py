"""A contestant's side of the talk: one line of JSON asks for answers, one tells what they took."""

from __future__ import annotations

import json
import resource
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Asked:
    """Answers that are wanted."""

    prompts: Sequence[list[int]]
    """As tokens."""
    tokens: int
    """Of each answer, at most."""
    together: bool = True
    """At once, where the contestant can."""
    grammar: str | None = None


@dataclass(frozen=True, slots=True)
class Found:
    """What a contestant wrote."""

    tokens: int
    texts: Sequence[str]
    more: dict[str, float] = field(default_factory=dict)


def serve(answer: Callable[[Asked], Found]) -> None:
    """Answer every line that comes; seconds are those of the answers alone."""
    for line in sys.stdin:
        asked = Asked(**json.loads(line))
        began, cpu = time.perf_counter(), _processor_s()
        found = answer(asked)
        told = {
            "tokens": found.tokens,
            "texts": found.texts,
            "seconds": time.perf_counter() - began,
            "cpu_s": _processor_s() - cpu,
            **found.more,
        }
        sys.stdout.write(json.dumps(told) + "\n")
        sys.stdout.flush()


def _processor_s() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime
