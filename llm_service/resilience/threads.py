"""Threads as an argument, as time is: who starts or waits for one asks ``Threads``, so that a simulation owns them."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from typing import Protocol, TypeVar

T = TypeVar("T")


class Flag(Protocol):
    """What a thread waits for; ``threading.Event`` is one."""

    def set(self) -> None: ...

    def clear(self) -> None: ...

    def is_set(self) -> bool: ...

    def wait(self, timeout: float | None = None) -> bool:
        """Whether it was set within ``timeout`` seconds."""
        ...


class Thread(Protocol):
    """One thread, not started yet."""

    def start(self) -> None: ...

    def is_alive(self) -> bool: ...

    async def joined(self, timeout: float) -> None:
        """Return when it has ended, or after ``timeout`` seconds."""
        ...


class Threads(Protocol):
    """Where threads come from, and how they wait; seconds."""

    def thread(self, run: Callable[[], None], name: str) -> Thread: ...

    def flag(self) -> Flag: ...

    def sleep(self, seconds: float) -> None: ...

    def monotonic(self) -> float: ...

    def result(self, future: Future[T], timeout: float) -> T:
        """Raises TimeoutError when there is none within ``timeout``, and what the future raised."""
        ...


class SystemThreads:
    """The machine's threads: daemons, since a stop must never hang on one."""

    def thread(self, run: Callable[[], None], name: str) -> Thread:
        return _SystemThread(run, name)

    def flag(self) -> Flag:
        return threading.Event()

    def sleep(self, seconds: float) -> None:
        time.sleep(seconds)

    def monotonic(self) -> float:
        return time.monotonic()

    def result(self, future: Future[T], timeout: float) -> T:
        return future.result(timeout)


class _SystemThread(threading.Thread):
    def __init__(self, run: Callable[[], None], name: str) -> None:
        super().__init__(target=run, name=name, daemon=True)

    async def joined(self, timeout: float) -> None:
        if self.is_alive():
            await asyncio.to_thread(self.join, timeout)


SYSTEM_THREADS = SystemThreads()
