"""A task with a list of providers: who is asked, what moves on, what never does, and what is written down."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from llm_service.errors import (
    ContentFiltered,
    ContextTooLong,
    ModelNotFound,
    ProviderAccountError,
    ProviderAnswerInvalid,
    ProviderError,
    ProviderRateLimited,
    ProviderServerError,
    ProviderStreamCut,
    ProviderTimeout,
    ProviderUnavailable,
    RequestRejected,
    RequestUnsupported,
)
from llm_service.events import FellBack, TaskSettled
from tests.unit.tasks.bench import GUARD, Bench, Step, body, code


async def ended(bench: Bench, **task: object) -> tuple[str, dict[str, Any]]:
    """Live one task that may be answered by another provider too."""
    asked = {"text": "Привет", "provider": "model", "fallback": ["other"], **task}
    await bench.live(bench.delivery(asked))
    outcome = bench.settler.outcomes[-1]
    bench.assert_at_rest()
    return code(outcome), body(outcome.status)


def tried(said: dict[str, Any]) -> list[tuple[str, str]]:
    return [(one["provider"], one["code"]) for one in said["tried"]]


RETRIES = GUARD.retry.max_retries


@pytest.mark.parametrize(
    ("error", "calls"),
    [
        (ProviderAccountError(), 1),
        (ProviderRateLimited(retry_after=60.0), 1),
        (ProviderRateLimited(), 1 + RETRIES),
        (ProviderUnavailable(), 1 + RETRIES),
        (ProviderUnavailable(retry_after=600.0), 1),
        (ProviderServerError(), 1 + RETRIES),
        (ProviderTimeout(), 1 + RETRIES),
        (ProviderStreamCut(), 1 + RETRIES),
        (ProviderAnswerInvalid(), 1 + RETRIES),
        (ContextTooLong(), 1),
        (RequestUnsupported(), 1),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else str(value),
)
async def test_what_moves_on(error: ProviderError, calls: int) -> None:
    bench = Bench()
    bench.model.script = [error] * 20
    how, said = await ended(bench)
    assert how == "success"
    assert (said["provider"], said["model"]) == ("other", "model-1.0")
    assert tried(said) == [("model", error.code), ("other", "success")]
    assert len(bench.model.requests) == calls, "as often as retries allow, and no more"
    assert len(bench.other.requests) == 1
    (left,) = bench.told(FellBack)
    assert isinstance(left, FellBack)
    assert (left.provider, left.code, left.next_provider) == ("model", error.code, "other")
    (settled,) = bench.told(TaskSettled)
    assert isinstance(settled, TaskSettled)
    assert settled.tried == f"model:{error.code} other:success"
    assert settled.provider == "other"


@pytest.mark.parametrize("error", [ContentFiltered(), RequestRejected(), ModelNotFound()])
async def test_what_never_does(error: ProviderError) -> None:
    bench = Bench()
    bench.model.script = [error]
    how, said = await ended(bench)
    assert how == error.code
    assert tried(said) == [("model", error.code)]
    assert bench.other.requests == []


async def test_an_answer_that_is_wrong_is_no_failure_of_the_provider() -> None:
    bench = Bench()
    bench.model.script = ["no JSON", "no JSON"]
    how, _ = await ended(bench, response_format={"type": "object"})
    assert how == "answer_not_json"
    assert bench.other.requests == []


async def test_each_gets_its_own_model() -> None:
    bench = Bench()
    bench.model.script = [ProviderAccountError()]
    task = {"model": "big", "fallback": [{"provider": "other", "model": "small"}]}
    _, said = await ended(bench, **task)
    assert [request.model for request in (*bench.model.requests, *bench.other.requests)] == ["big", "small"]
    assert [one["model"] for one in said["tried"]] == ["big", "small"]


async def test_a_fallback_that_refuses_what_the_first_would_take_is_passed_over() -> None:
    """The first is away for a moment only: its answer is worth the wait, and the other's refusal is not the task's."""
    bench = Bench()
    away: list[Step] = [ProviderUnavailable()] * (1 + RETRIES)
    bench.model.script = [*away, "the answer"]
    bench.other.script = [RequestRejected("too much for me")]
    how, said = await ended(bench)
    assert how == "success"
    assert tried(said) == [
        ("model", "provider_unavailable"),
        ("other", "request_rejected"),
        ("model", "success"),
    ]


async def test_where_all_have_failed_the_first_that_may_be_well_later_says_so() -> None:
    bench = Bench()
    bench.model.script = [ContextTooLong()]
    bench.other.script = [ProviderServerError("500")] * 20
    how, said = await ended(bench)
    assert how == "provider_server_error"
    assert said["error"]["retryable"] is True
    assert tried(said) == [("model", "context_too_long"), ("other", "provider_server_error")]


async def test_too_slow_for_the_deadline_moves_on_in_time() -> None:
    bench = Bench()
    bench.model.script = [1000.0]
    until = bench.clock.now() + timedelta(seconds=20)
    how, said = await ended(bench, deadline_at=until.isoformat())
    assert how == "success"
    assert tried(said) == [("model", "deadline_exceeded"), ("other", "success")]
    assert bench.clock.now() < until


async def test_a_deadline_that_passes_is_the_end() -> None:
    bench = Bench()
    bench.model.script, bench.other.script = [1000.0], [1000.0]
    until = bench.clock.now() + timedelta(seconds=20)
    how, _ = await ended(bench, deadline_at=until.isoformat())
    assert how == "deadline_exceeded"
    assert (bench.clock.now() - until).total_seconds() < 1


async def opened(bench: Bench) -> None:
    """The first provider's account is refused until its breaker opens."""
    bench.model.script = [ProviderAccountError("no money")] * GUARD.breaker.failure_threshold
    for number in range(GUARD.breaker.failure_threshold):
        await one(bench, number)
    assert bench.guards["model"].is_open


async def one(bench: Bench, number: int) -> tuple[str, dict[str, Any]]:
    task = {"text": "x", "provider": "model", "fallback": ["other"]}
    task_id = f"7b0e1111-aaaa-4bbb-8ccc-{number:012}"
    await bench.live(bench.delivery(task, task_id=task_id, offset=number))
    outcome = bench.settler.outcomes[-1]
    return code(outcome), body(outcome.status)


async def test_an_open_breaker_is_passed_without_a_wait_or_a_call() -> None:
    bench = Bench()
    await opened(bench)
    calls, began = len(bench.model.requests), bench.clock.monotonic()
    how, said = await one(bench, 100)
    assert how == "success"
    assert tried(said) == [("model", "provider_unavailable"), ("other", "success")]
    assert len(bench.model.requests) == calls
    assert bench.clock.monotonic() == began


async def test_a_provider_that_everybody_passes_by_comes_back_all_the_same() -> None:
    bench = Bench()
    await opened(bench)
    await bench.clock.advance(GUARD.breaker.open_s)
    assert (await one(bench, 100))[1]["provider"] == "other", "passed by, and looked at"
    await bench.clock.advance(1)
    assert (await one(bench, 101))[1]["provider"] == "model", (
        "its health was asked, and this call was the probe"
    )
    assert not bench.guards["model"].is_open


async def test_a_name_that_is_not_configured_is_refused() -> None:
    bench = Bench()
    how, said = await ended(bench, fallback=["nobody"])
    assert how == "provider_unknown"
    assert "'nobody'" in said["error_message"]
    assert bench.model.requests == []


@pytest.mark.parametrize("fallback", ["other", [1], [{"model": "m"}], [""]])
async def test_a_list_that_is_none_is_refused(fallback: object) -> None:
    how, said = await ended(Bench(), fallback=fallback)
    assert how == "invalid_field"
    assert "fallback" in said["error_message"]


async def test_without_a_list_nothing_is_said_of_one() -> None:
    _, said = await ended(Bench(), fallback=None)
    assert "tried" not in said
