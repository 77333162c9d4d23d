"""Trying again: how often, and after how long.

tenacity drives the attempts; the delays come from here, so that randomness and time stay arguments.
"""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from tenacity import AsyncRetrying, RetryCallState

from llm_service.errors import ProviderError

_MAX_DOUBLINGS = 32
"""2**32 initial delays are beyond any maximum; without a bound a long outage overflows the float."""


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How often a call that may have cost something is made again, and the delays before it, in seconds."""

    max_retries: int
    initial_delay_s: float
    max_delay_s: float


class Backoff:
    """Exponential delays with jitter."""

    def __init__(self, policy: RetryPolicy, rng: random.Random) -> None:
        self._policy = policy
        self._rng = rng

    def delay(self, failures: int) -> float:
        """Seconds before the next attempt after ``failures`` (1 and up) in a row, with full jitter.

        Full jitter (anything from 0 to the exponential step) spreads callers that failed together best.
        """
        return self._rng.uniform(0.0, self._step(failures))

    def hold(self, failures: int) -> float:
        """Seconds for which nobody calls, between half of the exponential step and all of it.

        One hold speaks for all callers, so that there is nothing to spread, and one near 0 would be no hold.
        """
        step = self._step(failures)
        return self._rng.uniform(step / 2, step)

    def _step(self, failures: int) -> float:
        doublings = min(max(failures - 1, 0), _MAX_DOUBLINGS)
        return min(self._policy.initial_delay_s * 2.0**doublings, self._policy.max_delay_s)


class _SpentAll:
    """Stops when the failures that may have cost something are more than the retries allowed."""

    def __init__(self, max_retries: int, *, hurried: bool) -> None:
        self._left = max_retries
        self._hurried = hurried

    def __call__(self, state: RetryCallState) -> bool:
        if self._hurried or _failure(state).spent:
            self._left -= 1
        return self._left < 0


def retrying(
    policy: RetryPolicy,
    *,
    sleep: Callable[[float], Awaitable[None]],
    delay: Callable[[ProviderError, int], float],
    on_retry: Callable[[ProviderError, float], None],
    hurried: bool = False,
) -> AsyncRetrying:
    """What runs one call and repeats it while its error is retryable; the last error is raised as it is.

    A spent failure counts against ``policy.max_retries``; one that is not spent is an outage and never does:
    only the caller's deadline ends it, unless the caller is ``hurried``: then each failure counts.
    ``delay(error, failures)`` gives the seconds before the next attempt
    and ``on_retry`` hears of each. For one call only: it counts.
    """

    def before_sleep(state: RetryCallState) -> None:
        on_retry(_failure(state), state.upcoming_sleep)

    return AsyncRetrying(
        sleep=sleep,
        stop=_SpentAll(policy.max_retries, hurried=hurried),
        wait=lambda state: delay(_failure(state), state.attempt_number),
        retry=_is_retryable,
        before_sleep=before_sleep,
        reraise=True,
    )


def _is_retryable(state: RetryCallState) -> bool:
    if state.outcome is None or not state.outcome.failed:
        return False
    error = state.outcome.exception()
    return isinstance(error, ProviderError) and error.retryable


def _failure(state: RetryCallState) -> ProviderError:
    error = state.outcome.exception() if state.outcome is not None else None
    if not isinstance(error, ProviderError):
        raise TypeError("tenacity asks for the delay of a call that did not fail")
    return error
