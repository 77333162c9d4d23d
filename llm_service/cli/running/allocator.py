"""How the C library's allocator holds a worker's memory: in few places, and what is free goes back to the machine.

Nothing here changes what a worker uses, only what it keeps that it does not use. Each thread allocates from an arena,
and glibc makes up to eight of them a core. Kafka's client starts some threads for each consumer; the fold of the status
topic makes two consumers every two seconds, so that sooner or later every arena has held a whole reading, and each keeps
its peak in free pieces. Measured: 16 arenas on two cores, the bytes in use flat, the free ones growing by the task.
"""

from __future__ import annotations

import asyncio
import ctypes
from collections.abc import Callable
from typing import Final

from llm_service.resilience.clock import Clock

# <malloc.h>
_M_ARENA_MAX: Final = -8
# One for the event loop, which allocates under Python's lock, and one for the threads of the libraries.
ARENAS: Final = 2
# A look through 40 MB takes 0.2 to 9 ms, and so less than 0.1 % of a core. At 70 tasks a second a worker stayed flat by it;
# with one every minute it grew by some 900 bytes a task in its first minutes.
_EVERY_S: Final = 10.0


def use_few_arenas() -> None:
    """Before the first thread: an arena that is there stays. Nothing where the C library has no arenas (musl, macOS)."""
    limit = _of_libc("mallopt")
    if limit is not None:
        limit(_M_ARENA_MAX, ARENAS)


def give_back() -> None:
    """Whole free pages of all arenas go to the machine; blocks for some milliseconds. Nothing where it can't be asked."""
    trim = _of_libc("malloc_trim")
    if trim is not None:
        trim(0)


async def give_back_regularly(clock: Clock) -> None:
    """Until it is cancelled."""
    while True:
        await clock.sleep(_EVERY_S)
        await asyncio.to_thread(give_back)


def _of_libc(name: str) -> Callable[..., int] | None:
    found: Callable[..., int] | None = getattr(ctypes.CDLL(None), name, None)
    return found
