"""A call of librdkafka on a thread beside, which is left behind where it does not come back in time.

Its calls have limits of time that some of them do not look at (librdkafka's issue 5456, open). A thread can't be
interrupted in a C call; but nobody has to wait for it, and the end of the process does not either.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import Future, InvalidStateError
from contextlib import suppress
from typing import TypeVar

from llm_service.errors import DependencyUnavailable

T = TypeVar("T")


def begun(call: Callable[[], T], name: str) -> Future[T]:
    """What becomes of the call, which has begun on a daemon thread of that name. To cancel the future leaves it behind."""
    answer: Future[T] = Future()

    def made() -> None:
        try:
            result = call()
        except BaseException as error:  # raised where it is awaited
            with suppress(InvalidStateError):  # nobody does any more
                answer.set_exception(error)
        else:
            with suppress(InvalidStateError):
                answer.set_result(result)

    threading.Thread(target=made, name=name, daemon=True).start()
    return answer


async def aside(call: Callable[[], T], limit_s: float, what: str) -> T:
    """As ``asyncio.to_thread``, for ``limit_s`` seconds at most. Raises DependencyUnavailable when they are over.

    ``what`` was asked, for the message.
    """
    answer = begun(call, f"kafka-{what.replace(' ', '-')}")
    try:
        async with asyncio.timeout(limit_s):
            return await asyncio.wrap_future(answer)
    except TimeoutError:
        if answer.done() and not answer.cancelled():
            raise
        raise DependencyUnavailable(
            f"asking for {what} did not come back from librdkafka within {limit_s:g} s: see whether the brokers can be "
            "reached from here all the time, and try again"
        ) from None
