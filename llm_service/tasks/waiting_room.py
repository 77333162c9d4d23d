"""Who waits for a provider that is away, and who of them has to wait elsewhere: on the retry topic.

They may hold a share of the window, so that the tasks of other providers find room in it. What exceeds the share is
sent round while another provider is well; where all are away nobody is, since nothing would be gained by it: the window
fills, and consumption pauses.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from llm_service.errors import ServiceError


class SentRound(Exception):
    """Raised in a task in the place of its wait: it is to go on with that on the retry topic.

    No error of the service: nothing failed.
    """

    def __init__(self, cause: ServiceError) -> None:
        super().__init__(cause.message)
        self.cause = cause
        """What it waited for."""


@dataclass(frozen=True, slots=True)
class Wait:
    """What a task waits for, and whether it may do so elsewhere. Each is asked when it matters."""

    place: tuple[str, int, int]
    provider: str
    is_away: Callable[[], bool]
    """Whether it is the provider that keeps the task waiting, and not only for a moment."""
    may_leave: Callable[[], bool]
    cause: Callable[[], ServiceError]


@dataclass(slots=True, eq=False)
class _Seat:
    wait: Wait
    body: asyncio.Task[object]
    cut: bool = False

    def cut_short(self) -> None:
        self.cut = True
        self.body.cancel()


class WaitingRoom:
    """Counts those who wait, and ends the waits that are too many. On the event loop."""

    def __init__(self, share: int, others_go_on: Callable[[], bool]) -> None:
        """``share``: so many may wait here; ``others_go_on``: whether any provider is well."""
        self._share = share
        self._others_go_on = others_go_on
        self._seats: dict[_Seat, None] = {}

    def __len__(self) -> int:
        return len(self._seats)

    @contextmanager
    def seat(self, wait: Wait) -> Iterator[None]:
        """Wait inside. Raises SentRound where that is to end, at once where there is no room."""
        body = asyncio.current_task()
        if body is None:
            raise RuntimeError("only a task can wait")
        before = body.cancelling()
        seat = _Seat(wait, body)
        self._seats[seat] = None
        try:
            excess = self._excess()
            for other in excess:
                if other is not seat:
                    other.cut_short()
            if seat in excess:
                raise SentRound(wait.cause())
            try:
                yield
            except asyncio.CancelledError:
                # uncancel() takes our own request back; what is left of others came from outside.
                if seat.cut and body.uncancel() <= before:
                    raise SentRound(wait.cause()) from None
                raise
            if seat.cut:
                # Somebody below took the cancellation for theirs; the slot was not taken back for it.
                body.uncancel()
                raise SentRound(wait.cause())
        finally:
            del self._seats[seat]

    def review(self) -> None:
        """End the waits beyond the share. To be called when a provider has come or gone."""
        for seat in self._excess():
            seat.cut_short()

    def make_way(self, place: tuple[str, int, int]) -> None:
        """End the wait of this message, whatever the share: its partition can't go on without."""
        for seat in self._seats:
            if seat.wait.place == place and not seat.cut and seat.wait.may_leave():
                seat.cut_short()

    def _excess(self) -> list[_Seat]:
        """The newest beyond the share. The oldest of each provider stays: on its behalf the provider is looked after."""
        away = [seat for seat in self._seats if not seat.cut and seat.wait.is_away()]
        if len(away) <= self._share or not self._others_go_on():
            return []
        oldest = {seat.wait.provider: seat for seat in reversed(away)}
        later = [seat for seat in away if oldest[seat.wait.provider] is not seat]
        room = max(0, self._share - len(oldest))
        return [seat for seat in later[room:] if seat.wait.may_leave()]
