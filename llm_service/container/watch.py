"""Looks whether what the service needs still answers, so that /ready tells it before a task does."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping

from llm_service import events
from llm_service.errors import ServiceError
from llm_service.resilience.clock import Clock

# Readiness must fall within 10 s of a loss: one round of looking and one limit of an answer.
INTERVAL_S = 5.0
ANSWER_LIMIT_S = 4.0

Check = Callable[[], Awaitable[None]]


class Watch:
    """Runs each check every few seconds; one owned task for all."""

    def __init__(self, checks: Mapping[str, Check], clock: Clock, observe: events.Observer) -> None:
        self._checks = checks
        self._clock = clock
        self._observe = observe
        self._failures: dict[str, str] = {}
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        self._task = asyncio.create_task(self._run(), name="dependency watch")

    async def close(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])

    @property
    def failures(self) -> Mapping[str, str]:
        """What does not answer, by component, and why."""
        return self._failures

    async def _run(self) -> None:
        while True:
            await asyncio.gather(*(self._look(component, check) for component, check in self._checks.items()))
            await self._clock.sleep(INTERVAL_S)

    async def _look(self, component: str, check: Check) -> None:
        try:
            async with asyncio.timeout(ANSWER_LIMIT_S):
                await check()
        except Exception as error:
            # A check may be a third party's code, and one that breaks must not end the watch.
            reason = _reason(error)
            if component not in self._failures:
                self._observe(events.ConnectionChanged(component, up=False, reason=reason))
            self._failures[component] = reason
        else:
            if self._failures.pop(component, None) is not None:
                self._observe(events.ConnectionChanged(component, up=True, reason=""))


def _reason(error: Exception) -> str:
    if isinstance(error, ServiceError):
        return error.message
    if isinstance(error, TimeoutError):
        return f"no answer in {ANSWER_LIMIT_S:.0f} s"
    return f"looking whether it is there failed with {type(error).__name__}"
