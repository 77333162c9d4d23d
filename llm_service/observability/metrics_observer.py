"""Events into metrics."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from functools import cache
from typing import Any

from llm_service import events
from llm_service.events import Event
from llm_service.observability import engine_metrics
from llm_service.observability.metrics import Metrics


class MetricsObserver:
    """An observer that counts. ``providers`` are those of the settings: any other name a task gives is ``other``."""

    def __init__(self, metrics: Metrics, providers: Collection[str]) -> None:
        self._metrics = metrics
        self._providers = frozenset(providers)
        self._partitions: set[tuple[str, int]] = set()
        # Finding a series by its labels costs as much as counting in it; words of our own bound the caches.
        self._stage_seconds = cache(metrics.stage_seconds.labels)
        self._task_seconds = cache(metrics.task_seconds.labels)
        self._tasks_settled = cache(metrics.tasks_settled.labels)
        self._tokens = cache(metrics.tokens.labels)
        self._provider_calls = cache(metrics.provider_calls.labels)
        self._call_seconds = cache(metrics.provider_call_seconds.labels)
        self._first_token_seconds = cache(metrics.provider_first_token_seconds.labels)
        self._handlers = self._by_type()

    def __call__(self, event: Event) -> None:
        # By type: a chain of comparisons costs what the counting does, for each of a task's half a dozen events.
        handle = self._handlers.get(type(event))
        if handle is not None:
            handle(event)

    def _by_type(self) -> Mapping[type[Event], Callable[[Any], None]]:
        return {
            events.TaskReceived: lambda _: self._metrics.tasks_received.inc(),
            events.TaskStarted: lambda event: self._metrics.task_wait_seconds.observe(event.waited_s),
            events.StageFinished: lambda event: self._stage_seconds(event.stage).observe(event.seconds),
            events.ProviderCalled: self._called,
            events.TaskSettled: self._settled,
            events.FileLoaded: self._loaded,
            events.MessageSkipped: lambda _: self._metrics.messages_skipped.inc(),
            events.DropBecameTask: lambda event: self._metrics.drop_tasks.labels(event.rule).inc(),
            events.DropSkipped: lambda event: self._metrics.drops_skipped.labels(event.reason).inc(),
            events.DropRefused: self._drop_refused,
            events.TaskRepeated: lambda event: self._metrics.tasks_repeated.labels(event.how).inc(),
            events.TaskSentRound: self._sent_round,
            events.TaskCameBack: lambda _: self._metrics.tasks_returned.inc(),
            events.MessagesLost: lambda event: self._metrics.messages_lost.inc(event.count),
            events.LogBegunAnew: lambda _: self._metrics.logs_begun_anew.inc(),
            events.TaskReleased: lambda _: self._metrics.tasks_released.inc(),
            events.OutcomeDropped: lambda _: self._metrics.outcomes_dropped.inc(),
            events.ProviderRetried: self._retried,
            events.FellBack: self._fell_back,
            events.BreakerChanged: self._breaker_changed,
            events.RateChanged: self._rate_changed,
            events.TurnAwaited: self._turn_awaited,
            events.EngineAnswered: lambda event: engine_metrics.answered(self._metrics, event),
            events.EngineChanged: lambda event: self._metrics.engine_processes.labels(event.action).inc(),
            events.EngineState: lambda event: engine_metrics.at_present(self._metrics, event),
            events.ConnectionChanged: lambda event: self._metrics.connection_up.labels(event.component).set(
                event.up
            ),
            events.ConsumptionStopped: lambda _: self._metrics.consumption_stopped.set(1),
            events.ConsumptionResumed: lambda _: self._metrics.consumption_stopped.set(0),
            events.Trouble: lambda event: self._metrics.troubles.labels(event.component).inc(),
            events.FilesLeft: lambda event: self._metrics.provider_files_left.labels(event.provider).inc(
                len(event.file_ids)
            ),
            events.FilesSwept: lambda event: self._metrics.provider_files_swept.labels(event.provider).inc(
                event.files
            ),
            events.Uncaught: lambda event: self._metrics.uncaught_errors.labels(event.place).inc(),
            events.OffsetsCommitted: self._committed,
            events.PartitionsAssigned: self._assigned,
            events.PartitionsRevoked: self._revoked,
        }

    def _loaded(self, event: events.FileLoaded) -> None:
        self._metrics.files_loaded.inc()
        self._metrics.file_bytes.inc(event.size)

    def _drop_refused(self, event: events.DropRefused) -> None:
        self._metrics.drops_refused.labels(event.code).inc()
        self._metrics.dead_letters.labels(event.code).inc()

    def _retried(self, event: events.ProviderRetried) -> None:
        self._metrics.provider_retries.labels(self._provider(event.provider), event.code).inc()

    def _fell_back(self, event: events.FellBack) -> None:
        self._metrics.provider_fallbacks.labels(self._provider(event.provider), event.code).inc()

    def _breaker_changed(self, event: events.BreakerChanged) -> None:
        self._metrics.breaker_changes.labels(self._provider(event.provider), event.state).inc()

    def _rate_changed(self, event: events.RateChanged) -> None:
        self._metrics.provider_rate_changes.labels(self._provider(event.provider), event.reason).inc()

    def _turn_awaited(self, event: events.TurnAwaited) -> None:
        provider = self._provider(event.provider)
        self._metrics.provider_turn_wait_seconds.labels(provider, event.limit).observe(event.seconds)

    def _assigned(self, event: events.PartitionsAssigned) -> None:
        self._metrics.rebalances.labels("assigned").inc()
        self._partitions.update((event.topic, number) for number in event.partitions)
        self._metrics.partitions_owned.set(len(self._partitions))

    def _settled(self, event: events.TaskSettled) -> None:
        provider = self._provider(event.provider)
        self._tasks_settled(event.code).inc()
        self._task_seconds(provider).observe(event.seconds)
        if event.dead_letter:
            self._metrics.dead_letters.labels(event.code).inc()
        if event.prompt_tokens is not None:
            self._tokens(provider, "prompt").inc(event.prompt_tokens)
        if event.completion_tokens is not None:
            self._tokens(provider, "completion").inc(event.completion_tokens)
        if event.cost is not None:
            self._metrics.cost_dollars.labels(provider).inc(event.cost)
        if event.cut_chars:
            self._metrics.altered_chars.labels("cut").inc(event.cut_chars)
        if event.hidden_chars:
            self._metrics.altered_chars.labels("hidden").inc(event.hidden_chars)

    def _sent_round(self, event: events.TaskSentRound) -> None:
        self._metrics.tasks_sent_round.labels("wait" if event.waits else "attempt", event.code).inc()

    def _called(self, event: events.ProviderCalled) -> None:
        provider = self._provider(event.provider)
        self._provider_calls(provider, event.code).inc()
        self._call_seconds(provider).observe(event.seconds)
        if event.first_token_s is not None:
            self._first_token_seconds(provider).observe(event.first_token_s)

    def _committed(self, event: events.OffsetsCommitted) -> None:
        if (event.topic, event.partition) not in self._partitions:
            return
        place = event.topic, str(event.partition)
        self._metrics.committed_offset.labels(*place).set(event.offset)
        self._metrics.finished_offset.labels(*place).set(event.highest_finished)

    def _revoked(self, event: events.PartitionsRevoked) -> None:
        """What another worker has now is its to tell: a stale offset of ours would contradict it."""
        self._metrics.rebalances.labels("lost" if event.lost else "revoked").inc()
        leaving = self._partitions.intersection((event.topic, number) for number in event.partitions)
        for topic, number in leaving:
            for gauge in (self._metrics.committed_offset, self._metrics.finished_offset):
                gauge.remove(topic, str(number))
        self._partitions -= leaving
        self._metrics.partitions_owned.set(len(self._partitions))

    def _provider(self, name: str) -> str:
        if name in self._providers:
            return name
        return "other" if name else "none"
