"""What a scraper sees, byte for byte as it sees it."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise

import pytest
from prometheus_client import generate_latest
from prometheus_client.parser import text_string_to_metric_families

from llm_service import events
from llm_service.observability.gauges import register_gauges
from llm_service.observability.metrics import BUCKETS_S, Metrics
from llm_service.observability.metrics_observer import MetricsObserver
from tests.unit.observability.samples import BUILD, REF, life, settled


class Seen:
    """The samples of a scrape."""

    def __init__(self, metrics: Metrics) -> None:
        families = text_string_to_metric_families(generate_latest(metrics.registry).decode())
        self._samples = {
            (sample.name, tuple(sorted(sample.labels.items()))): sample.value
            for family in families
            for sample in family.samples
        }

    def __call__(self, name: str, **labels: str) -> float | None:
        return self._samples.get((f"llm_service_{name}", tuple(sorted(labels.items()))))

    @property
    def names(self) -> set[str]:
        return {name for name, _ in self._samples}


@pytest.fixture
def metrics() -> Metrics:
    return Metrics.create(BUILD)


@pytest.fixture
def observer(metrics: Metrics) -> MetricsObserver:
    return MetricsObserver(metrics, ["gigachat", "ollama"])


def test_a_task_from_receipt_to_outcome(metrics: Metrics, observer: MetricsObserver) -> None:
    for event in life():
        observer(event)

    seen = Seen(metrics)
    assert seen("tasks_received_total") == 1
    assert seen("tasks_settled_total", code="success") == 1
    assert seen("task_seconds_sum", provider="gigachat") == 1.25
    assert seen("task_wait_seconds_count") == 1
    assert seen("stage_seconds_sum", stage="fetch") == 0.1
    assert seen("stage_seconds_count", stage="settle") == 1
    assert (seen("files_loaded_total"), seen("file_bytes_total")) == (1, 1000)
    assert seen("tokens_total", provider="gigachat", kind="prompt") == 100
    assert seen("tokens_total", provider="gigachat", kind="completion") == 50
    assert seen("provider_calls_total", provider="gigachat", code="success") == 1
    assert seen("provider_call_seconds_bucket", provider="gigachat", le="1.0") == 1
    assert seen("provider_call_seconds_bucket", provider="gigachat", le="0.5") == 0
    assert seen("dead_letters_total", code="success") is None
    assert seen("build_info", version="1.2.3", python="3.11.7", librdkafka="2.11.0", commit="abc") == 1


def test_the_rest_is_counted_each_under_its_name(metrics: Metrics, observer: MetricsObserver) -> None:
    for event in (
        events.MessageSkipped("tasks_llm", 3, 43),
        events.TaskRepeated(REF, "replayed"),
        settled("file_not_found", "gone"),
        events.TaskReleased(REF, "revoked"),
        events.OutcomeDropped(REF),
        events.ProviderRetried("gigachat", "provider_timeout", 2.0),
        events.BreakerChanged("ollama", "open", "5 failures"),
        events.Trouble("kafka", "refused"),
        events.ConnectionChanged("store", up=False, reason="silence"),
        events.FilesLeft("gigachat", ["a", "b"]),
        events.FilesSwept("gigachat", 3),
        events.RateChanged("gigachat", "small", 30.0, None, "throttled"),
        events.Uncaught("loop", "a task", ""),
    ):
        observer(event)

    seen = Seen(metrics)
    assert seen("messages_skipped_total") == 1
    assert seen("tasks_repeated_total", how="replayed") == 1
    assert seen("tasks_settled_total", code="file_not_found") == 1
    assert seen("dead_letters_total", code="file_not_found") == 1
    assert seen("tasks_released_total") == 1
    assert seen("outcomes_dropped_total") == 1
    assert seen("provider_retries_total", provider="gigachat", code="provider_timeout") == 1
    assert seen("breaker_changes_total", provider="ollama", state="open") == 1
    assert seen("troubles_total", component="kafka") == 1
    assert seen("connection_up", component="store") == 0
    assert seen("provider_files_left_total", provider="gigachat") == 2
    assert seen("provider_files_swept_total", provider="gigachat") == 3
    assert seen("provider_rate_changes_total", provider="gigachat", reason="throttled") == 1
    assert seen("uncaught_errors_total", place="loop") == 1


def test_offsets_are_told_only_for_the_partitions_that_are_here(
    metrics: Metrics, observer: MetricsObserver
) -> None:
    observer(events.PartitionsAssigned("t", [1, 2], finished_above=0))
    observer(events.OffsetsCommitted("t", 1, 10, highest_finished=14))
    observer(events.OffsetsCommitted("t", 2, 20, highest_finished=20))
    observer(events.PartitionsRevoked("t", [2], lost=True))
    observer(events.OffsetsCommitted("t", 2, 25, highest_finished=25))

    seen = Seen(metrics)
    assert seen("committed_offset", topic="t", partition="1") == 10
    assert seen("finished_offset", topic="t", partition="1") == 14
    assert seen("committed_offset", topic="t", partition="2") is None
    assert seen("partitions_owned") == 1
    assert seen("rebalances_total", kind="lost") == 1


def test_a_task_cannot_make_series(metrics: Metrics, observer: MetricsObserver) -> None:
    for number in range(100):
        observer(settled("provider_unknown", "…", provider=f"made-up-{number}"))
    observer(settled("invalid_message", "…", provider=""))

    seen = Seen(metrics)
    assert seen("task_seconds_count", provider="other") == 100
    assert seen("task_seconds_count", provider="none") == 1
    assert len(generate_latest(metrics.registry)) < 20_000


def test_buckets_reach_from_10_ms_to_10_min_in_even_steps() -> None:
    assert (BUCKETS_S[0], BUCKETS_S[-1]) == (0.01, 600.0)
    ratios = [after / before for before, after in pairwise(BUCKETS_S)]
    assert all(1.9 < ratio < 2.6 for ratio in ratios)


class FixedGauges:
    def workers_max(self) -> int:
        return 10

    def in_flight(self) -> int:
        return 3

    def queued(self) -> int:
        return 7

    def retry_held(self) -> int:
        return 4

    def waiting(self) -> int:
        return 2

    def window(self) -> int:
        return 50

    def loop_tasks(self) -> int:
        return 31

    def oldest_unfinished_s(self) -> float:
        return 4.5

    def breaker_states(self) -> Mapping[str, str]:
        return {"gigachat": "open", "ollama": "closed"}

    def lag(self) -> Mapping[tuple[str, int], int]:
        return {("tasks_llm", 0): 17}

    def uptime_s(self) -> float:
        return 61.5

    def is_ready(self) -> bool:
        return True

    def unfinished(self) -> int:
        return 12

    def rate_factors(self) -> Mapping[str, float]:
        return {"gigachat": 0.5}

    def calls_in_progress(self) -> Mapping[str, int]:
        return {"gigachat": 2}

    def consumer_silence_s(self) -> float | None:
        return 0.25

    def operation_log(self) -> tuple[int, int] | None:
        return 4, 1

    def ledger(self) -> tuple[int, int, int | None] | None:
        return 5, 2, 7


def test_gauges_are_asked_at_each_scrape(metrics: Metrics) -> None:
    register_gauges(metrics, FixedGauges(), lambda: {"terminal": 0, "files": 9})

    seen = Seen(metrics)
    assert seen("workers_max") == 10
    assert seen("tasks_in_flight") == 3
    assert seen("tasks_queued") == 7
    assert seen("tasks_waiting") == 2
    assert seen("window_size") == 50
    assert seen("loop_tasks") == 31
    assert seen("oldest_unfinished_seconds") == 4.5
    assert seen("breaker_state", provider="gigachat") == 2
    assert seen("breaker_state", provider="ollama") == 0
    assert seen("lag", topic="tasks_llm", partition="0") == 17
    assert seen("occupancy_ratio") == 0.3
    assert seen("ready") == 1
    assert seen("uptime_seconds") == 61.5
    assert seen("tasks_unfinished") == 12
    assert seen("provider_calls_in_progress", provider="gigachat") == 2
    assert seen("provider_rate_ratio", provider="gigachat") == 0.5
    assert seen("consumer_silence_seconds") == 0.25
    assert (seen("operation_log_queued"), seen("operation_log_dropped_total")) == (4, 1)
    assert (seen("ledger_rows_total", by="task"), seen("ledger_rows_total", by="fold")) == (5, 2)
    assert seen("ledger_fold_lag") == 7
    assert seen("log_lines_dropped_total", sink="files") == 9


def test_names_are_ours_or_the_processs(metrics: Metrics, observer: MetricsObserver) -> None:
    for event in life():
        observer(event)
    assert all(name.startswith(("llm_service_", "process_")) for name in Seen(metrics).names)
    assert not any(name.endswith("_created") for name in Seen(metrics).names)


def test_registries_are_apart() -> None:
    one, other = Metrics.create(BUILD), Metrics.create(BUILD)
    one.tasks_received.inc()
    assert Seen(other)("tasks_received_total") == 0
