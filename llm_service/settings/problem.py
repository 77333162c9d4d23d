"""What is wrong with settings, as data."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from llm_service.settings.root import Settings


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong: a setting's value, or what several of them say together."""

    names: tuple[str, ...]
    """The settings it is about, as the environment has them; none when a source itself can't be read."""
    reason: str
    """What was expected and what to do; never a value that may be secret."""


Inspection: TypeAlias = "Callable[[Settings], Iterable[Problem]]"
"""Looks at what the settings lead to (files that are named, a client that takes them) without any network."""
