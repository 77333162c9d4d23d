"""A call over the network: it takes time, may fail, be slow, or be done and reported as failed; its caller may die."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TypeVar

from tests.simulation.cluster import Cluster
from tests.simulation.faults import CallFailed, Faults
from tests.simulation.threads import SimulatedThreads
from tests.simulation.world import Process

T = TypeVar("T")

_QUICK_S = (0.0005, 0.004)
_SLOW_S = (0.5, 4.0)


class Calls:
    """Calls of one process."""

    def __init__(self, process: Process, threads: SimulatedThreads, faults: Faults, cluster: Cluster) -> None:
        self.process = process
        self.threads = threads
        self.faults = faults
        self.cluster = cluster
        self._arrived_at = 0.0
        self._replied_at = 0.0
        """Requests to one broker over one connection come in their order."""

    def make(self, name: str, do: Callable[[], T]) -> T:
        """On a thread. Raises CallFailed, and what ``do`` raises."""
        self.boundary(f"before {name}")
        way = self.faults.of(name)
        # Behind what was sent before it: what arrives in one moment comes in an order of chance.
        before = self._arrived_at - self.threads.monotonic() + 1e-6 if name == "commit" else 0.0
        self.threads.sleep(max(self.latency(way), before))
        if way == "fails":
            raise CallFailed(name)
        away = self.cluster.coordinator_away_until - self.threads.monotonic()
        if away > 0:
            self.threads.sleep(away)
        result = do()
        self.threads.sleep(self.latency(""))
        if way == "done and reported as failed":
            raise CallFailed(name)
        self.boundary(f"after {name}")
        return result

    async def make_async(self, name: str, do: Callable[[], T]) -> T:
        """On the event loop."""
        await self.boundary_async(f"before {name}")
        way = self.faults.of(name)
        await asyncio.sleep(self.latency(way))
        if way == "fails":
            raise CallFailed(name)
        result = do()
        await asyncio.sleep(self.latency(""))
        if way == "done and reported as failed":
            raise CallFailed(name)
        await self.boundary_async(f"after {name}")
        return result

    def in_passing(
        self, name: str, do: Callable[[], T], answered: Callable[[T | None], None], timeout: float = 1.0
    ) -> None:
        """A request that nobody waits for: it arrives also when its sender is dead by then.

        ``answered`` is given None where there is no answer, after ``timeout`` seconds.
        """
        world, way = self.process.world, self.faults.of(name)
        delay = self.latency(way) + max(self.cluster.coordinator_away_until - world.now, 0.0)
        if way != "fails":
            delay = max(delay, self._arrived_at - world.now + 1e-6)
            self._arrived_at = world.now + delay

        def arrive() -> None:
            result = do()
            if way != "done and reported as failed":
                self._replied_at = max(world.now + self.latency(""), self._replied_at + 1e-6)
                self.process.after(self._replied_at - world.now, lambda: answered(result))

        if way != "fails":
            world.after(delay, arrive)
        if way in ("fails", "done and reported as failed"):
            self.process.after(timeout, lambda: answered(None))

    def latency(self, way: str) -> float:
        return self.process.world.between(*(_SLOW_S if way == "slow" else _QUICK_S))

    def boundary(self, name: str) -> None:
        if not self.faults.passes(self.process, name):
            self.threads.give_turn()

    async def boundary_async(self, name: str) -> None:
        if not self.faults.passes(self.process, name):
            await asyncio.get_running_loop().create_future()
