"""The series that follow events, made from the registry in ``metric_names``."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from itertools import product
from typing import Any, Self

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    Info,
    ProcessCollector,
    disable_created_metrics,
)

from llm_service.observability.build import Build
from llm_service.observability.metric import NAMESPACE, Kind, Metric
from llm_service.observability.metric_names import FOLLOWED

BUCKETS_S = (
    *(
        round(step * 10.0**power, 3)
        for power in range(-2, 3)
        for step in (1, 2.5, 5)
        if step * 10.0**power < 500
    ),
    600.0,
)
"""10 ms to 10 min, three to a decade: a time read from them is off by a factor of 2.5 at most.

Below 10 ms lies nothing that a model does; 10 min is the default limit of one call.
"""


@dataclass(frozen=True, slots=True)
class Metrics:
    """The collectors, on a registry of their own; each has the name of its entry. Durations are seconds."""

    registry: CollectorRegistry
    build: Info
    tls_unverified: Gauge
    settings_warnings: Gauge
    tasks_received: Counter
    messages_skipped: Counter
    messages_lost: Counter
    logs_begun_anew: Counter
    drop_tasks: Counter
    drops_skipped: Counter
    drops_refused: Counter
    tasks_repeated: Counter
    tasks_settled: Counter
    dead_letters: Counter
    tasks_sent_round: Counter
    tasks_returned: Counter
    tasks_released: Counter
    outcomes_dropped: Counter
    task_seconds: Histogram
    task_wait_seconds: Histogram
    stage_seconds: Histogram
    files_loaded: Counter
    file_bytes: Counter
    tokens: Counter
    cost_dollars: Counter
    altered_chars: Counter
    provider_calls: Counter
    provider_call_seconds: Histogram
    provider_first_token_seconds: Histogram
    provider_retries: Counter
    provider_fallbacks: Counter
    provider_files_left: Counter
    provider_files_swept: Counter
    breaker_changes: Counter
    provider_rate_changes: Counter
    provider_turn_wait_seconds: Histogram
    engine_tokens: Counter
    engine_grammar_tokens: Counter
    engine_grammar_seconds: Counter
    engine_processes: Counter
    engine_models: Gauge
    engine_model_bytes: Gauge
    engine_answers_running: Gauge
    engine_answers_waiting: Gauge
    engine_cached_tokens: Gauge
    rebalances: Counter
    troubles: Counter
    uncaught_errors: Counter
    partitions_owned: Gauge
    committed_offset: Gauge
    finished_offset: Gauge
    connection_up: Gauge
    consumption_stopped: Gauge

    @classmethod
    def create(cls, build: Build) -> Self:
        """All of them at zero."""
        # The time a series began, one more series for each: nobody reads it, and it doubles every scrape.
        disable_created_metrics()  # type: ignore[no-untyped-call]
        registry = CollectorRegistry()
        # Memory, CPU, start and open files of the process, under the names every dashboard knows.
        ProcessCollector(registry=registry)
        metrics = cls(registry, **{metric.name: _collector(metric, registry) for metric in FOLLOWED})
        metrics.build.info(asdict(build))
        return metrics


def _collector(metric: Metric, registry: CollectorRegistry) -> Any:
    """Typed by the field that it becomes."""
    named: dict[str, Any] = {"namespace": NAMESPACE, "registry": registry}
    labels = () if metric.kind is Kind.INFO else metric.label_names
    if metric.kind is Kind.HISTOGRAM:
        return Histogram(metric.name, metric.meaning, labels, buckets=BUCKETS_S, **named)
    made = {Kind.COUNTER: Counter, Kind.GAUGE: Gauge, Kind.INFO: Info}[metric.kind]
    collector = made(metric.name, metric.meaning, labels, **named)
    if metric.labels and all(label.values for label in metric.labels):
        for values in product(*(label.values for label in metric.labels)):
            collector.labels(*values)
    return collector
