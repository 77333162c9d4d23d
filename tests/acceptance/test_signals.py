"""Told to stop at every stage, and killed: drained and committed; what was cut short is another worker's, and done once."""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import psutil
import pytest

from tests.acceptance.bad_day import calls, failures, send, send_many, started, until
from tests.acceptance.judge import differing
from tests.acceptance.offsets import Sample, Sampler
from tests.acceptance.platform import Platform, platform
from tests.acceptance.stage import Stage
from tests.acceptance.worker import Worker, workers
from tests.services.kafka import Kafka
from tests.services.minio import MinioServer
from tests.standins.process import GigaChatProcess

DRAIN_S = 3
CLOSE_S = 5
"""What the settings leave, beyond the drain, for the last commit and for closing."""
SETTINGS = {"WORKER_SHUTDOWN_TIMEOUT_SECONDS": str(DRAIN_S), "WORKER_MAX_CONCURRENT_TASKS": "4"}


@asynccontextmanager
async def two(stage: Stage, **settings: str) -> AsyncIterator[tuple[Worker, Worker, Platform]]:
    """A worker that has already done five tasks, and one that is not started yet."""
    first, second = (stage.worker(name, **SETTINGS, **settings) for name in ("first", "second"))
    async with platform(stage.kafka.bootstrap, stage.tasks, stage.status, stage.dead_letters) as here:
        with workers(first, second):
            await started(first)
            done = await send_many(here, 5)
            await here.ended(*done)
            committed = Sampler(stage.kafka.bootstrap, stage.group, stage.tasks, 12)
            await until(lambda: total(committed.now()) == 5, 5, "they are committed")
            yield first, second, here
            # Whatever came after: what was finished before it was neither run nor answered again.
            assert [len(calls(stage.gigachat, task_id)) for task_id in done] == [1] * 5
            assert [len(here.terminal(task_id)) for task_id in done] == [1] * 5


def total(sample: Sample) -> int:
    """Messages committed on a fresh topic."""
    return sum(offset for offset, _ in sample.committed.values())


async def stopped(worker: Worker, number: signal.Signals = signal.SIGTERM) -> float:
    """Tell it to stop; it ends with 0. The seconds it took."""
    began = time.monotonic()
    worker.signal(number)
    code = await asyncio.to_thread(worker.wait, 40)
    assert code == 0, worker.output()[-3000:]
    return time.monotonic() - began


async def done_by(second: Worker, here: Platform, task_ids: Sequence[str], seconds: float = 30) -> None:
    """Neither done nor FAILED so far; the other worker, started now, does all of them."""
    assert [event.value for task_id in task_ids for event in here.terminal(task_id)] == []
    await started(second)
    ended = await here.ended(*task_ids, seconds=seconds)
    assert [event.status for event in ended] == ["3"] * len(task_ids)
    assert {event.header("worker_id") for event in ended} == {"LLM_second"}
    assert await stopped(second) < DRAIN_S + CLOSE_S


async def test_idle(stage: Stage) -> None:
    async with two(stage) as (first, second, here):
        assert await stopped(first) < CLOSE_S, "there is nothing to drain"
        later = await send(here)
        await done_by(second, here, [later])


async def test_before_the_start_has_come_to_its_end(stage: Stage) -> None:
    """It waits for a dependency that is not there: no attempt after the signal, and no error."""
    worker = stage.worker(KAFKA_BOOTSTRAP_SERVERS="127.0.0.1:1", BOOTSTRAP_RETRY_DELAY_SECONDS="60")
    with workers(worker):
        await asyncio.to_thread(worker.start, wait=False)
        await until(lambda: worker.get("/ready")[0] == 503, 20, "it listens while it starts")
        assert "starting" in worker.get("/ready")[1]["reasons"]
        # One look at the cluster takes 5 s, and is let end.
        assert await stopped(worker) < 5 + CLOSE_S
        assert "Bootstrap failed" not in worker.output()


async def test_waiting_for_a_slot(stage: Stage) -> None:
    """What works may end; what waits for its turn is given back at once."""
    async with two(stage) as (first, second, here):
        working = await send_many(here, 4, delay=1.5)
        await until(lambda: len(calls(stage.gigachat, *working)) == 4, 10, "four calls")
        waiting = await send_many(here, 4)
        await until(lambda: first.get("/status")[1]["tasks"]["waiting"] == 4, 10, "four wait for a slot")
        assert await stopped(first) < DRAIN_S + CLOSE_S
        assert [event.status for event in await here.ended(*working)] == ["3"] * 4
        assert calls(stage.gigachat, *waiting) == []
        await done_by(second, here, waiting)
        assert len(calls(stage.gigachat, *working, *waiting)) == 8, "none was begun twice"


async def test_waiting_for_the_provider(stage: Stage) -> None:
    async with two(stage) as (first, second, here):
        stage.gigachat.tell(kind="oauth", status=401)
        stage.gigachat.set(tokens_alive=False)
        waiting = await send_many(here, 6)
        await until(lambda: first.metric("llm_service_breaker_state") > 0, 20, "the breaker opens")
        await until(lambda: first.get("/status")[1]["tasks"]["waiting"] == 6, 10, "all wait")
        assert await stopped(first) < DRAIN_S, "nothing is drained that only waits"
        stage.gigachat.forget()
        await done_by(second, here, waiting)


async def test_during_a_fetch(
    kafka: Kafka, own_minio: MinioServer, standin: GigaChatProcess, tmp_path: Path
) -> None:
    """The store holds the connection and says nothing: no thread that waits for it holds the process."""
    stage = Stage.build(kafka, own_minio, standin, tmp_path)
    async with two(stage) as (first, second, here):
        paths = [stage.put(f"{stage.bucket}/{number}/письмо.txt", b"letter") for number in range(3)]
        own_minio.pause()
        fetching = [await send(here, {"storage_path": path, "text": None}) for path in paths]
        await until(lambda: all(len(here.of(task_id)) == 1 for task_id in fetching), 10, "PROCESSING of all")
        assert await stopped(first) < DRAIN_S + CLOSE_S
        own_minio.resume()
        await done_by(second, here, fetching)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_in_the_middle_of_a_call(stage: Stage, number: signal.Signals) -> None:
    """A call that ends within the drain is an answer; one that does not is cut, and begun again elsewhere."""
    async with two(stage) as (first, second, here):
        short = await send_many(here, 2, delay=1.5)
        long = await send_many(here, 2, delay=60, times=1)
        await until(lambda: len(calls(stage.gigachat, *short, *long)) == 4, 10, "four calls")
        assert DRAIN_S - 0.5 < await stopped(first, number) < DRAIN_S + CLOSE_S
        assert [event.status for event in await here.ended(*short)] == ["3", "3"]
        await done_by(second, here, long)
        assert len(calls(stage.gigachat, *short)) == 2
        assert [call.outcome for call in calls(stage.gigachat, *long)][:2] == ["gone", "gone"]
        assert len(calls(stage.gigachat, *long)) == 4


async def test_while_outcomes_are_settled(
    own_kafka: Kafka, minio: MinioServer, standin: GigaChatProcess, tmp_path: Path
) -> None:
    """Kafka holds the connection and takes nothing: the answers are there and can't be said."""
    stage = Stage.build(own_kafka, minio, standin, tmp_path)
    async with two(stage) as (first, second, here):
        settling = await send_many(here, 4, delay=1.0)
        await until(lambda: len(calls(standin, *settling)) == 4, 10, "four calls")
        own_kafka.pause()
        await until(lambda: first.get("/status")[1]["tasks"]["decided"] == 4, 10, "all are being settled")
        assert await stopped(first) < DRAIN_S + CLOSE_S
        own_kafka.resume()
        await started(second)
        await here.ended(*settling)
        assert failures(here, settling) == []
        # An answer may have reached the broker's socket before it was stopped; who did not get it said does it again.
        assert len(calls(standin, *settling)) <= 8


async def test_told_twice_it_ends_at_once(stage: Stage) -> None:
    async with two(stage) as (first, second, here):
        long = await send(here, delay=60, times=1)
        await until(lambda: len(calls(stage.gigachat, long)) == 1, 10, "a call")
        first.signal(signal.SIGTERM)
        await until(lambda: first.get("/health")[1]["status"] == "shutting_down", 5, "it drains")
        assert first.get("/ready")[0] == 503
        began = time.monotonic()
        first.signal(signal.SIGTERM)
        assert await asyncio.to_thread(first.wait, 10) == 130
        assert time.monotonic() - began < 1.0
        await done_by(second, here, [long])


async def test_killed_it_is_replaced(stage: Stage) -> None:
    """The other is there already, and takes over what was in flight when the session ends."""
    async with two(stage) as (first, second, here):
        await started(second)
        await until(lambda: second.get("/status")[1]["partitions"] == 6, 20, "it has its half")
        in_flight = [await send(here, partition=number, delay=2.0, times=1) for number in range(12)]
        await until(lambda: len(calls(stage.gigachat, *in_flight)) == 8, 10, "both pools are busy")
        assert first.process is not None
        children = psutil.Process(first.process.pid).children(recursive=True)
        first.kill()
        killed = time.monotonic()
        ended = await here.ended(*in_flight)
        assert [event.status for event in ended] == ["3"] * 12
        # The session of 3 s, the wait for the rebalance, and the work itself.
        assert time.monotonic() - killed < 15
        assert len(calls(stage.gigachat, *in_flight)) <= 12 + 2 * 4 + 4, (
            "the window of the one that was killed"
        )
        assert not any(differing(here.terminal(task_id)) for task_id in in_flight)
        _, left = psutil.wait_procs(children, timeout=5)
        assert left == [], "its conversion processes went with it"
        assert await stopped(second) < DRAIN_S + CLOSE_S


CATALOGUE = "prompts: {{1: {{name: Summary, user: '{word} {{{{text}}}}'}}}}"


async def test_the_catalogue_is_read_again(stage: Stage) -> None:
    """SIGHUP: the next task gets the new words; a broken catalogue leaves those in use, and the log says why."""
    catalogue = stage.folder / "prompts.yaml"
    catalogue.write_text(CATALOGUE.format(word="FIRST"))
    worker = stage.worker(PROMPTS_FILE=str(catalogue))

    async def answer(here: Platform) -> str:
        (event,) = await here.ended(await send(here, echo=True))
        return str(event.body["result"])

    async with platform(stage.kafka.bootstrap, stage.tasks, stage.status, stage.dead_letters) as here:
        with workers(worker):
            await started(worker)
            assert "FIRST" in await answer(here)
            catalogue.write_text(CATALOGUE.format(word="SECOND"))
            worker.signal(signal.SIGHUP)
            await until(lambda: "prompts_reloaded" in worker.output(), 5, "it is read again")
            assert "SECOND" in await answer(here)
            catalogue.write_text("prompts: {1: {name: Summary}}")
            worker.signal(signal.SIGHUP)
            await until(lambda: "prompts_kept" in worker.output(), 5, "it is refused")
            assert "user" in worker.output().partition("prompts_kept")[2], "the log names the field"
            assert "SECOND" in await answer(here)
            assert await stopped(worker) < CLOSE_S
