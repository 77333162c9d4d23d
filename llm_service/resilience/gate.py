"""The way in to a provider: its breaker and its limits, passed together.

Waiting here never costs a worker slot, and nobody who waits blocks one who could go on:

- A pass is taken without waiting where that is possible; only then is the slot kept throughout.
- Otherwise the slot is given up first (``waiting()`` is entered), the pass is waited for without a slot,
  and the slot is taken back (``waiting()`` is left) with the pass in hand.

So there are two resources and one order: whoever waits for a pass holds no slot. The only waits with
something in hand are for a slot with a pass, hence no circle and no deadlock: a slot's holder is at work, in
a call or trying a pass without waiting, and each of these ends and gives the slot on; then whoever waits
for it with a pass in hand goes on, calls, and gives the pass on. Inside, the permit is never held while
the breaker is waited for: a ticket is asked for without waiting, and on a refusal the permit goes back.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import TypeAlias

from llm_service.errors import ProviderTimeout, ServiceError
from llm_service.resilience.breaker import CLOSED, HALF_OPEN, OPEN, Breaker, Ticket
from llm_service.resilience.clock import Clock
from llm_service.resilience.deadline import TimeLimit, is_cancelled
from llm_service.resilience.limits import ANY_CALL, Call, ConcurrencyLimit, Permit, Unless, wait_on

Waiting: TypeAlias = Callable[[], AbstractAsyncContextManager[None]]
"""Gives up the caller's worker slot while inside, and takes it back on leaving."""


@dataclass(frozen=True, slots=True)
class Pass:
    """Leave of both, breaker and limit, for one call."""

    ticket: Ticket
    permit: Permit


@dataclass(frozen=True, slots=True)
class HealthCheck:
    """A free call that returns when the provider would answer, and the seconds it may take."""

    call: Callable[[], Awaitable[None]]
    timeout_s: float


class Gate:
    """Lets calls to one provider through."""

    def __init__(self, breaker: Breaker, limit: ConcurrencyLimit, health: HealthCheck, clock: Clock) -> None:
        self._breaker = breaker
        self._limit = limit
        self._health = health
        self._clock = clock
        self._waiters = 0
        self._recovery: asyncio.Task[None] | None = None

    async def enter(
        self, waiting: Waiting, after: float = 0.0, unless: Unless = wait_on, call: Call = ANY_CALL
    ) -> Pass:
        """A pass for this call, after ``after`` seconds at the earliest.

        Bounded by the caller's deadline, and by the error of ``unless``.

        The slot may be long in coming back: a pass that a hold or the breaker has outdated meanwhile
        is given back and another one waited for.
        """
        if after <= 0 and (entry := self._try(call)) is not None:
            return entry
        while True:
            entry = await self._enter_outside_the_slot(waiting, after, unless, call)
            if self._breaker.is_current(entry.ticket) and self._limit.is_current(entry.permit):
                return entry
            self.leave(entry)
            after = 0.0

    def leave(self, entry: Pass) -> None:
        """Give the pass back, each exactly once, after what the call showed has been reported."""
        self._breaker.abandoned(entry.ticket)
        self._limit.release(entry.permit)

    async def ready(self) -> None:
        """Return when the breaker lets calls through; while it is half-open one caller at a time."""
        while not self._breaker.invite():
            await self._until_changed()

    async def close(self) -> None:
        """End what runs on behalf of those who wait; nobody enters afterwards."""
        if self._recovery is not None:
            self._recovery.cancel()
            await asyncio.gather(self._recovery, return_exceptions=True)
        await self._limit.close()

    # --- passes -----------------------------------------------------------------------------------

    def _try(self, call: Call) -> Pass | None:
        if not self._breaker.admits():
            return None
        permit = self._limit.try_acquire(call)
        return self._with_ticket(permit) if permit is not None else None

    def _with_ticket(self, permit: Permit) -> Pass | None:
        ticket = self._breaker.admit()
        if ticket is None:
            self._limit.release(permit)
            return None
        return Pass(ticket, permit)

    async def _enter_outside_the_slot(
        self, waiting: Waiting, after: float, unless: Unless, call: Call
    ) -> Pass:
        entry: Pass | None = None
        try:
            async with waiting():
                if after > 0:
                    await self._clock.sleep(after)
                entry = await self._wait(unless, call)
        except BaseException:  # leaving waiting() may be cancelled too, with the pass in hand
            if entry is not None:
                self.leave(entry)
            raise
        return entry

    async def _wait(self, unless: Unless, call: Call) -> Pass:
        while True:
            while not self._breaker.admits():
                if (reason := unless(0.0)) is not None:
                    self._look_once()
                    raise reason
                await self._until_changed()
            entry = self._with_ticket(await self._limit.acquire(unless, call))
            if entry is not None:
                return entry

    # --- recovery ---------------------------------------------------------------------------------

    async def _until_changed(self) -> None:
        """Wait for the breaker to move, and see to it that somebody moves it."""
        self._waiters += 1
        try:
            if self._recovery is None or self._recovery.done():
                self._recovery = asyncio.create_task(self._recover(), name="breaker recovery")
            await self._breaker.changed.wait()
        finally:
            self._waiters -= 1

    def _look_once(self) -> None:
        """On behalf of those who do not wait: else a provider that everybody passes by would stay open for ever."""
        idle = self._recovery is None or self._recovery.done()
        if idle and self._breaker.state == OPEN and self._breaker.opens_in() <= 0:
            self._recovery = asyncio.create_task(self._recover(at_once=True), name="breaker recovery")

    async def _recover(self, *, at_once: bool = False) -> None:
        """One for all who wait: they make one health check per ``open_s`` together, and only while any waits.

        It is a task of its own, since a waiter that is cancelled must not take the others' check along. ``at_once``: one
        check also where nobody waits.
        """
        if at_once:
            await self._check_health()
        while self._waiters and self._breaker.state != CLOSED:
            if self._breaker.state == HALF_OPEN:
                await self._clock.sleep(self._breaker.open_s)
                self._breaker.uninvite()
            elif (left := self._breaker.opens_in()) > 0:
                await self._clock.sleep(left)
            else:
                await self._check_health()

    async def _check_health(self) -> None:
        failure = await self._failure_of_health()
        if failure is None:
            self._breaker.half_open()
        else:
            self._breaker.stay_open(failure)

    async def _failure_of_health(self) -> str | None:
        until = self._clock.monotonic() + self._health.timeout_s
        try:
            async with TimeLimit(self._clock, until, self._no_answer):
                await self._health.call()
        except ServiceError as error:
            return error.message
        except asyncio.CancelledError:
            if is_cancelled():
                raise
            return "the health check was cancelled from inside"
        except Exception as error:  # a bug in a provider must not end the recovery
            return f"the health check failed with {type(error).__name__}"
        return None

    def _no_answer(self) -> ProviderTimeout:
        return ProviderTimeout(f"the health check had no answer within {self._health.timeout_s:g} s")
