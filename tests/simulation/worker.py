"""One worker process: the product's own parts, put together as its container does, between simulated ports."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from llm_service import events
from llm_service.drops.life import DropLife, DropTools
from llm_service.drops.recent import RecentDrops
from llm_service.drops.rule import Buckets, Rule
from llm_service.drops.rules import Rules
from llm_service.errors import ConsumerFatal, DependencyUnavailable
from llm_service.kafka.commits import Commits
from llm_service.kafka.consumer_policy import ConsumerPolicy
from llm_service.kafka.exactly_once import ExactlyOnceSettler, TransactionalCommits
from llm_service.kafka.publisher import Publisher
from llm_service.kafka.settling import AtLeastOnceSettler, KafkaStatusSink, OutcomeTopics
from llm_service.kafka.settling_loop import SettlingPolicy
from llm_service.kafka.source import KafkaSource
from llm_service.ledger.database import Database
from llm_service.ledger.fold import Fold
from llm_service.ledger.postgres_ledger import PostgresLedger
from llm_service.prompts.catalogue import Catalogue
from llm_service.providers.guard import Guard, GuardPolicy
from llm_service.resilience.breaker import BreakerPolicy
from llm_service.resilience.retry import RetryPolicy
from llm_service.tasks.allowance import TaskLimits
from llm_service.tasks.course import Course, Stage
from llm_service.tasks.intake import TaskIntake
from llm_service.tasks.life import TaskLife
from llm_service.tasks.outcome import OutcomePolicy, Outcomes
from llm_service.tasks.plan import PlanDefaults
from llm_service.tasks.pool import WorkerPool
from llm_service.tasks.ports import Ledger, Settler
from llm_service.tasks.reading import FetchRetries
from llm_service.tasks.recall import NoLedger, Recall
from llm_service.tasks.rounds import RoundPolicy, Rounds
from llm_service.tasks.tools import Tools
from llm_service.tasks.waiting_room import WaitingRoom
from llm_service.tasks.window import DedupWindow
from llm_service.tasks.work import Work
from tests.simulation.calls import Calls
from tests.simulation.cluster import Cluster
from tests.simulation.consumer import SimulatedConsumer
from tests.simulation.database import SimulatedDatabase, StatusReader, Tables
from tests.simulation.faults import Faults
from tests.simulation.loop import ProcessLoop
from tests.simulation.outside import (
    DroppedFiles,
    ProviderLog,
    SimulatedClock,
    SimulatedProvider,
    SimulatedStore,
    StoreClient,
)
from tests.simulation.producer import SimulatedDeadMembers, SimulatedPublisher, SimulatedTransactions
from tests.simulation.scenario import (
    BUCKET,
    DROPS,
    GROUP,
    LETTERS,
    RETRY,
    ROUND_ATTEMPTS,
    STATUS,
    TASKS,
    Scenario,
)
from tests.simulation.threads import SimulatedThreads
from tests.simulation.world import Process

MAX_RETRIES = 2
POISON_TAKEOVERS = ConsumerPolicy((), 1).poison_takeovers
SHUTDOWN_S = 5.0
_LEAVE_S = 2.0
_CLOSE_S = 1.0
_OPEN_AGAIN_S = 1.0
STATUS_BYTES = 3_000
CATALOGUE = Catalogue.load()
_TOLD = (
    events.BreakerChanged,
    events.Trouble,
    events.ProviderRetried,
    events.TaskReleased,
    events.OutcomeDropped,
    events.ConnectionChanged,
)


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What all workers of a run share."""

    cluster: Cluster
    faults: Faults
    scenario: Scenario
    provider: ProviderLog
    store: SimulatedStore
    tables: Tables


class Worker:
    """Starts as soon as it is made; ``ended`` is told when its process is over by itself."""

    def __init__(
        self, around: Surroundings, name: str, transactional_id: str, ended: Callable[[Worker], None]
    ) -> None:
        world = around.cluster.world
        self.process = Process(world, name)
        self.loop = ProcessLoop(self.process)
        self.threads = SimulatedThreads(self.process)
        self.clock = SimulatedClock(world)
        self.stopping_since: float | None = None
        self.drain_failures: list[str] = []
        self._around = around
        self._ended = ended
        self._transactional_id = transactional_id
        self._calls = Calls(self.process, self.threads, around.faults, around.cluster)
        self._stop = asyncio.Event()
        self._source: KafkaSource | None = None
        self._room = WaitingRoom(
            around.scenario.pool, lambda: False
        )  # one provider, and it is the blocked one
        self._main = self.loop.create_task(self._live())
        self._main.add_done_callback(self._over)

    def stop(self) -> None:
        """SIGTERM."""
        if self.stopping_since is None and not self.process.dead:
            self.stopping_since = self.process.world.now
            self.process.note("SIGTERM")
            self.loop.call_soon(self._stop.set)

    def abandon(self) -> None:
        """The run is over."""
        self.loop.abandon()
        self.threads.abandon()

    # --- the process ----------------------------------------------------------------------------

    async def _live(self) -> None:
        around = self._around
        consumer = SimulatedConsumer(around.cluster, self._calls, around.scenario.protocol)
        publisher = cast("Publisher", SimulatedPublisher(around.cluster, self._calls))
        exact: ExactlyOnceSettler | None = None
        commits: Commits | None = None
        if around.scenario.mode == "exactly_once":
            exact, commits = await self._transactional(consumer)
            settler: Settler = exact
        else:
            settler = AtLeastOnceSettler(publisher, self._its_source, self._topics, self.clock, self._observe)
        ledger, fold = await self._its_ledger() if "ledger" in around.scenario.features else (None, None)
        guard = self._guard()
        pool = WorkerPool(around.scenario.pool, 30.0, self._on_blocked)
        tools = self._tools(guard, pool, settler, KafkaStatusSink(publisher, STATUS), ledger or NoLedger())
        intake = TaskIntake(_lives(tools))
        self._source = source = KafkaSource(
            consumer,
            self._policy(),
            intake,
            self._observe,
            commits,
            self.threads,
            now=self.clock.now,
            crowded=self._room.make_way,
        )
        ended = source.start()
        waiting = asyncio.create_task(self._stop.wait())
        ended.add_done_callback(lambda _: waiting.cancel())
        await asyncio.wait([waiting])
        await self._drain(source, intake)
        await guard.close()
        if exact is not None:
            await exact.close(_CLOSE_S)
        if fold is not None and ledger is not None:
            await fold.close()
            await ledger.close()
        self._exit(ended)

    async def _its_ledger(self) -> tuple[PostgresLedger, Fold]:
        database = cast("Database", SimulatedDatabase(self._around.tables, self._calls))
        ledger = PostgresLedger(database, self.clock, self._rng(), self._observe)
        await ledger.start()
        source = StatusReader(self._around.cluster)
        fold = Fold(database, source, self.process.name, self.clock, self._observe, lambda: ledger.up)
        fold.start(STATUS)
        return ledger, fold

    async def _drain(self, source: KafkaSource, intake: TaskIntake) -> None:
        if intake.count(Stage.WAITING):
            self.process.world.hits["stopped while tasks wait"] += 1
        source.stop_taking()
        await intake.drain(SHUTDOWN_S)
        if not await source.close(_LEAVE_S):
            self.process.note("left without the group's leave")

    def _over(self, main: asyncio.Task[None]) -> None:
        if not main.cancelled() and (error := main.exception()) is not None:
            self.loop.failures.append(f"the process failed: {type(error).__name__}: {error}")

    def _exit(self, ended: asyncio.Future[None]) -> None:
        error = ended.exception() if ended.done() and not ended.cancelled() else None
        self.process.note(f"exits{f': {error}' if error else ''}")
        if error is not None and "failed: " in str(error):
            self.loop.failures.append(str(error))
        self.process.kill("exit")
        self._ended(self)

    async def _transactional(
        self, consumer: SimulatedConsumer
    ) -> tuple[ExactlyOnceSettler, TransactionalCommits]:
        port = SimulatedTransactions(self._around.cluster, self._calls, self._transactional_id)
        opened: asyncio.Future[None] = self.loop.create_future()

        def open_it() -> None:
            while True:
                try:
                    port.open()
                    break
                except DependencyUnavailable:
                    self.threads.sleep(_OPEN_AGAIN_S)
            self.loop.call_soon_threadsafe(opened.set_result, None)

        self.threads.thread(open_it, "opening").start()
        await opened
        settler = ExactlyOnceSettler(
            port,
            SettlingPolicy(self._transactional_id),
            self._topics,
            self._observe,
            self._failed,
            lambda: self._its_source().wake(),
            self.threads,
        )
        settler.start()
        dead = SimulatedDeadMembers(self._around.cluster, self._calls, self._transactional_id)
        return settler, TransactionalCommits(consumer, settler.loop, dead.overdue, self.threads)

    def _failed(self, error: ConsumerFatal) -> None:
        self._its_source().fail(error)

    # --- parts ----------------------------------------------------------------------------------

    @property
    def _topics(self) -> OutcomeTopics:
        return OutcomeTopics(STATUS, LETTERS, RETRY, TASKS)

    def _its_source(self) -> KafkaSource:
        assert self._source is not None
        return self._source

    def _policy(self) -> ConsumerPolicy:
        scenario = self._around.scenario
        return ConsumerPolicy(
            topics=scenario.consumed,
            window=2 * scenario.pool,
            retry_topic=RETRY if scenario.round_s else None,
            retry_delay_s=scenario.round_s,
            group=GROUP,
        )

    def _round_policy(self) -> RoundPolicy | None:
        delay_s = self._around.scenario.round_s
        return RoundPolicy(delay_s, ROUND_ATTEMPTS, 20_000, GROUP) if delay_s else None

    def _on_blocked(self, blocked: int) -> None:
        if self._source is not None:
            self._source.excuse(min(blocked, self._around.scenario.pool))

    def _guard(self) -> Guard:
        scenario = self._around.scenario
        policy = GuardPolicy(
            max_concurrency=scenario.pool,
            retry=RetryPolicy(MAX_RETRIES, 0.2, 2.0),
            breaker=BreakerPolicy(3, 2.0),
            call_timeout_s=30.0,
        )
        provider = SimulatedProvider(self._calls, self._around.provider, scenario.slowest_s, self._die)
        return Guard(provider, policy, self.clock, self._rng(), self._observe)

    def _die(self) -> None:
        """The task in hand is more than the process can bear."""
        self._around.faults.hit("a task kills its process")
        self.process.kill("poison")
        self._around.faults.on_crash(self.process)

    def _rng(self) -> random.Random:
        return random.Random(self.process.world.rng.getrandbits(64))

    def _tools(
        self, guard: Guard, pool: WorkerPool, settler: Settler, sink: KafkaStatusSink, ledger: Ledger
    ) -> Tools:
        policy = OutcomePolicy(self.process.name, "string", STATUS_BYTES, 20_000)
        guards = {"simulated": guard}
        outcomes = Outcomes(policy, StoreClient(self._calls, self._around.store), self.clock)
        return Tools(
            window=DedupWindow(10_000, self.clock.monotonic),
            pool=pool,
            work=Work(DroppedFiles(), guards, self.clock, self._rng(), self._observe, FetchRetries()),
            outcomes=outcomes,
            recall=Recall(ledger, outcomes, record_first=self._around.scenario.mode == "at_least_once"),
            settler=settler,
            progress=sink,
            guards=guards,
            catalogue=lambda: CATALOGUE,
            defaults=PlanDefaults(1, "simulated"),
            rounds=Rounds(self._round_policy(), self.clock),
            room=self._room,
            clock=self.clock,
            observe=self._observe,
            limits=TaskLimits(),
        )

    def _observe(self, event: events.Event) -> None:
        if isinstance(event, _TOLD):
            self.process.note(str(event))
        if isinstance(event, events.BreakerChanged):
            self.process.world.hits["breaker opened"] += event.state == "open"
        elif isinstance(event, events.ConnectionChanged):
            self.process.world.hits["the ledger stands aside"] += not event.up
        elif isinstance(event, events.TaskCrashed):
            self.loop.failures.append(f"a task crashed: {event}")


_RULES = Rules(
    (Rule("simulated", BUCKET, "dropped/", (".txt",)),),
    Buckets(frozenset({BUCKET}), "own"),
    Path("rules.yaml"),
)


def _lives(tools: Tools) -> Callable[[Course], Awaitable[None]]:
    """The life of a delivery, by the topic that it came from."""
    of_task = TaskLife(tools).live
    of_drop = DropLife(
        DropTools(
            rules=lambda: _RULES,
            recent=RecentDrops(10_000),
            outcomes=tools.outcomes,
            settler=tools.settler,
            task_max_bytes=100_000,
            clock=tools.clock,
            observe=tools.observe,
        )
    ).live
    return lambda course: (of_drop if course.delivery.topic == DROPS else of_task)(course)
