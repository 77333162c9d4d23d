"""What faults act on, and where they note what they did."""

from __future__ import annotations

import asyncio
import random
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import asdict, dataclass, field

from tests.chaos.cases import Case, Load
from tests.chaos.crew import Crew, Member
from tests.chaos.plan import Plan
from tests.chaos.recording import Fault, Lines
from tests.chaos.stage import Stage
from tests.chaos.watcher import Watcher

# A kill counts only on a worker that has work; so long it waits for one.
_BUSY_WAIT_S = 20.0
_BUSY = 2
LOOK_S = 0.02


@dataclass(slots=True)
class Scene:
    """One run at work."""

    plan: Plan
    stage: Stage
    crew: Crew
    watcher: Watcher
    lines: Lines
    send: Callable[[Case], Awaitable[None]]
    """One task beside the load; returns when it is acknowledged."""
    load: Load
    counts: Counter[str] = field(default_factory=Counter)
    active: Counter[str] = field(default_factory=Counter)
    """Faults that last right now."""
    locks: dict[str, asyncio.Lock] = field(default_factory=dict)
    """By service: two faults do not get at one service at once."""

    def lock(self, service: str) -> asyncio.Lock:
        return self.locks.setdefault(service, asyncio.Lock())

    @asynccontextmanager
    async def lasting(self, fault: str, what: str, worker: str = "", back: str = "") -> AsyncIterator[None]:
        """Note a fault from here to the end of the context."""
        at = time.time()
        self.counts[fault] += 1
        self.active[fault] += 1
        try:
            yield
        finally:
            self.active[fault] -= 1
            self.lines.write(asdict(Fault(fault, what, at, time.time(), worker, back)))

    def strike(self, fault: str, what: str, at: float, worker: str = "", back: str = "") -> None:
        """Note a fault that is over at once."""
        self.counts[fault] += 1
        self.lines.write(asdict(Fault(fault, what, at, at, worker, back)))

    @asynccontextmanager
    async def one_of_crew(self, rng: random.Random, *, busy: bool) -> AsyncIterator[Member | None]:
        """A running member that no other fault is at; None where none is found in time."""
        member = await self._found(rng, _BUSY if busy else 0)
        if member is None:
            yield None
            return
        try:
            yield member
        finally:
            member.busy.release()

    @asynccontextmanager
    async def whole_crew(self) -> AsyncIterator[Sequence[Member]]:
        """All members, once no other fault is at any."""
        async with AsyncExitStack() as stack:
            members = list(self.crew.members)
            for member in members:
                await stack.enter_async_context(member.busy)
            yield [member for member in members if member.running]

    async def until(self, true: Callable[[], bool], seconds: float) -> bool:
        end = time.monotonic() + seconds
        while not true():
            if time.monotonic() > end:
                return False
            await asyncio.sleep(LOOK_S)
        return True

    async def _found(self, rng: random.Random, least: int) -> Member | None:
        """With its lock taken."""
        until = time.monotonic() + _BUSY_WAIT_S
        while time.monotonic() < until:
            members = list(self.crew.members)
            rng.shuffle(members)
            for member in members:
                if not member.busy.locked() and member.running and self._at_work(member, least):
                    await member.busy.acquire()
                    return member
            await asyncio.sleep(LOOK_S)
        return None

    def _at_work(self, member: Member, least: int) -> bool:
        return self.watcher.busy(member.worker_id) >= least
