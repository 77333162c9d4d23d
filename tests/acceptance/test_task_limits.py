"""What the settings say of every task: the list of providers that it may go to, and what it may use in all its attempts."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Iterator

import pytest

from tests.acceptance.bad_day import send, text
from tests.acceptance.failover import catalogue, settings
from tests.acceptance.platform import platform
from tests.acceptance.stage import Stage
from tests.acceptance.worker import Worker, workers
from tests.services.kafka import Kafka
from tests.services.minio import MinioServer
from tests.standins.process import OpenAIProcess, gigachat

MOST = 9_000
LONG = "x" * 12_000
"""3,000 tokens by the provider's count, 4,000 by the estimate: two answers, and no third."""


@pytest.fixture(scope="module")
def stage(kafka: Kafka, minio: MinioServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    folder = tmp_path_factory.mktemp("limits")
    with gigachat(folder=folder) as standin:
        yield Stage.build(kafka, minio, standin, folder, partitions=2)


@pytest.fixture(scope="module")
def worker(stage: Stage, first: OpenAIProcess, second: OpenAIProcess) -> Iterator[Worker]:
    limits = {"TASK_MAX_TOKENS": str(MOST), "LLM_FALLBACK": "openrouter=small", "LLM_MAX_RETRIES": "0"}
    rounds = {"KAFKA_RETRY_TOPIC": stage.kafka.unique("retry"), "KAFKA_RETRY_DELAY_SECONDS": "1"}
    made = stage.worker(**{**settings(first, second), **limits, **rounds})
    with workers(made):
        yield made.start()
        assert made.running, made.output()[-3000:]


async def test_a_task_without_a_list_goes_by_the_one_of_the_settings(
    stage: Stage, worker: Worker, first: OpenAIProcess, second: OpenAIProcess
) -> None:
    async with catalogue(stage, worker, first, second) as scene:
        moved = await scene.run(status=500)
        own = await scene.run(status=400, task={"fallback": []})
    assert moved.tried == [("openai", "provider_server_error"), ("openrouter", "success")]
    assert moved.body["model"] == "small-0613"
    assert (own.code, own.second) == ("request_rejected", [])


async def test_what_a_task_may_use_is_for_all_its_attempts(
    stage: Stage, worker: Worker, first: OpenAIProcess
) -> None:
    """Each attempt has an answer that is no JSON, and its repair fails for the moment."""
    task_id, word = str(uuid.uuid4()), f"word-{uuid.uuid4()}"
    await asyncio.to_thread(first.tell, match=task_id, answer=word)
    await asyncio.to_thread(first.tell, match=word, status=500)
    task = {
        "text": text(task_id) + LONG,
        "response_format": {"type": "object", "required": ["kind"]},
        "parameters": {"max_tokens": 100},
        "fallback": [],
        "max_attempts": 5,
    }
    async with platform(stage.kafka.bootstrap, stage.tasks, stage.status, stage.dead_letters) as here:
        await send(here, task, task_id=task_id)
        await here.ended(task_id, seconds=60.0)
    first.forget()
    (event,) = here.terminal(task_id)
    assert event.body["error"]["code"] == "task_too_costly", event.body
    assert (event.header("attempt"), event.body["attempt"]) == ("2", 2)
    used = event.body["tokens_used"]
    assert f"{used} are used already" in event.body["error_message"]
    assert f"a task may use {MOST} here" in event.body["error_message"]
    calls = [call.status for call in first.requests("chat") if call.marker == task_id]
    assert calls == [200, 500, 200], "an answer, its repair, an answer, and no second repair"
    assert 6_000 < used <= MOST
