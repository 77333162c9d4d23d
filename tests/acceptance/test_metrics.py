"""What a scraper sees of a real worker through a hard day: the numbers, and that each metric is alive."""

from __future__ import annotations

import asyncio
import contextlib
import urllib.request
from collections import defaultdict
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import pytest_asyncio
from prometheus_client.parser import text_string_to_metric_families

from llm_service.observability.engine_metrics import ENGINE
from llm_service.observability.metric import Kind
from llm_service.observability.metric_names import ALL
from tests.acceptance.bad_day import text, until
from tests.acceptance.platform import Platform, platform
from tests.acceptance.scene import new_id
from tests.acceptance.stage import Stage
from tests.acceptance.test_bad_days import settings_of
from tests.acceptance.test_logs import TALKATIVE
from tests.acceptance.worker import ROOT, Worker, workers
from tests.services.commands import run
from tests.services.kafka import Kafka
from tests.services.minio import MinioServer
from tests.services.postgres import Postgres
from tests.services.promtool import promtool
from tests.standins.process import gigachat

pytestmark = pytest.mark.asyncio(loop_scope="module")

EVERY_S = 0.1
NEVER_SEEN = {
    "build": "a constant; its labels are asserted",
    "workers_max": "a constant",
    "settings_warnings": "a constant of this run, asserted",
    "tls_unverified": "a constant of this run, asserted",
    "outcomes_dropped": "takes a partition that is lost while its outcome is being published; test_overlap has those",
    "consumer_silence_seconds": "too small to be told from 0 by a worker that is well",
    "ledger_fold_lag": "the same; the unit tests of the metrics have one that is behind",
    "provider_fallbacks": "takes a list of providers; asserted in test_failover",
    "cost_dollars": "takes a provider with a price; asserted in test_failover",
    "altered_chars": "takes a document that is cut, or hides something; asserted in test_documents",
    "drop_tasks": "takes a bucket's notifications; asserted in test_drops",
    "drops_skipped": "the same",
    "drops_refused": "the same",
    "tasks_sent_round": "takes a retry topic; asserted in test_retry_topic",
    "tasks_returned": "the same",
    "retry_held": "the same",
    "consumption_stopped": "takes a hundred dead letters in a row; asserted in test_letter_stop",
    "messages_lost": "takes deleted records; asserted in test_changing_topics",
    "logs_begun_anew": "takes a topic made anew; asserted in test_changing_topics",
    "provider_files_swept": "takes files that are an hour old; the unit tests of the metrics have some",
    "provider_rate_changes": "takes a limit a minute; the unit tests of the metrics have one that changes",
    "provider_rate_ratio": "the same",
    "provider_turn_wait_seconds": "takes a limit a minute; asserted in test_rate",
    **{metric.name: "takes a local model; asserted in test_engine_killed" for metric in ENGINE},
    "operation_log_dropped": "takes 20,000 rows that can't be written; the unit tests of the log have those",
}


@dataclass(slots=True)
class Seen:
    """All values that each series had, in the order they were scraped; by name and labels."""

    values: dict[tuple[str, tuple[tuple[str, str], ...]], list[float]] = field(
        default_factory=lambda: defaultdict(list)
    )
    scrapes: int = 0

    def scrape(self, address: str) -> None:
        with urllib.request.urlopen(address, timeout=2) as answer:
            families = text_string_to_metric_families(answer.read().decode())
        for family in families:
            for sample in family.samples:
                had = self.values[sample.name, tuple(sorted(sample.labels.items()))]
                if not had or had[-1] != sample.value:
                    had.append(sample.value)
        self.scrapes += 1

    def last(self, name: str, **labels: str) -> float:
        """The value at the end, summed over the labels that are not given; 0 where there is no such series."""
        wanted = set(labels.items())
        return sum(
            had[-1]
            for (found, its), had in self.values.items()
            if found == f"llm_service_{name}" and wanted <= set(its)
        )

    def highest(self, name: str, **labels: str) -> float:
        return max(
            (
                max(had)
                for (found, its), had in self.values.items()
                if found == f"llm_service_{name}" and set(labels.items()) <= set(its)
            ),
            default=0.0,
        )

    def changed(self, name: str) -> bool:
        """Whether a series of that name was seen with two values, or came while another was there already."""
        return any(found == name and (len(had) > 1 or had[0] > 0) for (found, _), had in self.values.items())


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def seen(
    kafka: Kafka, minio: MinioServer, postgres: Postgres, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Seen]:
    folder = tmp_path_factory.mktemp("metrics")
    (folder / "log").mkdir()
    (folder / "log" / "errors.log").symlink_to("/dev/full")
    with gigachat(folder=folder) as standin:
        # Tasks of 4 MB may come, and the dead letters' topic takes 1: a trouble from the start.
        stage = Stage.build(
            kafka, minio, standin, folder, partitions=4, config={"max.message.bytes": "4000000"}
        )
        database = settings_of(await asyncio.to_thread(postgres.database))
        settings = {
            **database,
            "KAFKA_MESSAGE_MAX_BYTES": "4000000",
            "GIGACHAT_VERIFY_SSL": "False",
            "WORKER_MAX_CONCURRENT_TASKS": "4",
            "CIRCUIT_BREAKER_FAILURE_THRESHOLD": "3",
            # Above the longest answer of the day, the 12 s of another_worker().
            "GIGACHAT_REQUEST_TIMEOUT_SECONDS": "20",
            "LOG_DIR": str(folder / "log"),
            "PYTHONPATH": TALKATIVE,
        }
        worker, second = stage.worker("first", **settings), stage.worker("second", **settings)
        seen = Seen()
        async with platform(stage.kafka.bootstrap, stage.tasks, stage.status, stage.dead_letters) as here:
            with workers(worker, second):
                async with watched(worker, seen):
                    await a_day(Day(stage, here, worker, second))
                await asyncio.to_thread(seen.scrape, address(worker))
        yield seen


def address(worker: Worker) -> str:
    return f"http://127.0.0.1:{worker.port}/metrics"


@contextlib.asynccontextmanager
async def watched(worker: Worker, seen: Seen) -> AsyncIterator[None]:
    """Scraped all the time, from the first moment that it answers."""

    async def watch() -> None:
        while True:
            with contextlib.suppress(OSError):
                await asyncio.to_thread(seen.scrape, address(worker))
            await asyncio.sleep(EVERY_S)

    watching = asyncio.create_task(watch())
    try:
        yield
    finally:
        watching.cancel()
        await asyncio.gather(watching, return_exceptions=True)


@dataclass(frozen=True, slots=True)
class Day:
    """Those who play."""

    stage: Stage
    here: Platform
    worker: Worker
    second: Worker

    async def send(
        self, body: dict[str, object], task_id: str, status: str = "1", partition: int = 0
    ) -> None:
        await self.here.send(
            {"prompt": "?", **body}, key=task_id, headers={"status": status}, partition=partition
        )

    async def run(self, body: dict[str, object], task_id: str | None = None, ends: int = 1) -> None:
        """One task, until it has so many terminal events."""
        task_id = task_id or new_id()
        await self.send(body, task_id)
        await self.here.until(lambda: len(self.here.terminal(task_id)) >= ends, 20, str(body))


async def a_day(day: Day) -> None:
    await asyncio.to_thread(day.worker.start)
    await successes(day)
    await failures(day)
    await repeats(day)
    await an_outage(day)
    await another_worker(day)


async def successes(day: Day) -> None:
    path = day.stage.put(f"{day.stage.bucket}/{new_id()}/a.txt", b"x" * 1000)
    for _ in range(3):
        await day.run({"text": text("a")})
    await day.run({"provider": "talkative", "storage_path": path})
    await day.send({"text": "x"}, new_id(), status="2")


async def failures(day: Day) -> None:
    await day.run({"storage_path": f"{day.stage.bucket}/nowhere.txt"})
    await day.run({"text": text("b", status=500, times=1)})
    await day.run({"provider": "talkative", "text": "[[orphan]]"})
    await day.run({"provider": "made-up", "text": "x"})
    # More than the calls of its tries: a file that can't be deleted is left there.
    day.stage.gigachat.tell(kind="delete", status=500, times=9)
    path = day.stage.put(f"{day.stage.bucket}/{new_id()}/b.txt", b"y" * 500)
    await day.run({"storage_path": path})
    day.stage.gigachat.forget()


async def repeats(day: Day) -> None:
    known, slow = new_id(), new_id()
    await day.run({"text": text("c")}, known)
    await day.run({"text": text("c")}, known, ends=2)
    await day.send({"text": "another"}, known)
    await day.here.until(lambda: len(day.here.letters_of(known)) == 1, 20, "a conflict")
    for _ in range(2):
        await day.send({"text": text("d", delay=1.0)}, slow)
    await day.here.until(lambda: len(day.here.terminal(slow)) == 2, 20, "both answered")


async def an_outage(day: Day) -> None:
    """The provider is away for longer than a look at it and than a statistics interval take."""
    day.stage.gigachat.tell(status=503)
    ids = [new_id() for _ in range(12)]
    for number, task_id in enumerate(ids):
        await day.send({"text": text("e")}, task_id, partition=number % 4)
    await until(lambda: day.worker.get("/ready")[0] == 503, 15, "unready")
    await until(lambda: day.worker.metric("llm_service_lag") > 0, 15, "a lag")
    day.stage.gigachat.forget()
    await day.here.ended(*ids, seconds=30)
    await until(lambda: day.worker.get("/ready")[0] == 200, 15, "ready")
    await until(lambda: day.worker.metric("llm_service_lag") == 0, 15, "no lag")


async def another_worker(day: Day) -> None:
    """It takes two of the four partitions, and with them tasks that are at work or wait."""
    ids = [new_id() for _ in range(8)]
    for number, task_id in enumerate(ids):
        # Longer than the second worker's start takes on a busy machine.
        delay = 12.0 if number < 4 else 0.5
        await day.send({"text": text(task_id, delay=delay)}, task_id, partition=number % 4)
    await until(lambda: day.worker.metric("llm_service_tasks_in_flight") == 4, 10, "at work")
    await asyncio.to_thread(day.second.start)
    await day.here.ended(*ids, seconds=40)
    await until(lambda: day.worker.metric("llm_service_partitions_owned") == 2, 20, "two partitions left")


async def test_the_numbers_are_those_of_the_day(seen: Seen) -> None:
    assert seen.last("messages_skipped_total") == 1
    assert seen.last("tasks_settled_total", code="file_not_found") == 1
    assert seen.last("tasks_settled_total", code="provider_unknown") == 1
    for code in ("file_not_found", "provider_unknown", "id_conflict"):
        assert seen.last("dead_letters_total", code=code) == 1, code
    assert seen.last("tasks_repeated_total", how="conflict") == 1
    assert seen.last("tasks_repeated_total", how="waiting") == 1
    assert seen.last("tasks_repeated_total", how="replayed") == 2, "the one after it, and the one that waited"
    assert seen.last("provider_retries_total", provider="gigachat", code="provider_server_error") == 1
    assert seen.last("provider_files_left_total", provider="gigachat") == 1
    assert seen.last("uncaught_errors_total", place="loop") == 1
    assert seen.last("files_loaded_total") == 2
    assert seen.last("file_bytes_total") == 1500
    assert seen.last("stage_seconds_count", stage="fetch") == 2
    assert seen.last("stage_seconds_count", stage="convert") == 1
    assert seen.last("tokens_total", provider="talkative", kind="prompt") == 20
    assert seen.last("tokens_total", provider="gigachat", kind="completion") > 0
    assert seen.last("provider_calls_total", provider="talkative", code="success") == 2
    assert seen.last("task_seconds_count", provider="none") == 2, "no provider of that name, and the conflict"
    settled = seen.last("tasks_settled_total")
    assert seen.last("task_seconds_count") == settled
    # Received: what was settled, what was released, and three repeats (of which the conflict is settled too).
    released = seen.last("tasks_released_total")
    assert released >= 1
    assert seen.last("tasks_received_total") == settled + released + 2


async def test_what_holds_at_the_end(seen: Seen) -> None:
    for gauge in ("tasks_in_flight", "tasks_queued", "tasks_waiting", "tasks_unfinished", "occupancy_ratio"):
        assert seen.last(gauge) == 0, gauge
    assert seen.last("oldest_unfinished_seconds") == 0
    assert seen.last("breaker_state") == 0
    assert seen.last("ready") == 1
    assert seen.last("partitions_owned") == 2
    assert seen.last("workers_max") == 4
    assert seen.last("connection_up", component="gigachat") == 1
    assert seen.last("tls_unverified", component="gigachat") == 1
    assert seen.last("settings_warnings") >= 1


async def test_what_was_true_in_between(seen: Seen) -> None:
    assert seen.highest("tasks_waiting") == 12, "all of the outage, each without a slot"
    assert seen.highest("breaker_state", provider="gigachat") == 2
    assert seen.highest("occupancy_ratio") == 1
    assert seen.highest("tasks_in_flight") == 4
    assert seen.highest("oldest_unfinished_seconds") > 1
    assert seen.highest("partitions_owned") == 4
    assert seen.last("rebalances_total", kind="revoked") == 1
    assert seen.highest("finished_offset") >= seen.highest("committed_offset") - 1 > 0
    assert seen.highest("log_lines_dropped_total", sink="files") > 0
    assert seen.highest("log_lines_dropped_total", sink="terminal") == 0
    assert seen.highest("troubles_total", component="kafka") >= 1


async def test_offsets_and_lag_name_their_topic_and_leave_with_their_partition(seen: Seen) -> None:
    for name in ("committed_offset", "finished_offset", "lag"):
        labels = [dict(its) for (found, its) in seen.values if found == f"llm_service_{name}"]
        assert {its["partition"] for its in labels} == {"0", "1", "2", "3"}, name
        assert len({its["topic"] for its in labels}) == 1, name


async def test_every_metric_of_the_registry_was_seen_alive(seen: Seen) -> None:
    still = {
        metric.name
        for metric in ALL.values()
        if not seen.changed(metric.exposed + ("_count" if metric.kind is Kind.HISTOGRAM else ""))
    }
    assert still - NEVER_SEEN.keys() == set()
    assert NEVER_SEEN.keys() <= ALL.keys()
    assert seen.scrapes > 50


async def test_every_series_is_in_the_registry(seen: Seen) -> None:
    endings = {Kind.HISTOGRAM: ("_bucket", "_sum", "_count")}
    known = {
        metric.exposed + ending: metric
        for metric in ALL.values()
        for ending in endings.get(metric.kind, ("",))
    }
    ours = {name for name, _ in seen.values if not name.startswith("process_")}
    assert ours <= known.keys()
    # One with labels has no series before its first event.
    silent = {known[name].name for name in known.keys() - ours}
    assert silent <= NEVER_SEEN.keys()


@pytest.fixture
def rules() -> Path:
    return ROOT / "deploy" / "prometheus"


async def test_prometheus_takes_the_alerts_and_they_fire(rules: Path, tmp_path: Path) -> None:
    tool = await asyncio.to_thread(promtool, tmp_path)
    assert "SUCCESS" in await asyncio.to_thread(run, [tool, "check", "rules", str(rules / "alerts.yml")])
    assert "SUCCESS" in await asyncio.to_thread(run, [tool, "test", "rules", str(rules / "alerts_test.yml")])
