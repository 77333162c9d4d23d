"""Several models by name: loaded when they are asked for, unloaded when they idle or another needs their memory."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from llm_service.engine.engine import Engine, EngineEvent
from llm_service.engine.frames import Beat, Setup
from llm_service.engine.header import HeaderError, read_header
from llm_service.engine.requirement import Requirement, context_for, judged, requirement
from llm_service.engine.waiting import PATIENCE_S
from llm_service.errors import ModelNotFound
from llm_service.resilience.clock import Clock
from llm_service.resilience.retry import Backoff, RetryPolicy

_SUFFIX = ".gguf"
# Between two looks at who idles; a part of the shortest time that can be set (10 s).
_SWEEP_S = 2.0
# A process that dies at every start is tried again after a second, then two, at most once in half a minute.
_RESTARTS = RetryPolicy(max_retries=0, initial_delay_s=1.0, max_delay_s=30.0)


@dataclass(frozen=True, slots=True)
class ShelfPolicy:
    """How models are kept."""

    folder: Path
    """Where the files are; a model's name is its file's, without ``.gguf``."""
    memory_bytes: int
    """What all loaded models may take together."""
    context_tokens: int | None
    """Of each model, for all its answers together; None: what it was trained for."""
    sequences: int
    batch_tokens: int
    threads: int
    gpu_layers: int
    cache_type: str
    max_tokens: int
    idle_s: float
    silence_s: float
    repeatable: bool = False
    gpu_memory_bytes: int = 0
    """What all may take of a GPU; 0: there is none, and ``gpu_layers`` changes nothing."""


@dataclass(slots=True)
class _Place:
    """A model on the shelf."""

    engine: Engine
    needed: Requirement
    since: float
    embeds: bool = False
    users: int = 0
    last_used: float = field(default=0.0)


@dataclass(eq=False, frozen=True, slots=True)
class _Wish:
    """Somebody's wait for a model."""

    name: str
    since: float


class Shelf:
    """The models of one folder within one budget of memory."""

    def __init__(
        self,
        policy: ShelfPolicy,
        clock: Clock,
        rng: random.Random,
        observe: Callable[[EngineEvent], None],
        beaten: Callable[[], None] = lambda: None,
    ) -> None:
        """``beaten`` is called when ``beats`` are others."""
        self._policy = policy
        self._clock = clock
        self._rng = rng
        self._observe = observe
        self._beaten = beaten
        self._places: dict[str, _Place] = {}
        self._wishes: list[_Wish] = []
        self._changed = asyncio.Condition()
        self._sweeping: asyncio.Task[None] | None = None

    def names(self) -> list[str]:
        """The models there are, by name. Raises OSError. Blocks for a moment: the folder is read."""
        return sorted(path.name.removesuffix(_SUFFIX) for path in self._policy.folder.glob(f"*{_SUFFIX}"))

    @property
    def loaded(self) -> dict[str, Requirement]:
        """Models that have their memory now, with what each takes."""
        return {name: place.needed for name, place in self._places.items()}

    @property
    def beats(self) -> list[Beat]:
        """What each loaded model's process last said of itself."""
        return [place.engine.beat for place in self._places.values()]

    async def check(self, name: str) -> Requirement:
        """What the model takes, judged from its file. Raises ModelNotFound with what would be needed."""
        return (await asyncio.to_thread(self._judge, name))[1]

    @asynccontextmanager
    async def lent(self, name: str, *, embeds: bool = False) -> AsyncIterator[Engine]:
        """The model's engine; as long as it is lent it stays loaded. Raises ModelNotFound.

        ``embeds``: to make vectors of texts, which takes memory of its own from the first time on.
        """
        place = await self._taken(name, embeds=embeds)
        try:
            yield place.engine
        finally:
            place.users -= 1
            place.last_used = self._clock.monotonic()
            async with self._changed:
                self._changed.notify_all()

    async def close(self) -> None:
        """Unload all."""
        if self._sweeping is not None:
            self._sweeping.cancel()
            await asyncio.gather(self._sweeping, return_exceptions=True)
        for name in list(self._places):
            await self._places.pop(name).engine.close()

    # --- who is loaded --------------------------------------------------------------------------------

    async def _taken(self, name: str, *, embeds: bool) -> _Place:
        found: tuple[Setup, Requirement] | None = None
        while True:
            async with self._changed:
                place = await self._place_of(name, found, embeds=embeds)
                if place is not None:
                    place.users += 1
                    if self._sweeping is None:
                        self._sweeping = asyncio.create_task(self._sweep())
                    return place
            # Half a second of processor time where a vocabulary is large: not for each task to a model that is loaded.
            found = await asyncio.to_thread(self._judge, name, embeds)

    async def _place_of(
        self, name: str, found: tuple[Setup, Requirement] | None, *, embeds: bool
    ) -> _Place | None:
        """The model's place, waited for where there is none; None where its file was not judged and has to be.

        The caller's deadline bounds the wait.
        """
        wish = _Wish(name, self._clock.monotonic())
        self._wishes.append(wish)
        try:
            while not (is_ready := self._is_ready(name, embeds=embeds)) or self._has_to_go(name):
                if is_ready:
                    await self._changed.wait()
                elif found is None:
                    return None
                elif not await self._made_room(name, found[1]):
                    # All that is loaded is at work.
                    await self._changed.wait()
                elif (place := self._places.get(name)) is not None:
                    place.needed, place.embeds = found[1], embeds
                else:
                    engine = self._engine(name, found[0])
                    self._places[name] = _Place(engine, found[1], self._clock.monotonic(), embeds)
            return self._places[name]
        finally:
            self._wishes.remove(wish)
            self._changed.notify_all()

    def _is_ready(self, name: str, *, embeds: bool) -> bool:
        place = self._places.get(name)
        return place is not None and (place.embeds or not embeds)

    def _has_to_go(self, name: str) -> bool:
        """Whether it has had its time and another has been waited for so long that nobody new is let in to it."""
        now = self._clock.monotonic()
        waited = (now - wish.since for wish in self._wishes if wish.name not in self._places)
        return now - self._places[name].since > PATIENCE_S and any(each > PATIENCE_S for each in waited)

    def _engine(self, name: str, setup: Setup) -> Engine:
        silence_s, backoff = self._policy.silence_s, Backoff(_RESTARTS, self._rng)
        return Engine(name, setup, silence_s, self._clock, backoff, self._observe, self._beaten)

    async def _made_room(self, wanted: str, needed: Requirement) -> bool:
        """Unload what else idles, the one used longest ago first, until it fits."""
        while not self._has_room(wanted, needed):
            idle = [name for name, place in self._places.items() if not place.users and name != wanted]
            if not idle:
                return False
            await self._unload(min(idle, key=lambda name: self._places[name].last_used))
        return True

    def _has_room(self, wanted: str, needed: Requirement) -> bool:
        policy, loaded = self._policy, [each for name, each in self.loaded.items() if name != wanted]
        return (
            needed.total + sum(each.total for each in loaded) <= policy.memory_bytes
            and needed.gpu + sum(each.gpu for each in loaded) <= policy.gpu_memory_bytes
        )

    async def _unload(self, name: str) -> None:
        await self._places.pop(name).engine.close()

    async def _sweep(self) -> None:
        while True:
            await self._clock.sleep(_SWEEP_S)
            async with self._changed:
                too_old = self._clock.monotonic() - self._policy.idle_s
                for name, place in list(self._places.items()):
                    if not place.users and place.last_used <= too_old:
                        await self._unload(name)
                self._changed.notify_all()

    # --- files ----------------------------------------------------------------------------------------

    def _judge(self, name: str, embeds: bool = False) -> tuple[Setup, Requirement]:  # noqa: FBT001, FBT002 - called in a thread
        policy = self._policy
        # A name comes with a task: it must be one of those that are there, and leads nowhere else.
        try:
            there = self.names()
        except OSError as error:
            raise ModelNotFound(
                f"The models' folder (GGUF_FOLDER) can't be read: {error.strerror}."
            ) from None
        if name not in there:
            shown = ", ".join(there[:20]) or "none"
            raise ModelNotFound(f"There is no model {name[:100]!r} in GGUF_FOLDER; there are: {shown}.")
        path = policy.folder / f"{name}{_SUFFIX}"
        try:
            header = read_header(path)
            files = judged(path, header)
        except HeaderError as error:
            raise ModelNotFound(f"The model {name} can't be loaded: {error}") from None
        except OSError as error:
            raise ModelNotFound(f"The model {name} can't be read: {error.strerror}.") from None
        context = context_for(header, policy.context_tokens)
        needed = requirement(header, files, context, policy.batch_tokens, policy.cache_type)
        if embeds:
            needed = needed.with_embedding(header, policy.cache_type)
        if policy.gpu_memory_bytes:
            needed = needed.shared_with_gpu(header, policy.gpu_layers)
        if needed.gpu > policy.gpu_memory_bytes:
            raise ModelNotFound(
                f"The model {name} needs {needed}, and models may have {policy.gpu_memory_bytes // 1_000_000} MB of it "
                "(GGUF_GPU_MEMORY_MB): put fewer of its layers there (GGUF_GPU_LAYERS)."
            )
        if needed.total > policy.memory_bytes:
            raise ModelNotFound(
                f"The model {name} needs {needed}, and models may have {policy.memory_bytes // 1_000_000} MB "
                "(GGUF_MEMORY_MB): allow more, or a smaller GGUF_CONTEXT_TOKENS."
            )
        return self._setup(path, context), needed

    def _setup(self, path: Path, context: int) -> Setup:
        policy = self._policy
        return Setup(
            str(path.resolve()),
            context,
            policy.sequences,
            policy.batch_tokens,
            policy.threads,
            policy.gpu_layers,
            policy.cache_type,
            policy.max_tokens,
            policy.repeatable,
        )
