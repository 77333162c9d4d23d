"""The findings of one probe, gathered while it looks."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable

from llm_service.cli.checking.finding import Finding, Verdict

LIMIT_S = 8.0
"""For all of one probe: what answers at all does so in a second or two, and who waits at a terminal has no more patience."""


class Collection:
    """Findings about one component, in the order they were made."""

    def __init__(self, component: str) -> None:
        self._component = component
        self.findings: list[Finding] = []

    def ok(self, subject: str, seen: str, seconds: float | None = None) -> None:
        self._add(subject, Verdict.OK, seen, None, seconds)

    def warning(self, subject: str, seen: str, remedy: str, seconds: float | None = None) -> None:
        self._add(subject, Verdict.WARNING, seen, remedy, seconds)

    def failed(self, subject: str, seen: str, remedy: str, seconds: float | None = None) -> None:
        self._add(subject, Verdict.FAILED, seen, remedy, seconds)

    def skipped(self, subject: str, seen: str) -> None:
        self._add(subject, Verdict.SKIPPED, seen, None, None)

    async def within(self, look: Awaitable[None], remedy: str, limit_s: float = LIMIT_S) -> list[Finding]:
        """What ``look`` has found when it ends, or after ``limit_s`` seconds, which then are a finding too."""
        try:
            async with asyncio.timeout(limit_s):
                await look
        except TimeoutError:
            self.failed("answer", f"silent: the look was given up after {limit_s:g} s", remedy)
        return self.findings

    def _add(
        self, subject: str, verdict: Verdict, seen: str, remedy: str | None, seconds: float | None
    ) -> None:
        self.findings.append(Finding(self._component, subject, verdict, seen, remedy, seconds))
