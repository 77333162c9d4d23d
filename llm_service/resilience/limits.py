"""How many calls go to a provider at once, and when none may go."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TypeAlias

from llm_service.errors import ServiceError
from llm_service.resilience.clock import Clock
from llm_service.resilience.rate import ModelRate, Turn
from llm_service.resilience.retry import Backoff

Unless: TypeAlias = Callable[[float], ServiceError | None]
"""Why somebody would rather not wait, when his turn in the minute's rate comes after so many seconds at the earliest; None
while he would."""


def wait_on(rate_s: float) -> ServiceError | None:
    """Nothing is better than to wait."""
    return None


@dataclass(frozen=True, slots=True)
class Call:
    """What a permit is asked for: a call that counts in ``rate``, where there is one, with about so many tokens."""

    rate: ModelRate | None = None
    tokens: float = 0.0

    def wait(self) -> float:
        """Seconds until its rate lets it go, as far as is known; 0 when it does now."""
        return 0.0 if self.rate is None else self.rate.wait(self.tokens)


ANY_CALL = Call()


@dataclass(frozen=True, slots=True)
class Permit:
    """Leave to make one call. ``episode`` numbers the holds before it: a hold makes older ones outdated."""

    episode: int
    call: Call = ANY_CALL
    turn: Turn | None = None


@dataclass(frozen=True, slots=True)
class _Waiter:
    call: Call
    unless: Unless


class ConcurrencyLimit:
    """At most ``limit`` permits at once, first come first served, none during a hold, and each in its model's turn.

    A permit is given when there is room and the model's rate allows it, both in one moment: who waits for his turn holds
    none, and is passed by those whose model has a turn.

    After a hold calls come back as TCP does after a loss: one first, and one more at a time for every answer, so that the
    provider that asked for rest is not hit by all that waited for its end.
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
        self._waiters: OrderedDict[asyncio.Future[Permit], _Waiter] = OrderedDict()
        self._wakers: set[asyncio.Task[None]] = set()
        self._wakes_at: float | None = None

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

    def turn_in(self) -> float:
        """Seconds until the rate of any model lets somebody go who waits; 0 where nobody waits for that."""
        return min((call.wait() for call in self._firsts()), default=0.0)

    # --- permits ----------------------------------------------------------------------------------

    def try_acquire(self, call: Call = ANY_CALL) -> Permit | None:
        """A permit without waiting, None when none is free or others wait already for what it needs."""
        if not self._has_room() or call.wait() > 0:
            return None
        # Where there is room, those who wait do so for their models' turns.
        rivals = any(waiter.call.rate is call.rate for waiter in self._waiters.values())
        return None if rivals else self._take(call)

    async def acquire(self, unless: Unless = wait_on, call: Call = ANY_CALL) -> Permit:
        """A permit, in the order of asking. The caller's deadline bounds it; safe to cancel at any moment.

        ``unless`` is asked again whenever a hold begins: its error ends the wait.
        """
        if (permit := self.try_acquire(call)) is not None:
            return permit
        if (reason := unless(self._turn_in(call))) is not None:
            raise reason
        waiter: asyncio.Future[Permit] = asyncio.get_running_loop().create_future()
        self._waiters[waiter] = _Waiter(call, unless)
        self._wake_in_time()
        try:
            return await waiter
        except asyncio.CancelledError:
            self._waiters.pop(waiter, None)
            if waiter.done() and not waiter.cancelled() and waiter.exception() is None:
                self.release(waiter.result())  # given in the very moment of the cancellation
            raise

    def begin(self, permit: Permit) -> None:
        """The call begins now, which is what its rate counts from."""
        if permit.turn is not None and permit.call.rate is not None:
            permit.call.rate.begin(permit.turn)

    def settle(self, permit: Permit, tokens: float) -> None:
        """So many tokens the call has taken in truth; before it is released."""
        if permit.turn is not None and permit.call.rate is not None:
            permit.call.rate.settle(permit.turn, tokens)

    def release(self, permit: Permit) -> None:
        """Give a permit back; each exactly once."""
        self._taken -= 1
        if permit.turn is not None and permit.call.rate is not None:
            permit.call.rate.give_back(permit.turn)
        self._grant()

    def is_current(self, permit: Permit) -> bool:
        """Whether no hold has begun since it was given: an outdated one is given back, not used."""
        return permit.episode == self._episode

    # --- what the provider said -------------------------------------------------------------------

    def succeeded(self, permit: Permit) -> None:
        """The call was answered: one more may go at a time, up to the limit."""
        if self.is_current(permit):
            if permit.call.rate is not None:
                permit.call.rate.answered()
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
        if permit.call.rate is not None:
            permit.call.rate.throttled()
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
        self._wake_in_time()

    async def close(self) -> None:
        """End the timers; nobody acquires afterwards."""
        for waker in self._wakers:
            waker.cancel()
        await asyncio.gather(*self._wakers, return_exceptions=True)

    # --- inside -----------------------------------------------------------------------------------

    def _has_room(self) -> bool:
        return self._taken < self._allowed and self.held_for() <= 0

    def _take(self, call: Call) -> Permit:
        self._taken += 1
        return Permit(self._episode, call, None if call.rate is None else call.rate.take(call.tokens))

    def _grant(self) -> None:
        """Permits to those who wait, as far as there is room; a model whose turn has not come holds up its own alone."""
        if self._waiters and self._has_room():
            held: set[ModelRate | None] = set()
            for future, waiter in list(self._waiters.items()):
                if not self._has_room():
                    break
                if future.done():  # a cancelled one may not have run yet to take itself out
                    del self._waiters[future]
                elif waiter.call.rate not in held:
                    if waiter.call.wait() > 0:
                        held.add(waiter.call.rate)
                    else:
                        del self._waiters[future]
                        future.set_result(self._take(waiter.call))
        self._wake_in_time()

    def _turn_in(self, call: Call) -> float:
        """Seconds until its rate lets it go behind those who wait already, at the earliest."""
        if call.rate is None:
            return 0.0
        before = [waiter.call.tokens for waiter in self._waiters.values() if waiter.call.rate is call.rate]
        return call.rate.earliest(call.tokens, (len(before), sum(before)))

    def _release_impatient(self) -> None:
        for future, waiter in list(self._waiters.items()):
            reason = waiter.unless(0.0)  # of the rate it was told when it came
            if reason is not None and not future.done():
                del self._waiters[future]
                future.set_exception(reason)

    def _wake_in_time(self) -> None:
        """See to it that somebody grants when the hold ends or a model's turn comes; else every release does."""
        seconds = self._next_chance()
        if seconds is None:
            return
        moment = self._clock.monotonic() + seconds
        if self._wakes_at is not None and self._wakes_at <= moment:
            return
        self._wakes_at = moment
        for later in self._wakers - {asyncio.current_task()}:
            later.cancel()
        waker = asyncio.create_task(self._grant_at(moment), name="next permit")
        self._wakers.add(waker)
        waker.add_done_callback(self._wakers.discard)

    def _next_chance(self) -> float | None:
        """Seconds until time alone lets somebody go who waits; None where only a release does."""
        if not self._waiters or ((held := self.held_for()) <= 0 and self._taken >= self._allowed):
            return None
        return max(held, self.turn_in())

    def _firsts(self) -> Iterable[Call]:
        """Of those who wait, the first of each model."""
        return {waiter.call.rate: waiter.call for waiter in reversed(self._waiters.values())}.values()

    async def _grant_at(self, moment: float) -> None:
        # In a loop, since a loop's timer may be early by the clock's resolution.
        while (left := moment - self._clock.monotonic()) > 0:
            await self._clock.sleep(left)
        self._wakes_at = None
        self._grant()
