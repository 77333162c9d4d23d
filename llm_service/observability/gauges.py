"""What is true now, asked at each scrape instead of followed by events."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Protocol

from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from llm_service.observability.metrics import NAMESPACE, Metrics

BREAKER_STATES = {"closed": 0, "half_open": 1, "open": 2}


class Gauges(Protocol):
    """The numbers of this moment. Asked on the event loop; each answer must be quick."""

    def workers_max(self) -> int:
        """Most tasks at once."""
        ...

    def in_flight(self) -> int:
        """Tasks that are worked on and hold a worker slot."""
        ...

    def queued(self) -> int:
        """Tasks taken that have no worker slot yet."""
        ...

    def waiting(self) -> int:
        """Tasks that gave their slot up, for a provider that is away or asked for patience."""
        ...

    def window(self) -> int:
        """Finished tasks that are remembered to answer repeats."""
        ...

    def oldest_unfinished_s(self) -> float:
        """Seconds since the receipt of the oldest unfinished task; 0 when there is none."""
        ...

    def breaker_states(self) -> Mapping[str, str]:
        """Provider to closed, half_open or open."""
        ...

    def lag(self) -> Mapping[int, int]:
        """Partition to messages behind its end, counted from the committed offset."""
        ...


class GaugesCollector(Collector):
    """Reads the gauges when it is asked."""

    def __init__(self, gauges: Gauges) -> None:
        self._gauges = gauges

    def collect(self) -> Iterator[GaugeMetricFamily]:
        gauges = self._gauges
        yield _gauge("workers_max", "Most tasks at once.", gauges.workers_max())
        yield _gauge("tasks_in_flight", "Tasks that hold a worker slot.", gauges.in_flight())
        yield _gauge("tasks_queued", "Tasks taken that have no worker slot yet.", gauges.queued())
        yield _gauge(
            "tasks_waiting", "Tasks that gave their slot up to wait for a provider.", gauges.waiting()
        )
        yield _gauge("window_size", "Finished tasks remembered to answer repeats.", gauges.window())
        yield _gauge(
            "oldest_unfinished_seconds", "Age of the oldest unfinished task.", gauges.oldest_unfinished_s()
        )
        breakers = GaugeMetricFamily(
            f"{NAMESPACE}_breaker_state", "0 closed, 1 half-open, 2 open.", labels=["provider"]
        )
        for provider, state in gauges.breaker_states().items():
            breakers.add_metric([provider], BREAKER_STATES[state])
        yield breakers
        lag = GaugeMetricFamily(f"{NAMESPACE}_lag", "Messages not committed yet.", labels=["partition"])
        for partition, behind in gauges.lag().items():
            lag.add_metric([str(partition)], behind)
        yield lag


def register_gauges(metrics: Metrics, gauges: Gauges) -> None:
    """From now on a scrape asks ``gauges`` too."""
    metrics.registry.register(GaugesCollector(gauges))


def _gauge(name: str, documentation: str, value: float) -> GaugeMetricFamily:
    return GaugeMetricFamily(f"{NAMESPACE}_{name}", documentation, value=value)
