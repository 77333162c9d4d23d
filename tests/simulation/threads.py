"""The product's threads, each a greenlet that gives the world the turn wherever it waits."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import Future
from typing import TypeVar

from greenlet import GreenletExit, getcurrent, greenlet

from tests.simulation.world import Process

T = TypeVar("T")

# Until a thread that was woken runs.
_SWITCH_S = 0.0004


class SimulatedThreads:
    """See ``llm_service.resilience.threads.Threads``."""

    def __init__(self, process: Process) -> None:
        self._process = process
        self._hub = getcurrent()
        self.started: list[SimulatedThread] = []

    def thread(self, run: Callable[[], None], name: str) -> SimulatedThread:
        thread = SimulatedThread(self, run, name)
        self.started.append(thread)
        return thread

    def flag(self) -> SimulatedFlag:
        return SimulatedFlag(self)

    def monotonic(self) -> float:
        return self._process.world.now

    def sleep(self, seconds: float) -> None:
        resume = self.resume_of_this()
        self._process.after(seconds, resume)
        self.give_turn()

    def result(self, future: Future[T], timeout: float) -> T:
        done = self.flag()
        future.add_done_callback(lambda _: done.set())
        if not done.wait(timeout):
            raise TimeoutError
        return future.result(0)

    # --- for what threads are made of -----------------------------------------------------------

    def resume_of_this(self) -> Callable[[], None]:
        """What lets the calling thread go on, once; later calls do nothing."""
        current: greenlet | None = getcurrent()

        def resume() -> None:
            nonlocal current
            if current is not None:
                going, current = current, None
                going.switch()

        return resume

    def give_turn(self) -> None:
        if self._process.dead:
            raise GreenletExit
        self._hub.switch()

    def soon(self, action: Callable[[], None]) -> None:
        self._process.after(self._process.world.rng.random() * _SWITCH_S, action)

    def abandon(self) -> None:
        """The run is over: unwind what never ended."""
        self._process.dead = True
        for thread in self.started:
            thread.end()


class SimulatedThread:
    """See ``llm_service.resilience.threads.Thread``."""

    def __init__(self, threads: SimulatedThreads, run: Callable[[], None], name: str) -> None:
        self._threads = threads
        self._name = name
        self._greenlet = greenlet(run)
        self._is_started = False

    def start(self) -> None:
        self._is_started = True
        self._threads.soon(self._greenlet.switch)

    def is_alive(self) -> bool:
        return self._is_started and not self._greenlet.dead

    async def joined(self, timeout: float) -> None:
        until = self._threads.monotonic() + timeout
        while self.is_alive() and self._threads.monotonic() < until:  # noqa: ASYNC110 -- as real threads are joined
            await asyncio.sleep(0.01)

    def end(self) -> None:
        if self._is_started and not self._greenlet.dead:
            self._greenlet.throw(GreenletExit)


class SimulatedFlag:
    """See ``llm_service.resilience.threads.Flag``."""

    def __init__(self, threads: SimulatedThreads) -> None:
        self._threads = threads
        self._is_set = False
        self._waiting: list[Callable[[], None]] = []

    def set(self) -> None:
        self._is_set = True
        waiting, self._waiting = self._waiting, []
        for resume in waiting:
            self._threads.soon(resume)

    def clear(self) -> None:
        self._is_set = False

    def is_set(self) -> bool:
        return self._is_set

    def wait(self, timeout: float | None = None) -> bool:
        if not self._is_set:
            resume = self._threads.resume_of_this()
            self._waiting.append(resume)
            late = self._threads._process.after(1e9 if timeout is None else timeout, resume)
            self._threads.give_turn()
            late.cancel()
        return self._is_set
