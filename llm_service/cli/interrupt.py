"""Signals of whoever watches: the work is cut, what was made is taken away."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Coroutine
from typing import Any

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Interrupt:
    """Listens from its making to the end of the loop; a second signal changes nothing, for the end is under way."""

    def __init__(self) -> None:
        self._came: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        for number in _SIGNALS:
            asyncio.get_running_loop().add_signal_handler(number, self._on_signal, number)

    @property
    def exit_code(self) -> int | None:
        """The shell's 128 + signal; None while none came."""
        return 128 + self._came.result() if self._came.done() else None

    async def bound(self, work: Coroutine[Any, Any, int]) -> int:
        """What ``work`` returns, or, when a signal comes before it is done, 128 + signal with ``work`` cancelled."""
        working = asyncio.create_task(work)
        await asyncio.wait((working, self._came), return_when=asyncio.FIRST_COMPLETED)
        if not working.done():
            working.cancel()
            await asyncio.wait((working,))
        code = self.exit_code
        if code is None:
            return working.result()
        # Looked at, or asyncio complains on the terminal: how the cut work ended is of no interest.
        await asyncio.gather(working, return_exceptions=True)
        return code

    def _on_signal(self, number: int) -> None:
        if not self._came.done():
            self._came.set_result(number)
