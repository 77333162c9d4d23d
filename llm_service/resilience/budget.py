"""So many of something (requests, tokens) in a minute: how long the next has to wait, and what the provider says is left.

Three rules, the strictest of which counts:

- A window: what was begun in the last minute, and what is about to be, never comes to more than the limit.
- A bucket: what was saved up is a tenth of the limit at most, and the rest comes evenly, since vendors look at less than
  a minute too (OpenAI: 60,000 a minute may be enforced as 1,000 a second).
- What the provider's headers say: where little is left, that is spread over the time until there is more.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

from llm_service.resilience.clock import Clock

MINUTE_S = 60.0

WINDOW_S = MINUTE_S + 1.0
"""Of two calls the first may be a second on its way (a new connection) and the second not: the provider sees them so much
closer together than they left."""

SAVED = 0.1
"""Of the limit, at once: six seconds' worth, so that a worker of ten slots begins at once under 100 a minute."""

SAVED_LEARNED = 1 / MINUTE_S
"""Of one that nobody named, which may be one of a second."""

LITTLE = 0.1
"""Of its limit: from there on what is left is spread. Above it, other workers of the account have time to see the same."""

_UNSEEN_S = 1.0
"""Until it is looked again where it depends on calls that are about to begin; each that does or doesn't looks sooner."""


@dataclass(frozen=True, slots=True)
class Left:
    """What headers say of the account; None where they don't."""

    limit: float | None = None
    """In a minute. A vendor that means a day here says more than it has, which only makes it no limit."""
    left: float | None = None
    reset_s: float | None = None
    """Seconds until all of it is there again."""


@dataclass(slots=True)
class Taken:
    """What one call takes."""

    amount: float
    begun_at: float | None = None
    gone: bool = False
    """Whether it is out of the window, or never got into it."""


class Budget:
    """What one model may be asked for in a minute. ``limit`` None: nobody knows one, and only headers are kept to."""

    def __init__(self, clock: Clock, limit: float | None, share: float) -> None:
        """``limit`` is the account's; ``share`` of it is ours."""
        self._clock = clock
        self._configured = limit
        self._share = share
        self._told: float | None = None
        self._learned: float | None = None
        self._factor = 1.0
        self.limit = self._limit_now()
        """What is kept to now, None for none; at least one, since what stops altogether is a hold."""
        self._begun: deque[Taken] = deque()
        self._used = 0.0
        self._reserved = 0.0
        self._filled_at = clock.monotonic()
        self._level = self._saved
        self._spread_until = self._filled_at
        self._spread_next = self._filled_at
        self._spread_each_s = 0.0

    @property
    def is_spread(self) -> bool:
        """Whether little is left, by the provider's word."""
        return self._clock.monotonic() < self._spread_until

    @property
    def is_idle(self) -> bool:
        """Whether nothing is to be remembered."""
        self._pass_time()
        return not self._begun and not self._reserved and not self.is_spread

    # --- taking -----------------------------------------------------------------------------------

    def wait(self, amount: float, ahead: float = 0.0) -> float:
        """Seconds at least until ``amount`` may be taken by one who has ``ahead`` before him; 0 when it may be now."""
        self._pass_time()
        return max(self._spread_wait(), self._bucket_wait(amount, ahead), self._window_wait(amount))

    def take(self, amount: float) -> Taken:
        """To be begun soon, or given back: until then it counts, however long that takes."""
        self._pass_time()
        self._level -= amount
        self._reserved += amount
        now = self._clock.monotonic()
        if now < self._spread_until:
            step = self._spread_each_s * amount
            self._spread_next = min(max(self._spread_next, now) + step, self._spread_until)
        return Taken(amount)

    def begin(self, taken: Taken) -> None:
        """The call begins now: its minute does too."""
        self._pass_time()
        taken.begun_at = self._clock.monotonic()
        self._reserved -= taken.amount
        if self.limit is None:
            taken.gone = True
            return
        self._used += taken.amount
        self._begun.append(taken)

    def give_back(self, taken: Taken) -> None:
        """The call was never made."""
        self._reserved -= taken.amount
        self._level += taken.amount
        taken.gone = True

    def settle(self, taken: Taken, amount: float) -> None:
        """What a call that was begun has taken in truth."""
        self._pass_time()
        difference = amount - taken.amount
        self._level -= difference
        if not taken.gone:
            self._used += difference
            taken.amount = amount

    # --- what the provider says -------------------------------------------------------------------

    def slow_to(self, factor: float) -> None:
        """So much of the limit from now on."""
        self._pass_time()
        self._factor = factor
        self.limit = self._limit_now()
        self._level = min(self._level, self._saved)

    def learn(self, limit: float | None) -> None:
        """What we think we may ask for where nobody knows, all of it ours; None: forget that. One may go at once: how long
        after a refusal is a matter of holds."""
        self._pass_time()
        self._learned = limit
        self.limit = self._limit_now()
        if limit is not None:
            self._level = 1.0

    def told(self, said: Left) -> None:
        """By an answer's headers. A reset beyond a minute is a day's: it is asked again after a minute."""
        self._pass_time()
        if said.limit is not None and said.limit > 0:
            is_first = self.limit is None
            self._told = said.limit
            self.limit = self._limit_now()
            self._level = self._saved if is_first else min(self._level, self._saved)
        if said.left is None or said.reset_s is None:
            return
        now = self._clock.monotonic()
        if not self._is_little(said.left):
            self._spread_until = now
            return
        self._spread_until, was_until = now + min(said.reset_s, MINUTE_S), self._spread_until
        ours = said.left * self._share
        if ours < 1:
            self._spread_next = self._spread_until
            return
        self._spread_each_s = (self._spread_until - now) / ours
        if now >= was_until:
            self._spread_next = now + self._spread_each_s

    def _is_little(self, left: float) -> bool:
        return left < 1 if self._told is None else left < self._told * LITTLE

    # --- inside -----------------------------------------------------------------------------------

    @property
    def _saved(self) -> float:
        if self.limit is None:
            return 0.0
        return max(self.limit * (SAVED if self._known else SAVED_LEARNED), 1.0)

    @property
    def _known(self) -> list[float]:
        return [limit for limit in (self._configured, self._told) if limit is not None]

    def _limit_now(self) -> float | None:
        if known := self._known:
            return max(min(known) * self._share * self._factor, 1.0)
        return None if self._learned is None else max(self._learned * self._factor, 1.0)

    def _pass_time(self) -> None:
        now = self._clock.monotonic()
        limit = self.limit
        if limit is None:
            self._level = 0.0
        else:
            self._level = min(self._level + (now - self._filled_at) * limit / MINUTE_S, self._saved)
        self._filled_at = now
        while self._begun and (self._begun[0].begun_at or 0.0) + WINDOW_S <= now:
            past = self._begun.popleft()
            past.gone = True
            self._used -= past.amount
        if not self._begun:
            self._used = 0.0  # what rounding left

    def _spread_wait(self) -> float:
        return max(self._spread_next - self._clock.monotonic(), 0.0) if self.is_spread else 0.0

    def _bucket_wait(self, amount: float, ahead: float) -> float:
        """What is more than can be saved up goes when as much is there as there can be, and is owed after."""
        limit = self.limit
        if limit is None:
            return 0.0
        missing = min(amount, self._saved) + ahead - self._level
        return max(missing * MINUTE_S / limit, 0.0) if missing > 1e-9 else 0.0

    def _window_wait(self, amount: float) -> float:
        """What is more than the limit goes alone: estimates are high, and the vendor says whether it is too much."""
        limit = self.limit
        if limit is None:
            return 0.0
        over = self._used + self._reserved + min(amount, limit) - limit
        if over <= 1e-9:
            return 0.0
        now = self._clock.monotonic()
        for past in self._begun:
            over -= past.amount
            if over <= 1e-9:
                return max((past.begun_at or now) + WINDOW_S - now, 0.001)
        return _UNSEEN_S
