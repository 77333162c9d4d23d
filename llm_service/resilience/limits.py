"""How many calls go to a provider at once, and when none may go."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

from llm_service.errors import ProviderError
from llm_service.resilience.clock import Clock
from llm_service.resilience.retry import Backoff

Unless: TypeAlias = Callable[[], ProviderError | None]
"""Why somebody would rather not wait; None while he would."""


def wait_on() -> ProviderError | None:
    """Nothing is better than to wait."""
    return None


@dataclass(frozen=True, slots=True)
class Permit:
    """Leave to make one call. ``episode`` numbers the holds before it: a hold makes older ones outdated."""

    episode: int


class ConcurrencyLimit:
    """At most ``limit`` permits at once, first come first served, and none during a hold.

    After a hold calls come back as TCP does after a loss: one first, and one more at a time for every
    answer, so that the provider that asked for rest is not hit by all that waited for its end.
    """

    def __init__(self, limit: int, clock: Clock, backoff: Backoff) -> None:
        if limit < 1:
            raise ValueError(f"a concurrency limit is 1 or more, not {limit}")
        self._limit = limit
        self._clock = clock
        self._backoff = backoff
        self._taken = 0
        self._allowed = limit
        self._episode = 0
        self._throttled_in_a_row = 0
        self._held_until = clock.monotonic()
        self._waiters: OrderedDict[asyncio.Future[Permit], Unless] = OrderedDict()
        self._waker: asyncio.Task[None] | None = None

    @property
    def taken(self) -> int:
        """Permits that are out."""
        return self._taken

    @property
    def waiting(self) -> int:
        """Callers that wait for a permit."""
        return len(self._waiters)

    def held_for(self) -> float:
        """Seconds for which no permit is given any more; 0 when there is no hold."""
        return max(self._held_until - self._clock.monotonic(), 0.0)

    # --- permits ----------------------------------------------------------------------------------

    def try_acquire(self) -> Permit | None:
        """A permit without waiting, None when none is free or others wait already."""
        return self._take() if not self._waiters and self._has_room() else None

    async def acquire(self, unless: Unless = wait_on) -> Permit:
        """A permit, in the order of asking. The caller's deadline bounds it; safe to cancel at any moment.

        ``unless`` is asked again whenever a hold begins: its error ends the wait.
        """
        if (permit := self.try_acquire()) is not None:
            return permit
        if (reason := unless()) is not None:
            raise reason
        waiter: asyncio.Future[Permit] = asyncio.get_running_loop().create_future()
        self._waiters[waiter] = unless
        self._wake_after_hold()
        try:
            return await waiter
        except asyncio.CancelledError:
            self._waiters.pop(waiter, None)
            if waiter.done() and not waiter.cancelled():  # given in the very moment of the cancellation
                self.release(waiter.result())
            raise

    def release(self, permit: Permit) -> None:
        """Give a permit back; each exactly once."""
        self._taken -= 1
        self._grant()

    def is_current(self, permit: Permit) -> bool:
        """Whether no hold has begun since it was given: an outdated one is given back, not used."""
        return permit.episode == self._episode

    # --- what the provider said -------------------------------------------------------------------

    def succeeded(self, permit: Permit) -> None:
        """The call was answered: one more may go at a time, up to the limit."""
        if self.is_current(permit):
            self._throttled_in_a_row = 0
            self._allowed = min(self._allowed + 1, self._limit)

    def throttled(self, permit: Permit, retry_after: float | None) -> None:
        """The provider said "later" (429): hold for the seconds it asks, else for longer each time in a row.

        Calls that were in the air together get the same answer together: that is one refusal, not many, and
        only a longer wish adds to the hold. A wish of 0 is none: at once is when we were refused.
        """
        if not self.is_current(permit):
            if retry_after:
                self.hold_until(self._clock.monotonic() + retry_after)
            return
        self._throttled_in_a_row += 1
        seconds = retry_after or self._backoff.hold(self._throttled_in_a_row)
        self.hold_until(self._clock.monotonic() + seconds)

    def hold_until(self, moment: float) -> None:
        """Give no permit before ``moment`` (monotonic seconds); an earlier hold is never cut short."""
        if moment <= self._held_until:
            return
        self._episode += 1
        self._allowed = 1
        self._held_until = moment
        self._release_impatient()
        self._wake_after_hold()

    async def close(self) -> None:
        """End the timer of a hold; nobody acquires afterwards."""
        if self._waker is not None:
            self._waker.cancel()
            await asyncio.gather(self._waker, return_exceptions=True)

    # --- inside -----------------------------------------------------------------------------------

    def _has_room(self) -> bool:
        return self._taken < self._allowed and self.held_for() <= 0

    def _take(self) -> Permit:
        self._taken += 1
        return Permit(self._episode)

    def _grant(self) -> None:
        while self._waiters and self._has_room():
            waiter, _ = self._waiters.popitem(last=False)
            if not waiter.done():  # a cancelled one may not have run yet to take itself out
                waiter.set_result(self._take())

    def _release_impatient(self) -> None:
        for waiter, unless in list(self._waiters.items()):
            reason = unless()
            if reason is not None and not waiter.done():
                del self._waiters[waiter]
                waiter.set_exception(reason)

    def _wake_after_hold(self) -> None:
        """See to it that somebody grants when the hold ends; outside a hold every release does."""
        idle = self._waker is None or self._waker.done()
        if idle and self._waiters and self.held_for() > 0:
            self._waker = asyncio.create_task(self._grant_after_hold(), name="end of hold")

    async def _grant_after_hold(self) -> None:
        while self._waiters and (left := self.held_for()) > 0:
            await self._clock.sleep(left)
        self._grant()
