"""What stands around any provider: limit, breaker, retries and deadline.

A call that may have cost something is made at most ``1 + max_retries`` times for one request. An outage
(the provider away, asking for rest, or refusing the account) costs nothing and is waited for, outside the
caller's worker slot; only the task's deadline ends that wait.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from llm_service.errors import (
    DeadlineExceeded,
    ProviderAccountError,
    ProviderError,
    ProviderRateLimited,
    ProviderTimeout,
    ProviderUnavailable,
    ServiceError,
)
from llm_service.events import Observer, ProviderCalled, ProviderRetried, RateChanged, TurnAwaited
from llm_service.providers.ability import refuse_unable
from llm_service.providers.load import in_words, left_by, tokens_of
from llm_service.providers.prices import PriceList
from llm_service.providers.protocol import Completion, CompletionRequest, Provider, Timings
from llm_service.providers.reading import Pace, paced, whole, within
from llm_service.resilience.breaker import CLOSED, Breaker, BreakerPolicy
from llm_service.resilience.clock import Clock
from llm_service.resilience.deadline import Deadline, TimeLimit, is_cancelled
from llm_service.resilience.gate import Gate, HealthCheck, Pass, Waiting
from llm_service.resilience.limits import Call, ConcurrencyLimit
from llm_service.resilience.rate import RatePolicy, Rates, RateState
from llm_service.resilience.retry import Backoff, RetryPolicy, retrying
from llm_service.resilience.retry_after import bounded
from llm_service.resilience.shortage import MachineShort, shortage

# A hold after 429 that is shorter is part of a busy provider's day.
_MOMENT_S = 5.0


@dataclass(frozen=True, slots=True)
class GuardPolicy:
    """The limits around one provider."""

    max_concurrency: int
    """Calls in progress at once, in this process."""
    retry: RetryPolicy
    breaker: BreakerPolicy
    call_timeout_s: float
    """The whole of one call, from its start to the last byte."""
    health_timeout_s: float = 5.0
    """One health check; a provider that takes longer for a free call is not back."""
    pace: Pace = field(default_factory=Pace)
    """The least that an answer must come with."""
    rate: RatePolicy = field(default_factory=RatePolicy)
    """Requests and tokens of a minute, for each model, in this process."""
    prices: PriceList = field(default_factory=PriceList)
    """By which an answer's cost is known where the provider does not say it."""


@dataclass(slots=True)
class _Asking:
    """One request on its way to an answer."""

    request: CompletionRequest
    deadline: Deadline
    waiting: Waiting
    spent: Callable[[], None]
    queued_at: float
    """Since when it waits for its next call."""
    hurried: bool = False
    """Whether it has another provider to go to."""
    after: float = 0.0
    """Seconds before that call, at the earliest."""
    failure: ProviderError | None = None
    """Of the last call."""


class Guard:
    """One provider with everything around it. Built once for each provider, shared by all tasks."""

    def __init__(
        self, provider: Provider, policy: GuardPolicy, clock: Clock, rng: random.Random, observe: Observer
    ) -> None:
        self.provider = provider
        self._policy = policy
        self._clock = clock
        self._observe = observe
        self._backoff = Backoff(policy.retry, rng)
        self._breaker = Breaker(provider.name, policy.breaker, clock, observe)
        self._limit = ConcurrencyLimit(policy.max_concurrency, clock, self._backoff)
        self._rates = Rates(policy.rate, clock, self._rate_changed)
        self._gate = Gate(
            self._breaker, self._limit, HealthCheck(provider.health, policy.health_timeout_s), clock
        )

    @property
    def is_open(self) -> bool:
        """Whether the breaker holds calls back: the provider is away, or its return is being tried."""
        return self._breaker.state != CLOSED

    @property
    def state(self) -> str:
        """The breaker's state: ``closed``, ``open`` or ``half_open``."""
        return self._breaker.state

    @property
    def is_away(self) -> bool:
        """Whether nobody gets through for longer than a moment: by the breaker, a "come later", or a minute used up."""
        return self.is_open or max(self._limit.held_for(), self._limit.turn_in()) > _MOMENT_S

    @property
    def reason(self) -> str:
        """Why the breaker is in its state, in a sentence that is safe to show."""
        return self._breaker.reason

    @property
    def in_progress(self) -> int:
        """Calls that hold a permit now."""
        return self._limit.taken

    @property
    def rate_factor(self) -> float:
        """How much of its minute's limits the slowest model uses: 1 unless "too much" was said lately."""
        return self._rates.factor

    @property
    def prices(self) -> PriceList:
        return self._policy.prices

    async def wait_ready(self, deadline: Deadline) -> None:
        """Return when the breaker lets calls through.

        Those who wait here make one health check per breaker timeout together; after one that succeeds,
        one of them returns, and the others when its call has succeeded. Raises DeadlineExceeded.
        """
        if self.is_open:
            async with TimeLimit(self._clock, deadline.at, lambda: self._late(None)):
                await self._gate.ready()

    async def complete(
        self,
        request: CompletionRequest,
        deadline: Deadline,
        waiting: Waiting,
        spent: Callable[[], None] = lambda: None,
        *,
        hurried: bool = False,
    ) -> Completion:
        """The provider's answer. ``spent`` is called after each call that may have cost something.

        ``hurried``: another provider would take the task. No outage is waited for then, an account that is refused
        and a rest that is asked for are not either, and whatever else fails is tried again as often as retries allow.

        ``waiting`` gives up the caller's worker slot while inside. When a cancellation leaves it (the deadline
        is one) it must not wait for the slot again. Raises DeadlineExceeded, which ends waits and calls alike,
        and ProviderError: at once when no repetition can help, else the last one when the retries are spent.
        """
        refuse_unable(self.provider.name, self.provider.capabilities, request)
        asking = _Asking(request, deadline, waiting, spent, self._clock.monotonic(), hurried)
        async with TimeLimit(self._clock, deadline.at, lambda: self._late(asking.failure)):
            return await self._tried(asking)

    async def _tried(self, asking: _Asking) -> Completion:
        """The answer to one request, by as many calls as its retries allow."""
        try:
            return await self._made(asking)
        except ProviderError as error:
            if not error.retryable or (hurried_off(error) and asking.hurried):
                raise
            first: ProviderError | None = error

        async def attempt() -> Completion:
            # tenacity costs more than all else around a call, so it is asked only when there is something to
            # retry, and meets the first failure here.
            nonlocal first
            if first is not None:
                failed, first = first, None
                raise failed
            try:
                return await self._made(asking)
            except ProviderError as error:
                if asking.hurried and hurried_off(error):
                    raise _LeftError(error) from None
                raise

        async def put_off(seconds: float) -> None:
            # The gate sleeps it, in one wait with all else that is waited for before a call.
            asking.after = seconds

        def on_retry(error: ProviderError, delay_s: float) -> None:
            asking.failure, asking.queued_at = error, self._clock.monotonic()
            self._observe(ProviderRetried(self.provider.name, error.code, delay_s))

        attempts = retrying(
            self._policy.retry,
            sleep=put_off,
            delay=self._delay,
            on_retry=on_retry,
            hurried=asking.hurried,
        )
        try:
            completion: Completion = await attempts(attempt)
        except _LeftError as left:
            raise left.error from None
        return completion

    async def close(self) -> None:
        """End what runs on behalf of waiting tasks, then close the provider."""
        await self._gate.close()
        await self.provider.close()

    # --- one call ---------------------------------------------------------------------------------

    async def _made(self, asking: _Asking) -> Completion:
        # The deadline's cancellation comes once: a provider that swallowed it must not get another call.
        if asking.deadline.expired(self._clock):
            raise self._late(asking.failure)
        entry = await self._passed(asking)
        try:
            completion = await self._call(asking, entry)
        except ProviderError as error:
            if error.spent:
                asking.spent()
            raise
        asking.spent()
        return completion

    async def _passed(self, asking: _Asking) -> Pass:
        """Leave to make the call, in its model's turn."""
        rate = self._rates.of(self._model(asking.request))
        call = Call(rate, tokens_of(asking.request) if rate.counts_tokens else 0)
        held_by = rate.held_by(call.tokens) if call.wait() > 0 else None
        since = self._clock.monotonic()

        def unless(rate_s: float) -> ServiceError | None:
            return self._not_waited_for(asking, rate_s)

        entry = await self._gate.enter(asking.waiting, asking.after, unless, call)
        if held_by is not None:
            seconds = self._clock.monotonic() - since
            self._observe(TurnAwaited(self.provider.name, rate.model, held_by, seconds))
        return entry

    async def _call(self, asking: _Asking, entry: Pass) -> Completion:
        started = self._clock.monotonic()
        self._limit.begin(entry.permit)
        code = "cancelled"
        timings = Timings()
        try:
            answer = self._policy.prices.priced(
                await self._answer(asking.request), self._model(asking.request)
            )
            completion = _timed(answer, started - asking.queued_at)
            timings = completion.timings
            code = "success"
            self._breaker.succeeded(entry.ticket)
            self._limit.succeeded(entry.permit)
            self._account(completion, completion.usage.total_tokens, entry)
        except ProviderError as error:
            code = error.code
            self._learn(error, entry)
            raise
        finally:
            if code == "cancelled" and asking.deadline.expired(self._clock):
                code = DeadlineExceeded.code
            self._gate.leave(entry)
            model = self._model(asking.request)
            seconds = self._clock.monotonic() - started
            spans = timings.queue_s, timings.connect_s, timings.first_token_s
            self._observe(ProviderCalled(self.provider.name, model, code, seconds, *spans))
        return completion

    async def _answer(self, request: CompletionRequest) -> Completion:
        """The provider's answer or its error; whatever else it raises is its bug and becomes ProviderError.

        Of a foreign exception only the type is named: its text may hold headers, a key or a document.
        """
        until = self._clock.monotonic() + self._policy.call_timeout_s
        try:
            async with TimeLimit(self._clock, until, self._took_too_long):
                return await self._asked(request)
        except ProviderError:
            raise
        except asyncio.CancelledError:
            if is_cancelled():
                raise
            raise self._broken("a cancellation of its own") from None
        except Exception as error:
            if (short := shortage(error)) is not None:
                raise MachineShort(
                    f"The provider {self.provider.name} could not be asked: {short}."
                ) from None
            raise self._broken(type(error).__name__) from None

    async def _asked(self, request: CompletionRequest) -> Completion:
        """Read as a stream where that is possible: a long answer shows all the time that it is being written."""
        if not self.provider.capabilities.streaming:
            return await self.provider.complete(request)
        name = self.provider.name
        stream = within(self.provider.stream(request), name, request.most_answer_tokens)
        return await whole(paced(stream, name, self._policy.pace, self._clock), name)

    def _learn(self, error: ProviderError, entry: Pass) -> None:
        if error.trips:
            self._breaker.failed(entry.ticket, error.message)
        self._account(error, None if error.spent else 0, entry)
        if isinstance(error, ProviderRateLimited):
            self._limit.throttled(entry.permit, bounded(error.retry_after))

    def _account(self, said: Completion | ProviderError, tokens: int | None, entry: Pass) -> None:
        """What the call took of its minute, None where nobody knows, and what the provider says is left."""
        if tokens is not None:
            self._limit.settle(entry.permit, tokens)
        if (rate := entry.permit.call.rate) is not None:
            rate.told(*left_by(said))

    def _delay(self, error: ProviderError, failures: int) -> float:
        """Seconds before the next attempt, at least; the gate may add its own.

        While the provider is held or its breaker open, the gate says when to go on, and says it to all
        alike: a delay of one's own would only be late.
        """
        if isinstance(error, ProviderRateLimited):
            return self._limit.held_for()
        own = 0.0 if self.is_open else self._backoff.delay(failures)
        return max(own, bounded(error.retry_after) or 0.0)

    def _not_waited_for(self, asking: _Asking, rate_s: float) -> ServiceError | None:
        """Why a task should not wait whose turn comes in ``rate_s`` seconds at the earliest."""
        name = self.provider.name
        if asking.hurried and self.is_open:
            return ProviderUnavailable(f"The provider {name} is left alone: {self.reason}")
        held_s = self._limit.held_for()
        if asking.hurried and held_s > _MOMENT_S:
            return ProviderRateLimited(
                f"The provider {name} asks to come in {held_s:.0f} s.", retry_after=held_s
            )
        left_s = asking.deadline.remaining(self._clock)
        too_late = left_s is not None and rate_s > left_s
        if not too_late and not (asking.hurried and rate_s > _MOMENT_S):
            return None
        rate = self._rates.of(self._model(asking.request))
        words = in_words(*rate.limits, is_learned=rate.is_learned)
        sentence = f"Its turn at {name} comes in {rate_s:.0f} s at the earliest ({words})"
        if asking.hurried:
            return ProviderRateLimited(f"{sentence}.", retry_after=rate_s)
        return DeadlineExceeded(f"{sentence}, and the task's deadline before that.")

    def _model(self, request: CompletionRequest) -> str:
        return request.model or self.provider.default_model

    def _rate_changed(self, state: RateState) -> None:
        self._observe(
            RateChanged(self.provider.name, state.model, state.requests, state.tokens, state.reason)
        )

    def _late(self, failure: ProviderError | None) -> DeadlineExceeded:
        """Says what the task was waiting for, since "too late" alone tells its reader nothing to do."""
        sentence = f"The task's deadline passed before {self.provider.name} had answered"
        cause = failure.message if failure is not None else self.reason if self.is_open else ""
        return DeadlineExceeded(f"{sentence}: {cause}" if cause else f"{sentence}.")

    def _took_too_long(self) -> ProviderTimeout:
        limit = self._policy.call_timeout_s
        return ProviderTimeout(f"{self.provider.name} did not finish its answer within {limit:g} s.")

    def _broken(self, what: str) -> ProviderError:
        return ProviderError(
            f"The provider {self.provider.name} failed in a way it does not declare ({what}): a bug in it."
        )


class _LeftError(Exception):
    """Carries an error past tenacity, which would try again."""

    def __init__(self, error: ProviderError) -> None:
        super().__init__(error.code)
        self.error = error


def hurried_off(error: ProviderError) -> bool:
    """Whether an error says by itself that the provider won't answer soon: who has another one goes there at once."""
    if isinstance(error, ProviderAccountError):
        return True
    return (bounded(error.retry_after) or 0.0) > _MOMENT_S


def _timed(completion: Completion, queue_s: float) -> Completion:
    """With the wait before the call, which only we know."""
    return replace(completion, timings=replace(completion.timings, queue_s=queue_s))
