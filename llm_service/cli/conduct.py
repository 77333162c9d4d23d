"""A command's coroutine, from its start to the process's exit code."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Any, NoReturn

from llm_service.cli.interrupt import Interrupt


def conduct(work: Callable[[], Coroutine[Any, Any, int]]) -> NoReturn:
    """Run it on a loop of its own and leave with what it returns, or, after a signal, with 128 + signal.

    After a signal the process ends as soon as the work has put its things away, not when each of its threads is out
    of a call to what does not answer.
    """
    sys.exit(asyncio.run(_conduct(work)))


async def _conduct(work: Callable[[], Coroutine[Any, Any, int]]) -> int:
    interrupt = Interrupt()
    code = await interrupt.bound(work())
    if interrupt.exit_code is not None:
        leave(code)
    return code


def leave(code: int) -> NoReturn:
    """End the process now, though threads are in calls to what does not answer: an exit in the usual way joins them."""
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError):
            stream.flush()
    os._exit(code)
