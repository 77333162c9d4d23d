"""Files that workers left at GigaChat when they were killed: found by their name and age, and deleted.

The vendor keeps a file until somebody deletes it, and its storage is limited. Any number of workers sweep the same account:
a file that another deleted first is gone, and that is all.
"""

from __future__ import annotations

import asyncio
import random
from contextlib import suppress
from contextvars import Context
from pathlib import PurePath

from llm_service.errors import ProviderError
from llm_service.events import FilesSwept, Observer
from llm_service.providers.gigachat_client import GigaChatClient
from llm_service.resilience.clock import Clock

MARK = ".llm-service"
"""Before the ending of a name: what this service uploads, and nobody else does."""

YOUNGEST_S = 3_600.0
CALLS = 3
"""A file is a crashed worker's once it is older than an hour, and than so many of the longest calls: files live no longer
than their call, and the vendor's clock may be ahead of ours."""

FIRST_WITHIN_S = 30.0
EVERY_S = 3_600.0
"""Of one worker, more or less by half, so that workers that start together don't come together."""

MOST = 100
SWEEP_S = 60.0
"""Of one sweep: files deleted, one after the other, and seconds. What is left is there for the next."""


def marked(name: str) -> str:
    """The name to upload under: ``letter.llm-service.pdf``."""
    path = PurePath(name)
    return f"{path.stem}{MARK}{path.suffix}"


def is_ours(name: str) -> bool:
    """Whether a file of that name was uploaded by this service."""
    path = PurePath(name)
    return path.suffix == MARK or path.stem.endswith(MARK)


class OrphanSweep:
    """Sweeps in the background from its first use on."""

    def __init__(
        self,
        client: GigaChatClient,
        clock: Clock,
        rng: random.Random,
        observe: Observer,
        longest_call_s: float,
    ) -> None:
        self._client = client
        self._clock = clock
        self._rng = rng
        self._observe = observe
        self._age_s = max(YOUNGEST_S, CALLS * longest_call_s)
        self._sweeping: asyncio.Task[None] | None = None

    def begin(self) -> None:
        """Sweep soon, and again every hour until closed."""
        if self._sweeping is None:
            # In a context of its own: its log lines are of no task.
            self._sweeping = asyncio.create_task(self._sweep_on(), name="gigachat-sweep", context=Context())

    async def close(self) -> None:
        if self._sweeping is not None:
            self._sweeping.cancel()
            await asyncio.gather(self._sweeping, return_exceptions=True)

    async def sweep(self) -> None:
        """Delete what is left there. Raises nothing of the vendor's: there is a next time."""
        deleted = 0
        with suppress(ProviderError, TimeoutError):
            async with asyncio.timeout(SWEEP_S):
                for file_id in await self._orphans():
                    await self._client.delete(file_id)
                    deleted += 1
        if deleted:
            self._observe(FilesSwept("gigachat", deleted))

    async def _orphans(self) -> list[str]:
        before = self._clock.now().timestamp() - self._age_s
        found = [
            file
            for file in await self._client.files()
            if file.created_at_s < before and is_ours(file.name) and file.purpose == "general"
        ]
        return [file.file_id for file in sorted(found, key=lambda file: file.created_at_s)[:MOST]]

    async def _sweep_on(self) -> None:
        await self._clock.sleep(self._rng.uniform(0, FIRST_WITHIN_S))
        while True:
            await self.sweep()
            await self._clock.sleep(self._rng.uniform(0.5, 1.5) * EVERY_S)
