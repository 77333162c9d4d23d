"""The service: all parts, started in order, stopped in reverse."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from functools import partial

from llm_service import events
from llm_service.container.adoption import adopt_new_group
from llm_service.container.bootstrap import Bootstrap
from llm_service.container.delivery import Delivery, build_delivery, plain_properties
from llm_service.container.drops import drop_life, load_rules
from llm_service.container.files import TaskFiles, build_store
from llm_service.container.kafka import (
    connection_config,
    consumer_policy,
    group_config,
    own_lines,
    topic_names,
    waiting_share,
    window,
)
from llm_service.container.ledger import build_ledger_parts
from llm_service.container.letter_stop import build_letter_stop
from llm_service.container.providers import EXTRACTIVE, build_guards, configured_fallback
from llm_service.container.threads import ContextThreads
from llm_service.container.watch import Check, Watch
from llm_service.drops.rules import Rules
from llm_service.errors import PromptCatalogueInvalid, ProviderUnavailable, SettingsInvalid
from llm_service.files.results import ClaimCheck
from llm_service.kafka.config import accepted, consumer_properties
from llm_service.kafka.confluent import ConfluentConsumer
from llm_service.kafka.news import KafkaNews, threadsafe
from llm_service.kafka.publisher import Publisher
from llm_service.kafka.reach import BrokerCheck
from llm_service.kafka.settling import KafkaStatusSink
from llm_service.kafka.source import KafkaSource
from llm_service.kafka.topics import TopicFacts, survey
from llm_service.observability.fan_out import fan_out
from llm_service.prompts.catalogue import Catalogue
from llm_service.providers.guard import Guard
from llm_service.resilience.clock import Clock
from llm_service.settings import Settings
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

KAFKA = "kafka"
STORE = "object store"
_REQUEST_S = 5.0
"""One look at the cluster at start; five attempts make half a minute with the pauses between them."""
_LEAVE_S = 2.0
"""Committing and leaving the group take a round trip or two; a broker that is away must not keep the process."""
_FLUSH_S = 0.5
"""Outcomes have been acknowledged before; what is still queued is progress that nobody waits for."""


class Service:
    """One worker. ``start`` it, then ``run`` until it is asked to stop."""

    def __init__(
        self,
        settings: Settings,
        clock: Clock,
        rng: random.Random,
        observe: events.Observer,
        *,
        survey_s: float = _REQUEST_S,
    ) -> None:
        """``survey_s``: seconds the brokers have for each request of the look at the topics."""
        self.settings = settings
        self._survey_s = survey_s
        self.clock = clock
        self.ledger_parts = build_ledger_parts(settings, clock, rng, observe)
        self.operation_log = None if self.ledger_parts is None else self.ledger_parts.log
        self.letter_stop = build_letter_stop(settings, self._halt, clock, observe)
        observers: list[events.Observer] = [observe, self._on_event, self.letter_stop]
        if self.operation_log is not None:
            observers.append(self.operation_log)
        self.observe = fan_out(*observers)
        self.ledger: Ledger = NoLedger() if self.ledger_parts is None else self.ledger_parts.ledger
        self._asked_for: set[str] = set()
        """Providers that tasks came for; names of guards alone."""
        self.started_at = clock.monotonic()
        self.stopping = False
        self._rng = rng
        self._executor = ContextThreads(settings.worker.executor_max_workers, "files")
        self._parts = AsyncExitStack()
        self._catalogue = Catalogue.load(settings.worker.prompts_file)
        self._rules = self._load_rules()
        self.store = build_store(settings)
        self.files = TaskFiles(settings, self.store, self._executor, clock)
        self.guards: dict[str, Guard] = build_guards(settings, clock, rng, self.observe)
        self.window = DedupWindow(max(settings.worker.dedup_window_size, window(settings)), clock.monotonic)
        self.pool = WorkerPool(
            settings.worker.max_concurrent_tasks, settings.worker.priority_aging_s, self._on_blocked
        )
        self.room = WaitingRoom(max(1, waiting_share(settings)), self._others_go_on)
        self.news = KafkaNews(self.observe)
        self.observe = fan_out(self.observe, lambda event: self.news.on_event(event))  # noqa: PLW0108 -- the news are made anew at the start
        self.watch = Watch(self._checks(), clock, self.observe)
        self._source: KafkaSource | None = None
        self._intake: TaskIntake | None = None
        self._ended: asyncio.Future[None] | None = None
        self._refusal: Callable[[], str | None] = lambda: None
        self._unsettled: Callable[[], str | None] = lambda: None

    # --- starting -------------------------------------------------------------------------------

    async def start(self) -> None:
        """Raises BootstrapFailed naming the component, SettingsInvalid, PromptCatalogueInvalid."""
        self._own_parts()
        bootstrap = Bootstrap(self.clock, self.settings.app.bootstrap_retry_delay_s, self.observe)
        facts = await bootstrap.reach(KAFKA, self._survey)
        if facts.warning is not None:
            self.observe(events.Trouble(KAFKA, facts.warning))
        delivery = build_delivery(self.settings, facts, self.clock, self._rng, self.observe)
        self._parts.push_async_callback(delivery.close)
        await bootstrap.reach(KAFKA, delivery.open)
        if self.store is not None:
            await bootstrap.reach(STORE, self._check_store)
        if self.ledger_parts is not None:
            await self.ledger_parts.start(bootstrap, facts.status)
        await bootstrap.reach(self.default_provider, self.guards[self.default_provider].provider.health)
        await self.files.start()
        self.watch.start()
        await bootstrap.reach(KAFKA, lambda: adopt_new_group(self.settings, facts, self.observe))
        self._start_kafka(facts, delivery)

    def _own_parts(self) -> None:
        """What is closed at the stop, the last first, however far the start gets."""
        self._parts.callback(self._executor.shutdown, wait=False, cancel_futures=True)
        if self.store is not None:
            self._parts.callback(self.store.close)
        if self.ledger_parts is not None:
            self._parts.push_async_callback(self.ledger_parts.close)
        for guard in self.guards.values():
            self._parts.push_async_callback(guard.close)
        self._parts.push_async_callback(self.files.close)
        self._parts.push_async_callback(self.watch.close)
        self._parts.push_async_callback(self.letter_stop.close)

    def _start_kafka(self, facts: TopicFacts, delivery: Delivery) -> None:
        loop = asyncio.get_running_loop()

        def on_trouble(trouble: str) -> None:
            loop.call_soon_threadsafe(self._on_trouble, trouble)

        self.news = KafkaNews(threadsafe(self.observe, loop))
        connection = connection_config(self.settings)
        with accepted():
            publisher = Publisher(plain_properties(self.settings, facts, self.news))
        publisher.start()
        self._parts.push_async_callback(publisher.close, _FLUSH_S)
        with accepted():
            consumer = ConfluentConsumer(
                consumer_properties(
                    connection, group_config(self.settings), self.news.on_error, self.news.on_statistics
                )
                | own_lines(),
                on_trouble,
            )
        self._refusal = lambda: consumer.refusal or source.refusal
        self._unsettled = lambda: delivery.refusal
        settler, commits = delivery.connect(publisher, consumer, lambda: source)
        sink = KafkaStatusSink(publisher, facts.status)
        recall = partial(Recall, self.ledger, record_first=delivery.record_first)
        intake = TaskIntake(self._lives(facts, self._tools(facts, settler, sink, recall)))
        source = KafkaSource(
            consumer,
            consumer_policy(self.settings),
            intake,
            self.observe,
            commits,
            now=self.clock.now,
            crowded=self.room.make_way,
        )
        source.watch_logs(consumer.extent)
        self._intake, self._source = intake, source
        self._ended = source.start()

    def _lives(self, facts: TopicFacts, tools: Tools) -> Callable[[Course], Awaitable[None]]:
        """The life of a delivery, by the topic that it came from."""
        of_task = TaskLife(tools).live
        rules, drop_topic = self._rules, self.settings.kafka.file_drop_topic
        if rules is None:
            return of_task
        of_drop = drop_life(self.settings, facts, tools, lambda: self._rules or rules).live
        return lambda course: (of_drop if course.delivery.topic == drop_topic else of_task)(course)

    def _tools(
        self,
        facts: TopicFacts,
        settler: Settler,
        sink: KafkaStatusSink,
        recall: Callable[[Outcomes], Recall],
    ) -> Tools:
        kafka = self.settings.kafka
        files = self.settings.files
        claims = (
            ClaimCheck(self.store, self.settings.minio.bucket_name, self._executor) if self.store else None
        )
        policy = OutcomePolicy(
            worker_id=self.settings.worker.worker_id,
            encoding=kafka.result_encoding,
            status_max_bytes=min(facts.status_max_bytes, kafka.message_max_bytes),
            dead_letter_max_bytes=min(facts.dead_letter_max_bytes, kafka.message_max_bytes),
        )
        outcomes = Outcomes(policy, claims, self.clock)
        return Tools(
            window=self.window,
            recall=recall(outcomes),
            pool=self.pool,
            work=Work(
                self.files, self.guards, self.clock, self._rng, self.observe, FetchRetries(files.max_retries)
            ),
            outcomes=outcomes,
            settler=settler,
            progress=sink,
            guards=self.guards,
            catalogue=lambda: self._catalogue,
            defaults=PlanDefaults(
                self.settings.worker.default_prompt_id,
                self.default_provider,
                configured_fallback(self.settings),
            ),
            rounds=Rounds(self._round_policy(facts), self.clock),
            room=self.room,
            clock=self.clock,
            observe=self.observe,
            limits=TaskLimits(self.settings.worker.task_max_tokens, self.settings.worker.task_max_cost),
        )

    def _round_policy(self, facts: TopicFacts) -> RoundPolicy | None:
        if facts.retry is None:
            return None
        kafka = self.settings.kafka
        largest = min(facts.retry_max_bytes, kafka.message_max_bytes)
        return RoundPolicy(kafka.retry_delay_s, self.settings.retry.max_attempts, largest, kafka.group_id)

    async def _survey(self) -> TopicFacts:
        return await asyncio.to_thread(
            survey, connection_config(self.settings), topic_names(self.settings), self._survey_s
        )

    async def _check_store(self) -> None:
        if self.store is not None:
            loop = asyncio.get_running_loop()
            await loop.run_in_executor(self._executor, self.store.check, self.settings.minio.bucket_name)

    # --- running --------------------------------------------------------------------------------

    async def run(self, stop: asyncio.Event) -> None:
        """Work until ``stop`` is set, then drain. Raises ConsumerFatal when the consumer can't go on."""
        if self._ended is None:
            raise RuntimeError("start() comes first")
        ended = self._ended
        waiting = asyncio.create_task(stop.wait())
        ended.add_done_callback(lambda _: waiting.cancel())
        await asyncio.wait([waiting])
        await self.stop()
        if ended.done():
            ended.result()

    def reload_prompts(self) -> Catalogue | PromptCatalogueInvalid:
        """Read the catalogue again; a wrong one leaves the old in use and is returned as its error."""
        try:
            self._catalogue = Catalogue.load(self.settings.worker.prompts_file)
        except PromptCatalogueInvalid as error:
            return error
        return self._catalogue

    def reload_rules(self) -> Rules | SettingsInvalid | None:
        """The same for the drop rules, by the catalogue in use; None where there are none."""
        try:
            self._rules = self._load_rules()
        except SettingsInvalid as error:
            return error
        return self._rules

    def _load_rules(self) -> Rules | None:
        if self.settings.kafka.file_drop_topic is None:
            return None
        return load_rules(self.settings, self._catalogue, self.clock.now())

    async def stop(self) -> None:
        """Stop taking, drain, commit, leave, close; what is cut short is neither done nor FAILED."""
        if self.stopping:
            return
        self.stopping = True
        if self._source is not None and self._intake is not None:
            self._source.stop_taking()
            await self._intake.drain(self.settings.worker.shutdown_timeout_s)
            await self._source.close(_LEAVE_S)
        await self._parts.aclose()

    # --- looking --------------------------------------------------------------------------------

    @property
    def default_provider(self) -> str:
        """Who answers tasks that name nobody."""
        return next(iter(self.guards))

    @property
    def source(self) -> KafkaSource | None:
        """None until the start has got that far."""
        return self._source

    @property
    def refusal(self) -> str | None:
        """Why the group lets this worker read nothing, None where it does."""
        return self._refusal()

    @property
    def unsettled(self) -> str | None:
        """Why outcomes can't be settled for now, None where they can."""
        return self._unsettled()

    @property
    def taken(self) -> int:
        """Deliveries that are here and not settled."""
        return len(self._intake) if self._intake is not None else 0

    def count(self, stage: Stage) -> int:
        return self._intake.count(stage) if self._intake is not None else 0

    def oldest_received_at(self) -> float | None:
        """When the oldest delivery that is not settled was read, on the monotonic clock."""
        return self._intake.oldest_received_at() if self._intake is not None else None

    def _checks(self) -> dict[str, Check]:
        checks: dict[str, Check] = {
            KAFKA: BrokerCheck(connection_config(self.settings), self.settings.kafka.tasks_topic),
            self.default_provider: self._check_provider,
        }
        return checks if self.store is None else checks | {STORE: self._check_store}

    async def _check_provider(self) -> None:
        guard = self.guards[self.default_provider]
        if guard.is_open and self.pool.blocked:
            # The breaker looks for itself on behalf of those who wait for it, and knows more than a health check.
            raise ProviderUnavailable(guard.reason)
        await guard.provider.health()

    def _on_blocked(self, blocked: int) -> None:
        if self._source is not None:
            self._source.excuse(min(blocked, waiting_share(self.settings)))

    def _others_go_on(self) -> bool:
        """Whether any provider is well that tasks may be meant for; the built-in one counts when it is the default."""
        names = set(self.guards) - {EXTRACTIVE} | {self.default_provider} | self._asked_for
        return any(not self.guards[name].is_away for name in names)

    def _on_event(self, event: events.Event) -> None:
        if isinstance(event, events.BreakerChanged):
            self.room.review()
        elif isinstance(event, events.TaskStarted):
            self._asked_for.add(event.provider)

    def _halt(self, halted: bool, /) -> None:  # noqa: FBT001 -- its only argument
        if self._source is not None:
            self._source.halt(halted)

    def _on_trouble(self, trouble: str) -> None:
        self.observe(events.Trouble("kafka", trouble))
