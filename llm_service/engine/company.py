"""Who may be in the engine together: many, or one alone."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


class Company:
    """Many are in together; whoever must be alone waits till they have left, and lets nobody in meanwhile."""

    def __init__(self) -> None:
        self._changed = asyncio.Condition()
        self._inside = 0
        self._loners = 0

    @asynccontextmanager
    async def together(self) -> AsyncIterator[None]:
        async with self._changed:
            await self._changed.wait_for(lambda: not self._loners)
            self._inside += 1
        try:
            yield
        finally:
            await self._left()

    @asynccontextmanager
    async def alone(self) -> AsyncIterator[None]:
        self._loners += 1
        try:
            async with self._changed:
                await self._changed.wait_for(lambda: not self._inside)
                self._inside += 1
            try:
                yield
            finally:
                await self._left()
        finally:
            self._loners -= 1
            await self._tell()

    async def _left(self) -> None:
        self._inside -= 1
        await self._tell()

    async def _tell(self) -> None:
        async with self._changed:
            self._changed.notify_all()
