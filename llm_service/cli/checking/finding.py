"""One thing that a check looked at."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import TypeAlias

from llm_service.resilience.clock import Clock
from llm_service.settings import Settings


class Verdict(StrEnum):
    """How it is."""

    OK = "ok"
    WARNING = "warning"
    """Works, and should not stay so: the exit code is not changed by it."""
    FAILED = "failed"
    SKIPPED = "skipped"
    """Not configured, or of no use after an earlier failure; ``seen`` says which."""


@dataclass(frozen=True, slots=True)
class Finding:
    """What was looked at, how it is, and what to do about it. Holds no secret."""

    component: str
    """kafka, minio, postgres, or a provider's name."""
    subject: str
    """What was looked at, in a word or three: ``connection``, ``topic tasks_llm``, ``token``."""
    verdict: Verdict
    seen: str
    """What was seen there, in one line: ``12 partitions, messages up to 1,048,588 bytes``."""
    remedy: str | None = None
    """One line of what to do; there for each ``FAILED`` and ``WARNING``."""
    seconds: float | None = None
    """How long the look took, where it was a round trip."""


Probe: TypeAlias = Callable[[Settings, Clock], Awaitable[Sequence[Finding]]]
"""Looks at one dependency; bounds its own waits, and raises nothing for what it finds wrong there."""
