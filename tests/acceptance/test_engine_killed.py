"""The process of a local model is killed while it writes answers for tasks that came through Kafka: each task ends right."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from llm_service.observability.engine_metrics import ENGINE
from tests.acceptance.bad_day import send_many
from tests.acceptance.platform import Platform, platform
from tests.acceptance.stage import Stage
from tests.acceptance.worker import Worker, workers
from tests.standins.random_model import Shape, write

TASKS = 12
# A hundred numbers by random weights: some hundreds of tokens, of which nothing is right by chance.
SCHEMA = {
    "type": "array",
    "items": {"type": "integer", "minimum": 100, "maximum": 999},
    "minItems": 100,
    "maxItems": 100,
}
SILENCE_S = 6.0
# Loading again takes seconds, and hanging is noticed only after the silence.
LIMIT_S = 100.0


@pytest.mark.timeout(400)
async def test_signals_to_the_engine_cost_no_task_and_not_the_consumer(
    stage: Stage, llama_library: None, tmp_path: Path
) -> None:
    folder = tmp_path / "models"
    folder.mkdir()
    write(folder / "small.gguf", Shape(width=64, layers=2, heads=4, kv_heads=2, inner=96, context=32_768))
    worker = stage.worker(
        LLM_PROVIDER="gguf",
        GGUF_FOLDER=str(folder),
        GGUF_MODEL="small",
        GGUF_THREADS="1",
        GGUF_CONTEXT_TOKENS="20000",
        GGUF_SILENCE_SECONDS=str(SILENCE_S),
        # A death is nobody's failure: with one that counted, the breaker would open or the task fail.
        LLM_MAX_RETRIES="0",
        CIRCUIT_BREAKER_FAILURE_THRESHOLD="1",
    )
    with workers(worker):
        worker.start()
        assert worker.process is not None
        pid, sent, engines = worker.process.pid, [], []
        async with platform(stage.kafka.bootstrap, stage.tasks, stage.status, stage.dead_letters) as here:
            for number in (signal.SIGABRT, signal.SIGKILL, signal.SIGSTOP):
                wave = await send_many(
                    here, TASKS, {"response_format": SCHEMA, "parameters": {"max_tokens": 1_000}}
                )
                sent += wave
                engines.append(await in_mid_batch(here, worker, wave))
                os.kill(engines[-1], number)
                await here.ended(*wave, seconds=LIMIT_S)
            assert worker.metric("llm_service_provider_retries_total") == 0
            assert "breaker_changed" not in worker.output()
            # What runs or waits is 0 by now; all else has moved.
            moved = [metric.exposed for metric in ENGINE if metric.name != "engine_answers_waiting"]
            still = [name for name in moved if not worker.metric(name)]
            assert still == ["llm_service_engine_answers_running"]
            assert worker.terminate() == 0
            assert worker.process.pid == pid
            await asyncio.sleep(0.5)  # what a second ending would have to come in
            for task in sent:
                (event,) = here.terminal(task)
                assert event.status == "3", event.value
                answer = json.loads(event.body["result"])
                assert len(answer) == 100
                assert all(100 <= each <= 999 for each in answer)
            assert here.letters == []
    assert len(set(engines)) == 3
    died = [
        line for line in worker.output().splitlines() if "engine_changed" in line and "action=died" in line
    ]
    assert len(died) == 3, died


async def in_mid_batch(here: Platform, worker: Worker, wave: list[str]) -> int:
    """The engine's process, when it says that it writes most of the wave's answers."""

    def writing() -> psutil.Process | None:
        is_full = worker.metric("llm_service_engine_answers_running") > TASKS // 2
        return engine_of(worker) if is_full else None

    engine = await found(writing)
    assert not all(here.terminal(task) for task in wave)
    return engine.pid


def engine_of(worker: Worker) -> psutil.Process | None:
    assert worker.process is not None
    for child in psutil.Process(worker.process.pid).children():
        if child.status() != psutil.STATUS_ZOMBIE and "llm_service.engine.child" in child.cmdline():
            return child
    return None


async def found(look: Callable[[], psutil.Process | None]) -> psutil.Process:
    until = time.monotonic() + LIMIT_S
    while (process := look()) is None:
        assert time.monotonic() < until
        await asyncio.sleep(0.02)
    return process
