"""The failover catalogue: what a provider may do wrong, through Kafka, with its calls counted and nobody hammered.

Each case without a list of providers and, where that says more, with one: the first fails, the second answers.
``./scripts/failover`` runs them and makes docs/failover.md of what came of each task.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest

from tests.acceptance.bad_day import until
from tests.acceptance.failover import (
    OPEN_S,
    RETRIES,
    SILENCE_S,
    THRESHOLD,
    Catalogue,
    Ended,
    catalogue,
    settings,
)
from tests.acceptance.stage import Stage
from tests.acceptance.worker import Worker, workers
from tests.services.kafka import Kafka
from tests.services.minio import MinioServer
from tests.standins.process import OpenAIProcess, gigachat

LIST = {"fallback": ["openrouter"]}
TRIES = 1 + RETRIES


@pytest.fixture(scope="module")
def stage(kafka: Kafka, minio: MinioServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    folder = tmp_path_factory.mktemp("failover")
    with gigachat(folder=folder) as standin:
        yield Stage.build(kafka, minio, standin, folder, partitions=2)


@pytest.fixture(scope="module")
def worker(stage: Stage, first: OpenAIProcess, second: OpenAIProcess) -> Iterator[Worker]:
    made = stage.worker(**settings(first, second))
    with workers(made):
        yield made.start()
        assert made.running, made.output()[-3000:]


@pytest.fixture
async def scene(
    stage: Stage, worker: Worker, first: OpenAIProcess, second: OpenAIProcess, request: pytest.FixtureRequest
) -> AsyncIterator[Catalogue]:
    """Each case finds both providers well, and leaves no breaker open behind it. What came of its tasks is kept with it."""
    await asyncio.to_thread(worker.wait_ready)
    async with catalogue(stage, worker, first, second) as made:
        yield made
    request.node.user_properties.append(("failover", json.dumps([asdict(run) for run in made.runs])))


def answered_by(ended: Ended, provider: str) -> None:
    """One whole answer of this provider, and nothing of another."""
    assert ended.code == "success", ended.body
    assert ended.body["provider"] == provider
    calls = ended.first if provider == "openai" else ended.second
    assert calls[-1].outcome == "answered"
    assert calls[-1].nonce in ended.result
    assert ended.result.count("Ответ") == 1
    assert "Это всё." in ended.result


async def test_01_429_with_retry_after(scene: Catalogue) -> None:
    ended = await scene.run(status=429, retry_after="2", times=1)
    answered_by(ended, "openai")
    refused, answered = ended.first
    assert answered.started - (refused.ended or 0) >= 1.95, "as long as it was asked to wait"


async def test_02_persistent_429(scene: Catalogue) -> None:
    """Without a list it is waited out; with one the second answers after a bounded number of calls."""
    waited = await scene.run(status=429, times=5)
    moved = await scene.run(status=429, task=LIST)
    at_once = await scene.run(status=429, retry_after="8", task=LIST)
    await asyncio.sleep(8)  # nobody is let through while the provider wants its rest
    answered_by(waited, "openai")
    assert len(waited.first) == 6
    answered_by(moved, "openrouter")
    assert len(moved.first) == TRIES
    answered_by(at_once, "openrouter")
    assert len(at_once.first) == 1
    assert at_once.seconds < 7, "the rest it asks for is longer than a moment, and the second needs none"


async def test_03_a_single_500(scene: Catalogue) -> None:
    ended = await scene.run(status=500, times=1, task=LIST)
    answered_by(ended, "openai")
    assert [call.status for call in ended.first] == [500, 200]
    assert ended.second == []
    assert ended.tried == [("openai", "success")]


async def test_04_persistent_503(scene: Catalogue) -> None:
    ended = await scene.run(status=503, task=LIST)
    answered_by(ended, "openrouter")
    assert len(ended.first) == TRIES
    assert len(ended.second) == 1
    assert ended.tried == [("openai", "provider_unavailable"), ("openrouter", "success")]


async def test_05_reset_before_headers(scene: Catalogue) -> None:
    once = await scene.run(reset=True, times=1)
    always = await scene.run(reset=True, task=LIST)
    answered_by(once, "openai")
    assert len(once.first) == 2
    answered_by(always, "openrouter")
    assert len(always.first) == TRIES


async def test_06_silence(scene: Catalogue) -> None:
    """Nothing at all for longer than the first byte may take is too slow for a deadline: the second answers in time."""
    until = datetime.now(UTC) + timedelta(seconds=16)
    ended = await scene.run(silence=120, task={**LIST, "deadline_at": until.isoformat()})
    answered_by(ended, "openrouter")
    assert datetime.now(UTC) < until + timedelta(seconds=3)
    assert ended.tried == [("openai", "deadline_exceeded"), ("openrouter", "success")]
    (call,) = ended.first
    assert call.outcome == "gone", "the call was ended at the vendor, too"


async def test_07_first_token_after_20_s(scene: Catalogue) -> None:
    """A model that thinks: silence before the first piece has a longer limit than silence in the middle."""
    ended = await scene.run(delay=20, task=LIST)
    answered_by(ended, "openai")
    assert ended.seconds > 20
    assert len(ended.first) == 1
    assert ended.second == []


async def test_08_cut_at_40_of_60(scene: Catalogue) -> None:
    always = await scene.run(cut=True, after=40, chunks=60, task=LIST)
    lost = await scene.run(cut=True, after=40, chunks=60)
    once = await scene.run(cut=True, after=40, chunks=60, times=1)
    answered_by(once, "openai")
    answered_by(always, "openrouter")
    assert len(always.first) == TRIES
    assert lost.code == "provider_stream_cut"
    assert "result" not in lost.body
    assert len(lost.first) == TRIES


async def test_09_stall_of_30_s(scene: Catalogue) -> None:
    ended = await scene.run(stall=30, after=20, chunks=60, times=1)
    answered_by(ended, "openai")
    stalled, answered = ended.first
    assert stalled.outcome == "gone"
    assert SILENCE_S - 0.5 < (stalled.ended or 0) - stalled.started < SILENCE_S + 5
    assert answered.outcome == "answered"


@pytest.mark.parametrize("fault", ["badjson", "noend"], ids=["10_malformed_chunk", "11_no_end_marker"])
async def test_an_answer_that_breaks_the_protocol(scene: Catalogue, fault: str) -> None:
    once = await scene.run(fault=fault, times=1)
    always = await scene.run(fault=fault, task=LIST)
    answered_by(once, "openai")
    assert len(once.first) == 2
    answered_by(always, "openrouter")
    assert len(always.first) == TRIES


async def test_12_context_too_long(scene: Catalogue) -> None:
    """The first has a small context, the second a large one; without a list the task fails after one call."""
    long = {"data": {"text": "слово " * 2000}}
    scene.first.set(context=1000)
    alone = await scene.run(task=long)
    moved = await scene.run(task={**long, **LIST})
    scene.first.set(context=100_000)
    assert alone.code == "context_too_long"
    assert len(alone.first) == 1
    answered_by(moved, "openrouter")
    assert len(moved.first) == 1
    assert moved.tried == [("openai", "context_too_long"), ("openrouter", "success")]


async def test_13_content_filter(scene: Catalogue) -> None:
    refused = await scene.run(status=400, code="filtered", task=LIST)
    midway = await scene.run(finish="content_filter", task=LIST)
    for ended in (refused, midway):
        assert ended.code == "content_filtered"
        assert ended.body["error"]["retryable"] is False
        assert len(ended.first) == 1
        assert ended.second == [], "nobody else is asked"


async def test_14_the_fallback_refuses_what_the_first_takes(scene: Catalogue) -> None:
    """The first is back soon: its answer is waited for, as the other's refusal is not the task's fault."""
    scene.second.tell(status=422)
    ended = await scene.run(status=503, times=TRIES, task=LIST)
    answered_by(ended, "openai")
    assert len(ended.second) == 1
    assert len(ended.first) == TRIES + 1
    assert ended.tried == [
        ("openai", "provider_unavailable"),
        ("openrouter", "request_rejected"),
        ("openai", "success"),
    ]


@pytest.mark.timeout(240)
async def test_15_an_outage_of_60_s_with_20_tasks(scene: Catalogue) -> None:
    """Nobody hammers what is away, and when it is back all are answered, soon and once."""
    scene.first.tell(status=503)
    scene.first.tell(kind="models", status=503)
    before, began = len(scene.first.requests("chat")), time.time()
    running = asyncio.create_task(scene.run_many(20, seconds=150))
    await asyncio.sleep(60)
    assert not running.done(), "they wait"
    made = scene.first.requests("chat")[before:]
    looked = [request for request in scene.first.requests("models") if request.started >= began]
    scene.first.forget()
    recovered = time.monotonic()
    ended = await running
    took = time.monotonic() - recovered
    for each in ended:
        answered_by(each, "openai")
        assert sum(call.status == 200 for call in each.first) == 1
    assert len(made) <= THRESHOLD + 20, f"{len(made)} calls: those in the air when the breaker opened"
    # One for all who wait, every OPEN_S, and the watch's own every five seconds.
    assert len(looked) <= 60 / OPEN_S + 60 / 5 + 5, f"{len(looked)} health checks"
    alone = sorted(request.started for request in looked)
    assert all(later - earlier > 0 for earlier, later in pairwise(alone))
    assert took < 60, f"{took:.1f} s after the recovery"


async def test_16_accounting_names_who_answered(scene: Catalogue) -> None:
    before = scene.worker.metric("llm_service_cost_dollars_total", provider="openrouter")
    moved = scene.worker.metric(
        "llm_service_provider_fallbacks_total", provider="openai", code="provider_account_error"
    )
    tokens = scene.worker.metric("llm_service_tokens_total", provider="openrouter", kind="completion")
    ended = await scene.run(
        status=429, code="no_money", task={"fallback": [{"provider": "openrouter", "model": "small"}]}
    )
    answered_by(ended, "openrouter")
    assert ended.body["model"] == "small-0613"
    assert ended.body["cost"] == 0.000125
    usage = ended.body["usage"]
    assert usage["total_tokens"] == usage["prompt_tokens"] + usage["completion_tokens"]
    assert len(ended.first) == 1, "an account that is refused is not asked twice"
    assert scene.worker.metric("llm_service_cost_dollars_total", provider="openrouter") > before
    assert scene.worker.metric("llm_service_tokens_total", provider="openrouter", kind="completion") > tokens
    now = scene.worker.metric(
        "llm_service_provider_fallbacks_total", provider="openai", code="provider_account_error"
    )
    assert now == moved + 1
    await until(
        lambda: bool(lines_of(scene.worker, ended.task_id, "task_settled")), 5, "the task's line in the log"
    )
    (left,) = lines_of(scene.worker, ended.task_id, "fell_back")
    assert "provider_account_error" in left
    (settled,) = lines_of(scene.worker, ended.task_id, "task_settled")
    assert "openai:provider_account_error openrouter:success" in settled


def lines_of(worker: Worker, task_id: str, action: str) -> list[str]:
    """What the log says of a task."""
    return [line for line in worker.output().splitlines() if task_id in line and action in line]
