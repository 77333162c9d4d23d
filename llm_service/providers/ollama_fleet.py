"""Several Ollama servers as one: each with a limit and a health of its own, the least loaded asked first.

A server that fails before its answer has begun is left alone for a while, longer each time, and the next is asked; after
its rest one call tries it. With one address there is nothing to choose: it is asked, and what it says is said.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TypeAlias

from llm_service.errors import ModelNotFound, ProviderError
from llm_service.providers.ollama_server import OllamaServer
from llm_service.resilience.clock import Clock
from llm_service.resilience.retry_after import bounded
from llm_service.resilience.shortage import MachineShort

FIRST_REST_S = 1.0
LONGEST_REST_S = 60.0
"""After the first failure in a row, and after many: doubled between. What the server itself asks for goes before."""

LastResort: TypeAlias = Callable[[str, OllamaServer], Awaitable[None]]
"""What is done with a model that no server has."""


@dataclass(slots=True)
class Seat:
    """A server and how it does."""

    server: OllamaServer
    busy: int = 0
    failures: int = 0
    """In a row."""
    rests_until: float = 0.0
    """On the monotonic clock."""
    answered: dict[str, float] = field(default_factory=dict)
    """When it last answered with a model, which it then has in memory."""


class OllamaFleet:
    """The servers. ``limit`` is of one of them."""

    def __init__(self, servers: Sequence[OllamaServer], limit: int, clock: Clock) -> None:
        self._seats = tuple(Seat(server) for server in servers)
        self._limit = limit
        self._clock = clock
        self._freed = asyncio.Condition()

    @property
    def servers(self) -> tuple[OllamaServer, ...]:
        return tuple(seat.server for seat in self._seats)

    def attempt(self, model: str, last_resort: LastResort | None = None) -> Attempt:
        """Asking one server after the other until one answers."""
        return Attempt(self, model, last_resort)

    def loads(self) -> dict[str, int]:
        """Calls in progress by server."""
        return {seat.server.origin: seat.busy for seat in self._seats}

    async def seat(self, model: str, but: Collection[int]) -> Seat:
        """The least loaded; of several the one that has the model in memory. Waited for where all have enough to do."""
        async with self._freed:
            while True:
                left = [seat for seat in self._seats if id(seat) not in but]
                now = self._clock.monotonic()
                # All of them resting: the first to be back is tried, as whoever is here was let through.
                ready = [seat for seat in left if seat.rests_until <= now]
                ready = ready or [min(left, key=lambda seat: seat.rests_until)]
                # One call at a time tries a server that has failed.
                free = [seat for seat in ready if seat.busy < (1 if seat.failures else self._limit)]
                if free:
                    chosen = min(free, key=lambda seat: (seat.busy, -seat.answered.get(model, -1.0)))
                    chosen.busy += 1
                    return chosen
                await self._freed.wait()

    async def leave(self, seat: Seat) -> None:
        """Give a place back."""
        seat.busy -= 1
        async with self._freed:
            self._freed.notify_all()

    def succeeded(self, seat: Seat, model: str) -> None:
        """It answered."""
        seat.failures = 0
        seat.rests_until = 0.0
        seat.answered[model] = self._clock.monotonic()

    def failed(self, seat: Seat, error: ProviderError) -> None:
        """It did not, for a reason of its own."""
        seat.failures += 1
        rest = min(LONGEST_REST_S, FIRST_REST_S * 2 ** (seat.failures - 1))
        seat.rests_until = self._clock.monotonic() + (bounded(error.retry_after) or rest)

    def __len__(self) -> int:
        return len(self._seats)


class Attempt:
    """One request on its way from server to server."""

    def __init__(self, fleet: OllamaFleet, model: str, last_resort: LastResort | None) -> None:
        self._fleet = fleet
        self._model = model
        self._last_resort = last_resort
        self._failed: dict[int, tuple[Seat, ProviderError]] = {}

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[Turn]:
        """The next server to ask, for as long as this lasts. Raises what says most of why none of them answered."""
        if len(self._failed) == len(self._fleet):
            await self._given_up()
        seat = await self._fleet.seat(self._model, self._failed.keys())
        turn = Turn(seat.server)
        try:
            yield turn
            self._fleet.succeeded(seat, self._model)
        except ProviderError as error:
            is_its_own = error.retryable and not isinstance(error, MachineShort)
            if is_its_own:
                self._fleet.failed(seat, error)
            elif not isinstance(error, ModelNotFound):
                raise
            if error.spent or turn.has_begun:
                raise
            self._failed[id(seat)] = (seat, error)
        finally:
            await self._fleet.leave(seat)

    async def _given_up(self) -> None:
        passing = [error for _, error in self._failed.values() if error.retryable]
        if passing:
            raise passing[-1]
        seat, missing = next(reversed(self._failed.values()))
        if self._last_resort is None:
            raise missing
        fetch, self._last_resort = self._last_resort, None
        await fetch(self._model, seat.server)
        self._failed.clear()  # another task may have had it fetched to another server


@dataclass(slots=True)
class Turn:
    """One server's turn to answer."""

    server: OllamaServer
    has_begun: bool = False
    """Whether a piece of the answer was given out: then nobody else can take over."""
