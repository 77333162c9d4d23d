"""A minute's limits through Kafka, judged by the log of a provider that refuses what is too fast and says what is left."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator, Sequence
from itertools import pairwise

import pytest

from tests.acceptance.failover import Catalogue, Ended, catalogue, settings
from tests.acceptance.runbook.page import ENGLISH, not_shown, rows
from tests.acceptance.runbook.shell import has_curl, shows
from tests.acceptance.stage import Stage
from tests.acceptance.worker import Worker, workers
from tests.services.kafka import Kafka
from tests.services.minio import MinioServer
from tests.standins.process import OpenAIProcess, gigachat
from tests.standins.request_log import LoggedRequest

ROWS = rows(ENGLISH)
ACCOUNT = 48
SHARE = 0.5
OURS = int(ACCOUNT * SHARE)
"""Requests a minute of this worker."""
SAVED = 2
"""A tenth of them come at once."""
TOKENS = 60_000
"""A minute's of an account that two workers share."""
LONG = "x" * 12_000
"""3,000 tokens by the provider's count, and 4,000 by the worker's estimate, which its usage corrects."""
LONG_TASKS = 10
"""Of each worker: the tenth is beyond its half."""
MINUTE_S = 60.0
PRICES = """
[[price]]
provider = "openai"
model = "large"
input = 1000
cached = 500
output = 3000
date = 2026-11-21
"""


@pytest.fixture(scope="module")
def stage(kafka: Kafka, minio: MinioServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    folder = tmp_path_factory.mktemp("rate")
    with gigachat(folder=folder) as standin:
        yield Stage.build(kafka, minio, standin, folder, partitions=2)


@pytest.fixture(scope="module")
def other_stage(
    kafka: Kafka, minio: MinioServer, stage: Stage, tmp_path_factory: pytest.TempPathFactory
) -> Stage:
    """Of a worker that shares an account and nothing else."""
    return Stage.build(kafka, minio, stage.gigachat, tmp_path_factory.mktemp("other"), partitions=2)


@pytest.fixture(scope="module")
def worker(stage: Stage, first: OpenAIProcess, second: OpenAIProcess) -> Iterator[Worker]:
    prices = stage.folder / "prices.toml"
    prices.write_text(PRICES, "utf-8")
    made = stage.worker(**_settings(first, second), LLM_PRICES_FILE=str(prices))
    with workers(made):
        yield made.start()
        assert made.running, made.output()[-3000:]


@pytest.fixture(scope="module")
def other(other_stage: Stage, first: OpenAIProcess, second: OpenAIProcess) -> Iterator[Worker]:
    made = other_stage.worker("other", **_settings(first, second))
    with workers(made):
        yield made.start()


def _settings(first: OpenAIProcess, second: OpenAIProcess) -> dict[str, str]:
    """Requests of the first provider are limited. The second has two names more: by one its tokens are."""
    limits = {"OPENAI_REQUESTS_PER_MINUTE": str(ACCOUNT), "OPENAI_LIMIT_SHARE": str(SHARE)}
    limits |= {"COMPATIBLE_TOKENS_PER_MINUTE": str(TOKENS), "COMPATIBLE_LIMIT_SHARE": str(SHARE)}
    for name in ("COMPATIBLE", "MOONSHOT"):
        limits |= {f"{name}_BASE_URL": f"{second.base_url}/v1", f"{name}_API_KEY": second.key}
        limits |= {f"{name}_MODEL": "seeing", f"{name}_MAX_CONCURRENT": "20"}
    return settings(first, second) | limits


def most_in(seconds: float, calls: Sequence[LoggedRequest]) -> int:
    """Calls that began in any such span, by the provider's own log."""
    return most_of(seconds, [(call.started, 1) for call in calls])


def most_of(seconds: float, spent: Sequence[tuple[float, int]]) -> int:
    """The most that was spent in any such span; when, and how much."""
    return max(sum(much for at, much in spent if since <= at < since + seconds) for since, _ in spent)


@pytest.mark.timeout(300)
async def test_no_minute_has_more_than_the_share_and_nobody_waits_in_vain(
    stage: Stage,
    worker: Worker,
    other_stage: Stage,
    other: Worker,
    first: OpenAIProcess,
    second: OpenAIProcess,
) -> None:
    """By the log of the provider, which says in its headers what the whole account has: requests of one worker, and in the
    same minute the tokens of two that share another account."""
    has_curl()
    first.set(requests_a_minute=ACCOUNT)
    count = OURS + 4
    async with (
        catalogue(stage, worker, first, second) as scene,
        catalogue(other_stage, other, first, second) as beside,
    ):
        waiting = asyncio.create_task(scene.run_many(count, seconds=150.0))
        long = asyncio.gather(_long_tasks(scene), _long_tasks(beside))
        await asyncio.sleep(5)
        await _late_and_elsewhere(scene)
        ended = await waiting
        halves = await long
        await _another_model(scene)
    _judge_tokens(halves)
    for one in (worker, other):
        assert one.metric("llm_service_provider_turn_wait_seconds_count", limit="tokens") >= LONG_TASKS - 1
    calls = [one.first[0] for one in ended]
    assert all(len(one.first) == 1 for one in ended)
    assert {one.code for one in ended} == {"success"}
    assert all("cost" not in one.body for one in ended), "nobody knows what that model costs"
    assert {call.status for call in calls} == {200}, "never refused: never too fast"
    assert most_in(MINUTE_S, calls) <= OURS
    took = max(call.started for call in calls) - min(call.started for call in calls)
    assert took >= MINUTE_S, "more than a minute's worth takes more than a minute"
    assert took <= MINUTE_S + (count - OURS + SAVED) * MINUTE_S / OURS + 15, "and no minute is wasted"
    assert worker.metric("llm_service_provider_turn_wait_seconds_count", limit="requests") >= count - SAVED
    assert worker.metric("llm_service_provider_rate_ratio", provider="openai") == 1.0
    row = ROWS["minute-limits"]
    assert not_shown(row.log, worker.output()) == []
    await asyncio.to_thread(shows, row, worker.environment, worker.log.parent)


async def _long_tasks(scene: Catalogue) -> list[Ended]:
    task = {"provider": "compatible", "parameters": {"max_tokens": 50}}
    return await scene.run_many(LONG_TASKS, seconds=150.0, task=task, padding=LONG)


def _judge_tokens(halves: Sequence[Sequence[Ended]]) -> None:
    """When by the provider's log, how many as it billed them."""
    assert {(one.code, len(one.second)) for half in halves for one in half} == {("success", 1)}
    spent = [[(one.second[0].started, one.body["tokens_used"]) for one in half] for half in halves]
    assert all(much > 3_000 for half in spent for _, much in half)
    together = [*spent[0], *spent[1]]
    assert sum(much for _, much in together) > TOKENS, "more than a minute's"
    assert most_of(MINUTE_S, together) <= TOKENS
    assert most_of(MINUTE_S, together) >= TOKENS * 0.85, "and no minute is wasted"
    for half in spent:
        assert most_of(MINUTE_S, half) <= TOKENS * SHARE
        assert most_of(MINUTE_S / 4, half) <= TOKENS * SHARE / 2, "nor is all of it gone at once"


async def _late_and_elsewhere(scene: Catalogue) -> None:
    """While others wait their turn: who can't wait so long hears so at once, or goes to the next provider."""
    late = await scene.run(task={"deadline_at": _in(20.0)})
    assert late.code == "deadline_exceeded"
    assert "Its turn at openai comes in" in late.body["error"]["message"]
    assert f"{OURS} requests a minute" in late.body["error"]["message"]
    assert late.seconds < 10, "not after 20 s"
    assert late.first == []
    moved = await scene.run(task={"fallback": ["openrouter"]})
    assert moved.tried == [("openai", "provider_rate_limited"), ("openrouter", "success")]
    assert moved.seconds < 10
    assert moved.body["cost"] == 0.000125, "its own figure"
    assert moved.first == []


async def _another_model(scene: Catalogue) -> None:
    other = await scene.run(task={"model": "large"})
    assert other.code == "success"
    assert other.seconds < 10, "each model has a minute of its own"
    used = other.body["usage"]
    by_table = (used["prompt_tokens"] - 1) * 1000 + 500 + used["completion_tokens"] * 3000
    assert other.body["cost"] == pytest.approx(by_table / 1e6), "by the table, one token of the prompt cached"


async def test_what_headers_say_is_kept_to_and_then_it_goes_as_before(
    stage: Stage, worker: Worker, first: OpenAIProcess, second: OpenAIProcess
) -> None:
    """The provider takes five in eight seconds, and no setting tells the worker so: the headers of its answers do."""
    reset_s = 8.0
    by_second = {"provider": "openrouter"}
    async with catalogue(stage, worker, first, second) as scene:
        second.set(requests_a_minute=5, minute_s=reset_s)
        ended = await scene.run_many(1, task=by_second)
        ended += await scene.run_many(8, task=by_second)
        second.set(requests_a_minute=6_000, minute_s=MINUTE_S)
        await scene.run_many(1, task=by_second)  # whose answer says that there is plenty
        swift = await scene.run_many(10, task=by_second)
    assert {one.code for one in [*ended, *swift]} == {"success"}
    assert all(len(one.second) == 1 for one in [*ended, *swift]), "nobody was refused, nobody asked twice"
    calls = [one.second[0] for one in ended]
    # The provider counts from when it has the request, a moment after the log does.
    assert most_in(reset_s - 0.2, calls) <= 5
    took = max(call.started for call in calls) - min(call.started for call in calls)
    assert took <= 2 * reset_s + 5, "two windows, and no more"
    starts = [one.second[0].started for one in swift]
    assert max(starts) - min(starts) < 5


async def test_a_limit_that_nobody_tells_is_found_by_refusals_and_not_run_into_again(
    stage: Stage, worker: Worker, first: OpenAIProcess, second: OpenAIProcess
) -> None:
    """Twelve calls in three seconds are taken; the rest is refused, and nothing says how many there may be."""
    async with catalogue(stage, worker, first, second) as scene:
        second.set(requests_a_minute=12, minute_s=3, tells=False)
        ended = await scene.run_many(60, seconds=100.0, task={"provider": "moonshot"})
        second.set(requests_a_minute=0, tells=True)
    assert {one.code for one in ended} == {"success"}
    calls = sorted((call for one in ended for call in one.second), key=lambda call: call.started)
    refused = [call.started for call in calls if call.status == 429]
    assert len(calls) - len(refused) == 60
    rests = sum(later - earlier > 1.0 for earlier, later in pairwise([0.0, *refused]))
    # The first, and the second that tells the pace; a third where a busy machine lets calls wait and go together. With holds
    # alone there is one after each twelve.
    assert 2 <= rests <= 3
    assert calls[-1].started - calls[0].started <= 40, (
        "none of them starved: 24, and 36 at 2 a second and more"
    )
    assert "rate_changed" in worker.output()
    assert worker.metric("llm_service_provider_rate_ratio", provider="moonshot") < 1.0


def _in(seconds: float) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + seconds))
