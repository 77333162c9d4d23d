"""What is true now, asked at each scrape instead of followed by events."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Protocol, TypeAlias

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector

from llm_service.observability.metric import NAMESPACE, Kind
from llm_service.observability.metric_names import ALL
from llm_service.observability.metrics import Metrics

BREAKER_STATES = {"closed": 0, "half_open": 1, "open": 2}

_Family: TypeAlias = GaugeMetricFamily | CounterMetricFamily


class Gauges(Protocol):
    """The numbers of this moment. Asked on the event loop; each answer must be quick."""

    def uptime_s(self) -> float:
        """Seconds since the start."""
        ...

    def is_ready(self) -> bool:
        """What /ready says."""
        ...

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

    def unfinished(self) -> int:
        """Tasks that are here and not settled."""
        ...

    def retry_held(self) -> int:
        """Messages of the retry topic that are here and not due."""
        ...

    def window(self) -> int:
        """Finished tasks that are remembered to answer repeats."""
        ...

    def loop_tasks(self) -> int:
        """The event loop's own tasks."""
        ...

    def oldest_unfinished_s(self) -> float:
        """Seconds since the receipt of the oldest unfinished task; 0 when there is none."""
        ...

    def breaker_states(self) -> Mapping[str, str]:
        """Provider to closed, half_open or open."""
        ...

    def calls_in_progress(self) -> Mapping[str, int]:
        """Provider to calls under way."""
        ...

    def rate_factors(self) -> Mapping[str, float]:
        """Provider to the share of its minute's limits that its slowest model uses."""
        ...

    def lag(self) -> Mapping[tuple[str, int], int]:
        """Topic and partition to messages behind its end, counted from the committed offset."""
        ...

    def consumer_silence_s(self) -> float | None:
        """Seconds since the consumer's thread last moved; None while it is not meant to run."""
        ...

    def operation_log(self) -> tuple[int, int] | None:
        """Rows that wait, and rows that were dropped; None without an operation log."""
        ...

    def ledger(self) -> tuple[int, int, int | None] | None:
        """Rows of this worker's tasks, rows of its fold, and the fold's lag (None where another folds); None without."""
        ...


class GaugesCollector(Collector):
    """Reads the gauges when it is asked."""

    def __init__(self, gauges: Gauges, log_dropped: Callable[[], Mapping[str, int]]) -> None:
        self._gauges = gauges
        self._log_dropped = log_dropped

    def collect(self) -> Iterator[_Family]:
        gauges = self._gauges
        yield _of("ready", gauges.is_ready())
        yield _of("uptime_seconds", gauges.uptime_s())
        yield from self._tasks()
        yield _labelled(
            "breaker_state", {(k,): BREAKER_STATES[v] for k, v in gauges.breaker_states().items()}
        )
        yield _labelled(
            "provider_calls_in_progress", {(k,): v for k, v in gauges.calls_in_progress().items()}
        )
        yield _labelled("provider_rate_ratio", {(k,): v for k, v in gauges.rate_factors().items()})
        yield _labelled("lag", {(topic, str(number)): lag for (topic, number), lag in gauges.lag().items()})
        silence = gauges.consumer_silence_s()
        yield _labelled("consumer_silence_seconds", {} if silence is None else {(): silence})
        rows = gauges.operation_log()
        yield _labelled("operation_log_queued", {} if rows is None else {(): rows[0]})
        yield _labelled("operation_log_dropped", {} if rows is None else {(): rows[1]})
        yield from self._ledger()
        yield _labelled("log_lines_dropped", {(sink,): lost for sink, lost in self._log_dropped().items()})

    def _ledger(self) -> Iterator[_Family]:
        rows = self._gauges.ledger()
        yield _labelled("ledger_rows", {} if rows is None else {("task",): rows[0], ("fold",): rows[1]})
        lag = None if rows is None else rows[2]
        yield _labelled("ledger_fold_lag", {} if lag is None else {(): lag})

    def _tasks(self) -> Iterator[_Family]:
        gauges = self._gauges
        yield _of("workers_max", gauges.workers_max())
        yield _of("tasks_in_flight", gauges.in_flight())
        yield _of("occupancy_ratio", gauges.in_flight() / gauges.workers_max())
        yield _of("tasks_queued", gauges.queued())
        yield _of("tasks_waiting", gauges.waiting())
        yield _of("tasks_unfinished", gauges.unfinished())
        yield _of("retry_held", gauges.retry_held())
        yield _of("window_size", gauges.window())
        yield _of("loop_tasks", gauges.loop_tasks())
        yield _of("oldest_unfinished_seconds", gauges.oldest_unfinished_s())


def register_gauges(metrics: Metrics, gauges: Gauges, log_dropped: Callable[[], Mapping[str, int]]) -> None:
    """From now on a scrape asks ``gauges`` too, and ``log_dropped`` for lines that were lost, by sink."""
    metrics.registry.register(GaugesCollector(gauges, log_dropped))


def _of(name: str, value: float) -> _Family:
    return _labelled(name, {(): value})


def _labelled(name: str, values: Mapping[tuple[str, ...], float]) -> _Family:
    metric = ALL[name]
    family = CounterMetricFamily if metric.kind is Kind.COUNTER else GaugeMetricFamily
    made = family(f"{NAMESPACE}_{name}", metric.meaning, labels=metric.label_names)
    for labels, value in values.items():
        made.add_metric(labels, value)
    return made
