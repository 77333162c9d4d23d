"""The drops that this worker made tasks of lately, so that a notification told twice makes one."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager


class RecentDrops:
    """Ids whose task is being produced, and the last ``size`` of those whose task is durable."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._claimed: dict[str, asyncio.Future[None]] = {}
        self._durable: OrderedDict[str, None] = OrderedDict()

    def __contains__(self, drop_id: str) -> bool:
        return drop_id in self._durable

    async def free(self, drop_ids: Sequence[str]) -> None:
        """Return when nobody is producing any of them."""
        while taken := [self._claimed[drop_id] for drop_id in drop_ids if drop_id in self._claimed]:
            # Its owner's: a waiter that is cancelled must not cancel it for the others.
            await asyncio.shield(taken[0])

    @contextmanager
    def claim(self, drop_ids: Sequence[str]) -> Iterator[None]:
        """Produce their tasks inside; ``free`` comes right before."""
        ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        mine = dict.fromkeys(drop_ids, ended)
        self._claimed.update(mine)
        try:
            yield
        finally:
            for drop_id in mine:
                del self._claimed[drop_id]
            ended.set_result(None)

    def remember(self, drop_ids: Iterable[str]) -> None:
        """Their tasks are durable."""
        for drop_id in drop_ids:
            self._durable[drop_id] = None
            self._durable.move_to_end(drop_id)
        while len(self._durable) > self._size:
            self._durable.popitem(last=False)
