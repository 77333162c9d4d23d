"""The life of tasks between ports that a test owns: what came in, what was settled, and nothing else."""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

from llm_service.contract.record import Headers, Record
from llm_service.errors import FileError, FileNotFound, ServiceError
from llm_service.events import Event
from llm_service.files.store import LocalFile
from llm_service.prompts.catalogue import Catalogue
from llm_service.providers.guard import Guard, GuardPolicy
from llm_service.providers.plain import PlainProvider
from llm_service.providers.protocol import (
    Capabilities,
    Completion,
    CompletionRequest,
    FinishReason,
    Usage,
)
from llm_service.resilience.breaker import BreakerPolicy
from llm_service.resilience.retry import RetryPolicy
from llm_service.tasks.allowance import TaskLimits
from llm_service.tasks.course import Course
from llm_service.tasks.intake import TaskIntake
from llm_service.tasks.life import TaskLife
from llm_service.tasks.outcome import OutcomePolicy, Outcomes
from llm_service.tasks.plan import PlanDefaults
from llm_service.tasks.pool import WorkerPool
from llm_service.tasks.ports import Delivery, Ledger, Outcome
from llm_service.tasks.reading import FetchRetries
from llm_service.tasks.recall import NoLedger, Recall
from llm_service.tasks.rounds import RoundPolicy, Rounds
from llm_service.tasks.tools import Tools
from llm_service.tasks.waiting_room import WaitingRoom
from llm_service.tasks.window import DedupWindow
from llm_service.tasks.work import Work
from tests.manual_clock import ManualClock

TASK_ID = "7b0e0000-0000-4000-8000-000000000001"
POLICY = OutcomePolicy("LLM_worker_1", "string", status_max_bytes=10_000, dead_letter_max_bytes=20_000)
GUARD = GuardPolicy(
    max_concurrency=10,
    retry=RetryPolicy(max_retries=1, initial_delay_s=1.0, max_delay_s=2.0),
    breaker=BreakerPolicy(failure_threshold=5, open_s=10.0),
    call_timeout_s=1_000.0,
)
Step = str | float | Exception | Completion


class Settler:
    """Keeps what is settled; raises, or waits, when told to."""

    def __init__(self) -> None:
        self.settled: list[tuple[Delivery, Outcome]] = []
        self.released: list[Delivery] = []
        self.script: list[Exception | asyncio.Event] = []
        self.refuses: Callable[[Outcome], Exception | None] = lambda _: None

    async def settle(self, delivery: Delivery, outcome: Outcome) -> None:
        step = self.script.pop(0) if self.script else None
        if isinstance(step, asyncio.Event):
            await step.wait()
        elif step is not None:
            raise step
        await asyncio.sleep(0)
        if (refusal := self.refuses(outcome)) is not None:
            raise refusal
        self.settled.append((delivery, outcome))

    def release(self, delivery: Delivery) -> None:
        self.released.append(delivery)

    @property
    def outcomes(self) -> list[Outcome]:
        return [outcome for _, outcome in self.settled]


class Sink:
    """Keeps PROCESSING events."""

    def __init__(self) -> None:
        self.records: list[Record] = []
        self.script: list[Exception] = []

    async def publish(self, record: Record) -> None:
        await asyncio.sleep(0)
        if self.script:
            raise self.script.pop(0)
        self.records.append(record)


class Files:
    """Files by path: a text, or what happens to those who ask, one after the other."""

    def __init__(self) -> None:
        self.there: dict[str, str] = {}
        self.script: dict[str, list[Exception]] = {}
        self.conversion: list[Exception] = []
        self.held: list[str] = []
        """Paths of files that were not given back yet."""
        self.asked: list[str] = []

    @asynccontextmanager
    async def fetch(self, path: str, name: str | None) -> AsyncIterator[LocalFile]:
        self.asked.append(path)
        await asyncio.sleep(0)
        if self.script.get(path):
            raise self.script[path].pop(0)
        if path not in self.there:
            raise FileNotFound(f"there is no object {path!r}")
        self.held.append(path)
        try:
            yield LocalFile(name or path, Path(path), len(self.there[path]), "text/plain")
        finally:
            self.held.remove(path)

    @asynccontextmanager
    async def to_pictures(self, file: LocalFile) -> AsyncIterator[list[LocalFile]]:
        await asyncio.sleep(0)
        if self.conversion:
            raise self.conversion.pop(0)
        yield [replace(file, content_type="image/png")]

    async def to_text(self, file: LocalFile) -> str:
        await asyncio.sleep(0)
        if self.conversion:
            raise self.conversion.pop(0)
        return self.there[str(file.path)]


class Model(PlainProvider):
    """A provider that answers by its script, else with a fresh answer each time."""

    default_model = "model-1"

    def __init__(self, clock: ManualClock, name: str = "model") -> None:
        self.name = name
        self.capabilities = Capabilities()
        self.clock = clock
        self.script: list[Step] = []
        """An answer, an error, or seconds to think before a fresh answer."""
        self.requests: list[CompletionRequest] = []
        self.active = 0
        self.most_active = 0

    async def complete(self, request: CompletionRequest) -> Completion:
        self.requests.append(request)
        self.active += 1
        self.most_active = max(self.most_active, self.active)
        try:
            step = self.script.pop(0) if self.script else 0.0
            if isinstance(step, float):
                await self.clock.sleep(step)
                step = f"answer {len(self.requests)}"
        finally:
            self.active -= 1
        if isinstance(step, Exception):
            raise step
        return step if isinstance(step, Completion) else completion(step)

    async def health(self) -> None:
        return

    async def close(self) -> None:
        return


class Store:
    """Where too large results go."""

    def __init__(self) -> None:
        self.kept: dict[str, bytes] = {}
        self.script: list[FileError] = []

    async def put_result(self, task_id: str, payload: bytes) -> str:
        return self._put(f"results/{task_id}", payload)

    async def put_letter(self, task_id: str, payload: bytes) -> str:
        return self._put(f"letters/{task_id}", payload)

    def _put(self, key: str, payload: bytes) -> str:
        if self.script:
            raise self.script.pop(0)
        self.kept[f"bucket/{key}"] = payload
        return f"bucket/{key}"


class Bench:
    """A task's life with all that is around it."""

    def __init__(
        self,
        *,
        pool: int = 2,
        window: int = 10,
        store: Store | None = None,
        ledger: Ledger | None = None,
        record_first: bool = True,
        share: int = 10,
        rounds: RoundPolicy | None = None,
        limits: TaskLimits | None = None,
    ) -> None:
        """``rounds``: without it nothing goes round by a retry topic."""
        self.clock = ManualClock()
        self.events: list[Event] = []
        self.settler, self.sink, self.files = Settler(), Sink(), Files()
        self.model, self.other = Model(self.clock), Model(self.clock, "other")
        self.store = store
        rng = random.Random(1)
        self.guards = {
            model.name: Guard(model, GUARD, self.clock, rng, self.events.append)
            for model in (self.model, self.other)
        }
        self.pool = WorkerPool(pool, 30.0)
        self.window = DedupWindow(window, self.clock.monotonic)
        self.room = WaitingRoom(share, lambda: any(not guard.is_away for guard in self.guards.values()))
        self.catalogue = Catalogue.load()
        self.outcomes = Outcomes(POLICY, store, self.clock)
        self.work = Work(self.files, self.guards, self.clock, rng, self.events.append, FetchRetries(2))
        tools = Tools(
            window=self.window,
            recall=Recall(ledger or NoLedger(), self.outcomes, record_first=record_first),
            pool=self.pool,
            work=self.work,
            outcomes=self.outcomes,
            settler=self.settler,
            progress=self.sink,
            guards=self.guards,
            catalogue=lambda: self.catalogue,
            defaults=PlanDefaults(1, "model"),
            rounds=Rounds(rounds, self.clock),
            room=self.room,
            clock=self.clock,
            observe=self.events.append,
            limits=limits or TaskLimits(),
        )
        self.life = TaskLife(tools)
        self.intake = TaskIntake(self.life.live)

    def start(self, delivery: Delivery) -> asyncio.Task[None]:
        """Begin the life of one delivery."""
        return asyncio.create_task(self.life.live(Course(delivery)))

    async def live(self, *deliveries: Delivery) -> None:
        """The whole life of each, one after the other; time passes as it must."""
        for delivery in deliveries:
            await self.clock.run(self.life.live(Course(delivery)))

    def delivery(
        self,
        body: Mapping[str, object] | bytes | None = None,
        *,
        task_id: str | None = TASK_ID,
        offset: int = 0,
        epoch: int = 1,
        headers: Headers = (),
    ) -> Delivery:
        """A message as it was read; without a body, a small task."""
        value = (
            json.dumps({"text": "Привет"} if body is None else body).encode()
            if not isinstance(body, bytes)
            else body
        )
        key = task_id.encode() if task_id is not None else None
        return Delivery("tasks", 0, offset, epoch, key, value, headers, self.clock.monotonic())

    def told(self, kind: type[Event]) -> list[Event]:
        return [event for event in self.events if isinstance(event, kind)]

    def assert_at_rest(self) -> None:
        """Nothing is held by anybody."""
        assert (self.pool.active, self.pool.waiting, self.pool.blocked) == (0, 0, 0)
        assert self.window.in_flight == 0
        assert self.files.held == []
        assert self.model.active == 0


def completion(text: str, finish: FinishReason = FinishReason.STOP) -> Completion:
    return Completion(text, finish, "model-1.0", Usage(10, 5))


def header(record: Record | None, name: str) -> str:
    assert record is not None
    found = [value for key, value in record.headers if key == name and value is not None]
    return found[-1].decode() if found else ""


def body(record: Record | None) -> dict[str, object]:
    assert record is not None
    loaded: dict[str, object] = json.loads(record.value or b"")
    return loaded


def code(outcome: Outcome) -> str:
    """``success``, the error's code, or nothing where there is no status."""
    if outcome.status is None:
        return ""
    said = body(outcome.status)
    if said["status"] == 3:
        return "success"
    error = said["error"]
    assert isinstance(error, dict)
    return str(error["code"])


class Refused(ServiceError):
    """Raised by tests only."""
