"""What else a worker talks to: its clock, a provider with a fresh answer each time, an object store."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path

from llm_service.errors import (
    FileNotFound,
    ProviderError,
    ProviderRateLimited,
    ProviderServerError,
    ProviderTimeout,
    ProviderUnavailable,
    RequestRejected,
    StoreUnavailable,
)
from llm_service.files.store import LocalFile
from llm_service.providers.plain import PlainProvider
from llm_service.providers.protocol import (
    Completion,
    CompletionRequest,
    FinishReason,
    Usage,
)
from tests.simulation.calls import Calls
from tests.simulation.faults import CallFailed
from tests.simulation.scenario import BUCKET
from tests.simulation.world import World

START = datetime(2026, 1, 1, tzinfo=UTC)


class SimulatedClock:
    """The wall clock may jump; the monotonic one is the world's."""

    def __init__(self, world: World) -> None:
        self._world = world
        self.off = timedelta()

    def now(self) -> datetime:
        return START + timedelta(seconds=self._world.now) + self.off

    def monotonic(self) -> float:
        return self._world.now

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(max(seconds, 0.0))


class ProviderLog:
    """The provider's side of all calls, for the judge."""

    def __init__(self) -> None:
        self.calls: Counter[str] = Counter()
        self.failed: Counter[str] = Counter()
        """Calls that ended in an error, or were cut off."""
        self.refused: Counter[str] = Counter()
        """Those of which the provider itself said that it has failed: each is one of an attempt's retries."""
        self.in_progress: Counter[str] = Counter()
        self.most: Counter[str] = Counter()
        self.away_until = 0.0
        self.busy_until = 0.0
        self.calls_while_away = 0
        self.on_call: Callable[[str], None] = lambda _: None


class SimulatedProvider(PlainProvider):
    """One worker's connection to the provider. A task's text says who it is and what it is to be answered."""

    name = "simulated"
    default_model = "model-1"

    def __init__(self, calls: Calls, log: ProviderLog, slowest_s: float, die: Callable[[], None]) -> None:
        """``die`` kills the process: what some answers do to it."""
        self._die = die
        self._calls = calls
        self._log = log
        self._slowest_s = slowest_s

    async def complete(self, request: CompletionRequest) -> Completion:
        said = (request.documents[0].text if request.documents else request.messages[-1].content) or ""
        task, _, wanted = said.rpartition(" ")
        worker = self._calls.process.name
        log = self._log
        log.calls[task] += 1
        log.failed[task] += 1  # until it is answered
        log.in_progress[worker] += 1
        log.most[worker] = max(log.most[worker], log.in_progress[worker])
        log.on_call(task)
        self._calls.process.note(f"asks for {task}")
        if wanted == "kill":
            self._die()
            await asyncio.get_running_loop().create_future()
        try:
            await self._think()
            text = await self._calls.make_async("provider", lambda: self._text(task, wanted))
        except CallFailed as error:
            failure = self._error()
            log.refused[task] += not isinstance(failure, ProviderRateLimited)
            raise failure from error
        finally:
            log.in_progress[worker] -= 1
        if wanted.startswith("flaky") and log.calls[task] <= int(wanted.removeprefix("flaky-")):
            log.refused[task] += 1
            raise ProviderServerError("the stand-in answered 503")
        if wanted.startswith("refuse"):
            raise RequestRejected("the stand-in refuses this task")
        log.failed[task] -= 1
        return Completion(text, FinishReason.STOP, "model-1.0", Usage(10, 5))

    async def health(self) -> None:
        await asyncio.sleep(0.01)
        if self._log.away_until > self._calls.process.world.now:
            raise ProviderUnavailable("the stand-in is away")

    async def _think(self) -> None:
        world, log = self._calls.process.world, self._log
        if log.away_until > world.now:
            log.calls_while_away += 1
            await asyncio.sleep(0.01)
            raise ProviderUnavailable("the stand-in is away")
        if log.busy_until > world.now:
            raise ProviderRateLimited("the stand-in asks for rest", retry_after=log.busy_until - world.now)
        share = world.rng.random()
        await asyncio.sleep(self._slowest_s * (share if share < 0.9 else share * 6))

    def _text(self, task: str, wanted: str) -> str:
        nonce = f"{self._calls.process.world.rng.getrandbits(48):012x}"
        return f"{task} {nonce}" + ("x" * 4_000 if wanted.startswith("large") else "")

    def _error(self) -> ProviderError:
        kinds: tuple[Callable[[], ProviderError], ...] = (
            lambda: ProviderServerError("the stand-in answered 503"),
            lambda: ProviderTimeout("the stand-in did not answer"),
            lambda: ProviderRateLimited("the stand-in asks for rest", retry_after=None),
        )
        return self._calls.process.world.rng.choice(kinds)()


class SimulatedStore:
    """Where too large results go; it outlives the workers."""

    def __init__(self) -> None:
        self.kept: dict[str, bytes] = {}


class StoreClient:
    """See ``llm_service.tasks.ports.ResultStore``."""

    def __init__(self, calls: Calls, store: SimulatedStore) -> None:
        self._calls = calls
        self._store = store

    async def put_result(self, task_id: str, payload: bytes) -> str:
        return await self._put(f"results/{task_id}/{hash_of(payload)}", payload)

    async def put_letter(self, task_id: str, payload: bytes) -> str:
        return await self._put(f"letters/{task_id}/{hash_of(payload)}", payload)

    async def _put(self, key: str, payload: bytes) -> str:
        def put() -> None:
            self._store.kept[f"bucket/{key}"] = payload

        try:
            await self._calls.make_async("store", put)
        except CallFailed as error:
            raise StoreUnavailable("the stand-in store does not answer") from error
        return f"bucket/{key}"


class DroppedFiles:
    """See ``llm_service.tasks.ports.Files``: only what was dropped is there, and says what it is called."""

    @asynccontextmanager
    async def fetch(self, path: str, name: str | None) -> AsyncIterator[LocalFile]:
        del name
        bucket, _, key = path.removeprefix("s3://").partition("/")
        if bucket != BUCKET:
            raise FileNotFound(f"there is no object {path!r}")
        yield LocalFile(key, Path(key), 9, "text/plain")

    @asynccontextmanager
    async def to_pictures(self, file: LocalFile) -> AsyncIterator[tuple[LocalFile, ...]]:
        yield (file,)

    async def to_text(self, file: LocalFile) -> str:
        return f"{file.name} answer"


def hash_of(payload: bytes) -> str:
    return sha256(payload).hexdigest()[:16]
