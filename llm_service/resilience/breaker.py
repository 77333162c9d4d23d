"""The circuit breaker of one provider.

pybreaker keeps the state machine. Its own calling conventions don't fit coroutines (1.4.1: a decorated
``async def`` never trips, half-open lets every concurrent caller through, a cancellation counts as a
failure), so that calls ask for a ``Ticket`` before and report on it after, and only the reports reach
pybreaker.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pybreaker

from llm_service.events import BreakerChanged, Observer
from llm_service.resilience.clock import Clock
from llm_service.resilience.signal import Signal

CLOSED = "closed"
OPEN = "open"
HALF_OPEN = "half_open"

_NAMES = {
    pybreaker.STATE_CLOSED: CLOSED,
    pybreaker.STATE_OPEN: OPEN,
    pybreaker.STATE_HALF_OPEN: HALF_OPEN,
}


@dataclass(frozen=True, slots=True)
class BreakerPolicy:
    """Opens after ``failure_threshold`` failures in a row, for ``open_s`` seconds before each probe."""

    failure_threshold: int
    open_s: float


@dataclass(frozen=True, slots=True)
class Ticket:
    """Leave to make one call, given in the breaker's state number ``generation``.

    A report on it counts only while the breaker is still in that state: what a call begun before the
    breaker opened has to say is old news.
    """

    generation: int


class _FailureReported(Exception):
    """Carries a failure into pybreaker without the failure itself, whose traceback would pile up."""


class _Storage(pybreaker.CircuitMemoryStorage):
    """pybreaker's storage on our clock.

    pybreaker compares ``opened_at`` with the wall clock, which a step of an hour back would keep open for an
    hour. So it is told "far in the future" until the time has passed on the monotonic clock, then nothing.
    """

    def __init__(self, clock: Clock, open_s: float) -> None:
        super().__init__(pybreaker.STATE_CLOSED)
        self._clock = clock
        self._open_s = open_s
        self._until = clock.monotonic()

    @property
    def opened_at(self) -> datetime | None:
        if self.left() <= 0:
            return None
        return datetime.max.replace(tzinfo=UTC) - timedelta(seconds=self._open_s)

    @opened_at.setter
    def opened_at(self, datetime: datetime) -> None:
        self.restart()

    def restart(self) -> None:
        self._until = self._clock.monotonic() + self._open_s

    def left(self) -> float:
        return max(self._until - self._clock.monotonic(), 0.0)


class _Listener(pybreaker.CircuitBreakerListener):
    def __init__(self, breaker: Breaker) -> None:
        self._breaker = breaker

    def state_change(
        self,
        cb: pybreaker.CircuitBreaker,
        old_state: pybreaker.CircuitBreakerState | None,
        new_state: pybreaker.CircuitBreakerState,
    ) -> None:
        self._breaker._moved(_NAMES[new_state.name])  # noqa: SLF001 - the listener is a part of the breaker


class Breaker:
    """Closed: all calls go. Open: none. Half-open: one at a time, whose success closes it again.

    A failure is what the caller reports as one. Whatever else a call ends with (a refusal of that very
    task, "come later", a cancellation) says nothing about the provider's health: it neither counts nor
    interrupts a row.
    """

    def __init__(self, name: str, policy: BreakerPolicy, clock: Clock, observe: Observer) -> None:
        self._name = name
        self._clock = clock
        self._observe = observe
        self.open_s = policy.open_s
        self._storage = _Storage(clock, policy.open_s)
        self._machine = pybreaker.CircuitBreaker(
            fail_max=policy.failure_threshold,
            reset_timeout=policy.open_s,
            state_storage=self._storage,
            listeners=[_Listener(self)],
            name=name,
            throw_new_error_on_trip=False,
        )
        self._state = CLOSED
        self._generation = 0
        self._reason = ""
        self._probing = False
        self._invited_at: float | None = None
        self.changed = Signal()
        """Fires whenever somebody who was refused a ticket or an invitation may ask again."""

    @property
    def state(self) -> str:
        """``closed``, ``open`` or ``half_open``."""
        return self._state

    @property
    def reason(self) -> str:
        """Why it came into its state, or stays open."""
        return self._reason

    def opens_in(self) -> float:
        """Seconds until an open breaker may be probed; 0 when it may be now."""
        return self._storage.left()

    # --- calls ------------------------------------------------------------------------------------

    def admits(self) -> bool:
        """Whether ``admit`` would give a ticket now."""
        return self._state == CLOSED or (self._state == HALF_OPEN and not self._probing)

    def admit(self) -> Ticket | None:
        """Leave for one call, None while calls are not let through. Each ticket is reported on once."""
        if not self.admits():
            return None
        self._probing = self._state == HALF_OPEN
        return Ticket(self._generation)

    def is_current(self, ticket: Ticket) -> bool:
        """Whether the breaker is still in the state it gave this ticket in."""
        return ticket.generation == self._generation

    def succeeded(self, ticket: Ticket) -> None:
        """The call had its answer."""
        if self.is_current(ticket):
            if self._state == HALF_OPEN:
                self._reason = "the probe was answered"
            self._machine.call(_answered)

    def failed(self, ticket: Ticket, reason: str) -> None:
        """The call failed in a way that counts."""
        if self.is_current(ticket):
            self._reason = reason
            with contextlib.suppress(_FailureReported):
                self._machine.call(_report_failure)

    def abandoned(self, ticket: Ticket) -> None:
        """The call ended without saying anything about the provider, or was never made."""
        if self.is_current(ticket) and self._probing:
            self._probing = False
            self.uninvite()

    # --- recovery ---------------------------------------------------------------------------------

    def half_open(self) -> None:
        """The provider seems to be back: let one call find out."""
        if self._state == OPEN:
            self._reason = "the health check was answered"
            self._machine.half_open()

    def stay_open(self, reason: str) -> None:
        """The provider is not back: open for another ``open_s``."""
        if self._state == OPEN:
            self._reason = reason
            self._storage.restart()

    def invite(self) -> bool:
        """Whether a task may come and prepare its call: all when closed, one at a time when half-open.

        An invitation binds nobody, since that task may end before its call; after ``open_s`` it lapses.
        """
        if self._state != HALF_OPEN:
            return self._state == CLOSED
        now = self._clock.monotonic()
        if self._probing or (self._invited_at is not None and now < self._invited_at + self.open_s):
            return False
        self._invited_at = now
        return True

    def uninvite(self) -> None:
        """The one invited did not come, or came and found nothing out: another may be."""
        self._invited_at = None
        self.changed.fire()

    def _moved(self, state: str) -> None:
        self._state = state
        self._generation += 1
        self._probing = False
        self._invited_at = None
        self._observe(BreakerChanged(self._name, state, self._reason))
        self.changed.fire()


def _answered() -> None:
    """What pybreaker sees of a call that was answered."""


def _report_failure() -> None:
    raise _FailureReported
