"""Bounded attempts to reach a dependency at start."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeVar

from llm_service import events
from llm_service.errors import BootstrapFailed, ServiceError, SettingsInvalid
from llm_service.resilience.clock import Clock

ATTEMPTS = 5

T = TypeVar("T")


class Bootstrap:
    """Tries each dependency 5 times, then says which one is not there, why, and what to do."""

    def __init__(self, clock: Clock, delay_s: float, observe: events.Observer) -> None:
        self._clock = clock
        self._delay_s = delay_s
        self._observe = observe

    async def reach(self, component: str, attempt: Callable[[], Awaitable[T]]) -> T:
        """What ``attempt`` returns. Raises BootstrapFailed after 5 of them, SettingsInvalid at once."""
        for left in reversed(range(ATTEMPTS)):
            try:
                reached = await attempt()
            except SettingsInvalid:
                raise
            except ServiceError as error:
                self._observe(events.Trouble(component, error.message))
                if left == 0:
                    raise BootstrapFailed(
                        f"Bootstrap failed after {ATTEMPTS} attempts: {component}: {error.message.rstrip('.')}; "
                        "`llm-service check` looks for the cause"
                    ) from error
                await self._clock.sleep(self._delay_s)
            else:
                self._observe(events.ConnectionChanged(component, up=True, reason=""))
                return reached
        raise AssertionError("the last attempt returns or raises")
