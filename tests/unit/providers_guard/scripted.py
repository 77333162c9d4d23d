"""A provider that does what a test wrote down, and the bench around it."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TypeAlias

from llm_service.events import BreakerChanged, Event, Observer, ProviderCalled, ProviderRetried
from llm_service.providers.guard import Guard, GuardPolicy
from llm_service.providers.plain import PlainProvider
from llm_service.providers.protocol import (
    Completion,
    CompletionRequest,
    FinishReason,
    Message,
)
from llm_service.resilience.breaker import BreakerPolicy
from llm_service.resilience.deadline import Deadline
from llm_service.resilience.retry import RetryPolicy
from tests.manual_clock import ManualClock

REQUEST = CompletionRequest(messages=(Message("user", "hello"),))

POLICY = GuardPolicy(
    max_concurrency=4,
    retry=RetryPolicy(max_retries=2, initial_delay_s=1.0, max_delay_s=8.0),
    breaker=BreakerPolicy(failure_threshold=3, open_s=30.0),
    call_timeout_s=100.0,
    health_timeout_s=5.0,
)


@dataclass(frozen=True)
class Later:
    """An error after so many seconds."""

    seconds: float
    error: BaseException


Step: TypeAlias = BaseException | float | Later


class ScriptedProvider(PlainProvider):
    """Does what its script says, and writes down what it sees."""

    name = "scripted"
    default_model = "scripted-1"

    def __init__(self, clock: ManualClock) -> None:
        self.clock = clock
        self.script: list[Step] = []
        """What the next calls do: raise, or answer after so many seconds."""
        self.always: Step = 0.0
        """What they do when the script is empty."""
        self.healthy: Step = 0.0
        self.called_at: list[float] = []
        self.checked_at: list[float] = []
        self.states: list[str] = []
        """The breaker's state as each call found it."""
        self.in_progress = 0
        self.most_in_progress = 0
        self.cancelled = 0
        self.closed = False
        self.state: Callable[[], str] = lambda: "closed"

    async def complete(self, request: CompletionRequest) -> Completion:
        self.called_at.append(self.clock.monotonic() - 1_000.0)
        self.states.append(self.state())
        self.in_progress += 1
        self.most_in_progress = max(self.most_in_progress, self.in_progress)
        try:
            await self._do(self.script.pop(0) if self.script else self.always)
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        finally:
            self.in_progress -= 1
        return Completion("answer", FinishReason.STOP, "scripted-1.0.7")

    async def health(self) -> None:
        self.checked_at.append(self.clock.monotonic() - 1_000.0)
        await self._do(self.healthy)

    async def close(self) -> None:
        self.closed = True

    async def _do(self, what: Step) -> None:
        if isinstance(what, Later):
            await self.clock.sleep(what.seconds)
            raise what.error
        if isinstance(what, BaseException):
            raise what
        if what:
            await self.clock.sleep(what)


class Slots:
    """Worker slots, as the pool has them."""

    def __init__(self, count: int) -> None:
        self._free = asyncio.Semaphore(count)
        self.held = 0

    async def take(self) -> None:
        await self._free.acquire()
        self.held += 1

    def give(self) -> None:
        self.held -= 1
        self._free.release()


class Slot:
    """One task's slot; ``waiting`` gives it up, and a cancelled task does not wait for it again."""

    def __init__(self, slots: Slots) -> None:
        self._slots = slots
        self.mine = False

    async def __aenter__(self) -> Slot:
        await self._slots.take()
        self.mine = True
        return self

    async def __aexit__(self, *_: object) -> None:
        if self.mine:
            self._slots.give()

    @asynccontextmanager
    async def waiting(self) -> AsyncIterator[None]:
        self.mine = False
        self._slots.give()
        yield
        await self._slots.take()
        self.mine = True


class Bench:
    """A guard, its provider, and tasks with slots."""

    def __init__(
        self,
        policy: GuardPolicy = POLICY,
        *,
        slots: int = 100,
        seed: int = 1,
        make: Callable[[ManualClock], ScriptedProvider] = ScriptedProvider,
    ) -> None:
        self.clock = ManualClock()
        self.provider = make(self.clock)
        self.events: list[Event] = []
        self.listeners: list[Observer] = [self.events.append]
        self.guard = Guard(self.provider, policy, self.clock, random.Random(seed), self._observe)
        self.provider.state = lambda: self.guard.state
        self.slots = Slots(slots)

    async def complete(self, within: float | None = None) -> Completion:
        """One task: takes a slot, asks, gives the slot back."""
        deadline = Deadline(None) if within is None else Deadline.after(self.clock, within)
        async with Slot(self.slots) as slot:
            return await self.guard.complete(REQUEST, deadline, slot.waiting)

    def start(self, count: int = 1, *, within: float | None = None) -> list[asyncio.Task[Completion]]:
        return [asyncio.create_task(self.complete(within)) for _ in range(count)]

    async def trip(self, error: Exception) -> None:
        """Open the breaker by as many calls as its threshold takes; their tasks are ended."""
        before, self.provider.always = self.provider.always, error
        tasks = self.start(POLICY.breaker.failure_threshold)
        await self.clock.settle()
        await end(tasks)
        self.provider.always = before
        assert self.guard.state == "open"
        self.provider.called_at.clear()
        self.provider.states.clear()
        self.events.clear()

    def _observe(self, event: Event) -> None:
        for listener in self.listeners:
            listener(event)

    @property
    def codes(self) -> list[str]:
        return [event.code for event in self.events if isinstance(event, ProviderCalled)]

    @property
    def states(self) -> list[str]:
        return [event.state for event in self.events if isinstance(event, BreakerChanged)]

    @property
    def retries(self) -> list[ProviderRetried]:
        return [event for event in self.events if isinstance(event, ProviderRetried)]

    @property
    def now(self) -> float:
        """Seconds since the test began."""
        return self.clock.monotonic() - 1_000.0

    def assert_nothing_is_held(self) -> None:
        assert self.guard.in_progress == 0
        assert self.slots.held == 0
        assert self.provider.in_progress == 0


async def end(tasks: list[asyncio.Task[Completion]]) -> None:
    """Cancel what is still running and take every result."""
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
