"""Every metric of the service, by name: the one registry that dashboards and docs are made from.

Labels are words of our own (codes, stages, configured providers, partitions), never a task's text, so that
nobody outside can make the number of series grow.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Self

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    Info,
    ProcessCollector,
    disable_created_metrics,
)

NAMESPACE = "llm_service"

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
    """The collectors, on a registry of their own. Durations are seconds."""

    registry: CollectorRegistry
    build: Info
    tls_unverified: Gauge
    tasks_received: Counter
    messages_skipped: Counter
    tasks_repeated: Counter
    tasks_settled: Counter
    dead_letters: Counter
    tasks_released: Counter
    outcomes_dropped: Counter
    task_seconds: Histogram
    task_wait_seconds: Histogram
    stage_seconds: Histogram
    files_loaded: Counter
    file_bytes: Counter
    tokens: Counter
    provider_calls: Counter
    provider_call_seconds: Histogram
    provider_retries: Counter
    breaker_changes: Counter
    rebalances: Counter
    troubles: Counter
    partitions_owned: Gauge
    committed_offset: Gauge
    finished_offset: Gauge
    connection_up: Gauge

    @classmethod
    def create(cls, version: str) -> Self:
        """All of them at zero; ``version`` is the build's."""
        # The time a series began, one more series for each: nobody reads it, and it doubles every scrape.
        disable_created_metrics()  # type: ignore[no-untyped-call]
        registry = CollectorRegistry()
        # Memory, CPU and open files of the process, under the names every dashboard knows.
        ProcessCollector(registry=registry)
        counter = partial(Counter, namespace=NAMESPACE, registry=registry)
        gauge = partial(Gauge, namespace=NAMESPACE, registry=registry)
        histogram = partial(Histogram, namespace=NAMESPACE, registry=registry, buckets=BUCKETS_S)
        build = Info("build", "What is running.", namespace=NAMESPACE, registry=registry)
        build.info({"version": version})
        return cls(
            registry=registry,
            build=build,
            tls_unverified=gauge(
                "tls_unverified", "1 where TLS verification is switched off.", ["component"]
            ),
            tasks_received=counter("tasks_received", "Messages read that are tasks."),
            messages_skipped=counter("messages_skipped", "Messages read that are no tasks."),
            tasks_repeated=counter(
                "tasks_repeated", "Tasks whose id was known already, by what was done.", ["how"]
            ),
            tasks_settled=counter(
                "tasks_settled", "Outcomes made durable: success, or the error's code.", ["code"]
            ),
            dead_letters=counter(
                "dead_letters", "Outcomes with a dead letter, by the error's code.", ["code"]
            ),
            tasks_released=counter("tasks_released", "Tasks given back undecided."),
            outcomes_dropped=counter("outcomes_dropped", "Outcomes for partitions that were no longer ours."),
            task_seconds=histogram("task_seconds", "From receipt to durable outcome.", ["provider"]),
            task_wait_seconds=histogram("task_wait_seconds", "From receipt to the start of the work."),
            stage_seconds=histogram("stage_seconds", "One stage of the work.", ["stage"]),
            files_loaded=counter("files_loaded", "Files fetched whole."),
            file_bytes=counter("file_bytes", "Bytes of files fetched whole."),
            tokens=counter(
                "tokens", "Tokens of settled tasks, as providers counted them.", ["provider", "kind"]
            ),
            provider_calls=counter(
                "provider_calls", "Calls: success, or the error's code.", ["provider", "code"]
            ),
            provider_call_seconds=histogram("provider_call_seconds", "One call to a provider.", ["provider"]),
            troubles=counter("troubles", "Requests a dependency refused and is asked again.", ["component"]),
            provider_retries=counter("provider_retries", "Calls that were made again.", ["provider", "code"]),
            breaker_changes=counter(
                "breaker_changes", "Moves of a provider's breaker.", ["provider", "state"]
            ),
            rebalances=counter("rebalances", "Partitions assigned, revoked or lost: how often.", ["kind"]),
            partitions_owned=gauge("partitions_owned", "Partitions this worker has."),
            committed_offset=gauge(
                "committed_offset", "Lowest unfinished offset, as committed.", ["partition"]
            ),
            finished_offset=gauge("finished_offset", "Highest finished offset.", ["partition"]),
            connection_up=gauge("connection_up", "1 while a dependency answers.", ["component"]),
        )
