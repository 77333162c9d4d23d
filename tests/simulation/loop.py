"""An event loop on virtual time: one process's, run by the world's events."""

from __future__ import annotations

import asyncio
import contextvars
from asyncio import base_events
from collections.abc import Callable
from typing import Any

from tests.simulation.world import Process

# How long a loop that something waits for takes until it runs: the interpreter's lock, other work.
_TURN_S = 0.0004


class _Task(asyncio.Task[Any]):
    """Hashed by its number, not by where it lies in memory: a set of tasks has the same order in each run."""

    def __init__(self, number: int, coroutine: Any, **options: Any) -> None:
        self._number = number  # first, since asyncio's own set of tasks asks for the hash
        super().__init__(coroutine, **options)

    def __hash__(self) -> int:
        return self._number


class ProcessLoop(base_events.BaseEventLoop):
    """asyncio's own loop without a selector: what is ready runs when the world says so."""

    _ready: Any
    _closed: bool

    def __init__(self, process: Process) -> None:
        super().__init__()
        self._process = process
        self._is_due = False
        self.blocked_s = 0.0
        """The next turn comes so much later: something holds the loop up."""
        self.failures: list[str] = []
        self.tasks: set[asyncio.Task[Any]] = set()
        """Kept: the tasks of a killed process are never run to an end, nor closed before the run is over."""
        self._made = 0
        self.set_task_factory(self._make_task)

    def time(self) -> float:
        return self._process.world.now

    def call_soon(  # type: ignore[override]
        self, callback: Callable[..., object], *args: Any, context: contextvars.Context | None = None
    ) -> asyncio.Handle:
        handle = asyncio.Handle(callback, args, self, context)
        self._ready.append(handle)
        self._see_to_it()
        return handle

    call_soon_threadsafe = call_soon  # type: ignore[assignment]

    def call_later(  # type: ignore[override]
        self,
        delay: float,
        callback: Callable[..., object],
        *args: Any,
        context: contextvars.Context | None = None,
    ) -> asyncio.TimerHandle:
        return self.call_at(self.time() + delay, callback, *args, context=context)

    def call_at(  # type: ignore[override]
        self,
        when: float,
        callback: Callable[..., object],
        *args: Any,
        context: contextvars.Context | None = None,
    ) -> asyncio.TimerHandle:
        timer = asyncio.TimerHandle(when, callback, args, self, context)
        self._process.after(when - self.time(), lambda: self._due(timer))
        return timer

    def _due(self, timer: asyncio.TimerHandle) -> None:
        if not timer.cancelled():
            self._ready.append(timer)
            self._turn()

    def _see_to_it(self) -> None:
        if not self._is_due:
            self._is_due = True
            delay, self.blocked_s = self.blocked_s + self._process.world.rng.random() * _TURN_S, 0.0
            self._process.after(delay, self._turn)

    def _turn(self) -> None:
        self._is_due = True  # what becomes ready meanwhile is seen to below
        ready = self._ready
        asyncio._set_running_loop(self)
        try:
            for _ in range(len(ready)):
                handle = ready.popleft()
                if not handle.cancelled():
                    handle._run()
                if self._process.dead:
                    return
        finally:
            asyncio._set_running_loop(None)
        self._is_due = False
        if ready:
            self._see_to_it()

    def _make_task(
        self, loop: asyncio.AbstractEventLoop, coroutine: Any, **options: Any
    ) -> asyncio.Future[Any]:
        self._made += 1
        task = _Task(self._made, coroutine, loop=loop, **options)
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)
        return task

    def run_in_executor(  # type: ignore[override]
        self, executor: object, func: Callable[..., Any], *args: Any
    ) -> asyncio.Future[Any]:
        """A thread that does one thing: in one moment, some time later."""
        future = self.create_future()

        def run() -> None:
            if future.cancelled():
                return
            try:
                future.set_result(func(*args))
            except Exception as error:
                future.set_exception(error)

        self._process.after(self._process.world.rng.random() * _TURN_S, run)
        return future

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        error = context.get("exception")
        self.failures.append(f"{context.get('message')}: {error!r}")

    def abandon(self) -> None:
        """The process is dead and the run over: nothing is said of what never ended."""
        for task in self.tasks:
            task._log_destroy_pending = False  # type: ignore[attr-defined]
        self._ready.clear()
        self._closed = True

    def get_debug(self) -> bool:
        return False
