"""The parsers that are fuzzed, by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module

TARGETS: Mapping[str, str] = {
    "message": "messages of the tasks topic",
    "notification": "notifications of a bucket",
    "offset-map": "offset maps in commit metadata",
    "retry-after": "the Retry-After header",
}


@dataclass(frozen=True, slots=True)
class Target:
    """One parser with what its inputs are begun from."""

    check: Callable[[bytes], None]
    """Raises for an input that breaks a promise."""
    seeds: Sequence[bytes]
    tokens: Sequence[str]
    """Words of its language, which chance would not find."""


def load(name: str) -> Target:
    """Imports the parser: to be called where it may be instrumented."""
    target = import_module(f"scripts.fuzzing.{name.replace('-', '_')}").TARGET
    if not isinstance(target, Target):
        raise TypeError(f"{name} is no target")
    return target
