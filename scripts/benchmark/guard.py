"""``./scripts/bench guard``: CPU of a call behind its guard (breaker, limits, deadline, events), beside it without one."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from llm_service.providers.guard import Guard, GuardPolicy
from llm_service.providers.plain import PlainProvider
from llm_service.providers.protocol import Completion, CompletionRequest, FinishReason, Message, Usage
from llm_service.resilience.breaker import BreakerPolicy
from llm_service.resilience.clock import SystemClock
from llm_service.resilience.deadline import Deadline
from llm_service.resilience.rate import RatePolicy
from llm_service.resilience.retry import RetryPolicy

_CALLS = 5_000
_ROUNDS = 5
_REQUEST = CompletionRequest((Message("user", "x" * 2_000),))
_LIMITS = RatePolicy(requests=10_000_000, tokens=10_000_000_000)


class _Instant(PlainProvider):
    name = "instant"
    default_model = "instant-1"

    async def complete(self, request: CompletionRequest) -> Completion:
        return Completion("answer", FinishReason.STOP, self.default_model, Usage(500, 1))


@asynccontextmanager
async def _waiting() -> AsyncIterator[None]:
    yield


async def _main() -> None:
    clock, provider = SystemClock(), _Instant()

    def behind(rate: RatePolicy) -> Callable[[], Awaitable[object]]:
        policy = GuardPolicy(10, RetryPolicy(2, 1.0, 10.0), BreakerPolicy(5, 30.0), 300.0, rate=rate)
        guard = Guard(provider, policy, clock, random.Random(1), lambda event: None)
        return lambda: guard.complete(_REQUEST, Deadline.after(clock, 60.0), _waiting)

    ways = {"bare": lambda: provider.complete(_REQUEST), "guarded": behind(RatePolicy())}
    ways["guarded, with a minute's limits"] = behind(_LIMITS)
    least = dict.fromkeys(ways, float("inf"))
    for _ in range(_ROUNDS):  # in turn, so that what else the machine does falls on all
        for name, call in ways.items():
            began = time.process_time()
            for _ in range(_CALLS):
                await call()
            least[name] = min(least[name], (time.process_time() - began) / _CALLS * 1e6)
    for name, micros in least.items():
        print(f"{name:32} {micros:7.1f} µs a call  {micros / least['bare']:7.0f} x bare")


if __name__ == "__main__":
    asyncio.run(_main())
