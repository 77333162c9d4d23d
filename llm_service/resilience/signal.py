"""A broadcast: all who wait at the moment it fires go on."""

from __future__ import annotations

import asyncio


class Signal:
    """Like an ``asyncio.Event`` that falls back at once; who waits looks again at what he waits for."""

    def __init__(self) -> None:
        self._event = asyncio.Event()

    async def wait(self) -> None:
        """Return when the signal fires next."""
        await self._event.wait()

    def fire(self) -> None:
        """Wake all who wait now."""
        self._event.set()
        self._event = asyncio.Event()
