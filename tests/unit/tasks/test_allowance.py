"""What a task may use is kept to: before a call, between calls, and while an answer is written."""

from __future__ import annotations

from collections.abc import AsyncGenerator

import pytest

from llm_service.errors import TaskTooCostly
from llm_service.providers.protocol import (
    Capabilities,
    Completion,
    CompletionRequest,
    Delta,
    FinishReason,
    StreamPart,
    Usage,
)
from llm_service.providers.reading import whole, within
from llm_service.tasks.allowance import TaskLimits
from tests.unit.tasks.bench import Bench, body, code

SCHEMA = {"type": "object", "required": ["kind"]}


def answered(text: str, tokens: int = 100, cost: float | None = None) -> Completion:
    return Completion(text, FinishReason.STOP, "model-1", Usage(tokens, 0), cost=cost)


async def ended(bench: Bench, **task: object) -> tuple[str, dict[str, object]]:
    await bench.live(bench.delivery(task))
    (outcome,) = bench.settler.outcomes
    bench.assert_at_rest()
    return code(outcome), body(outcome.status)


async def test_what_needs_more_is_refused_before_any_call_with_both_numbers() -> None:
    bench = Bench(limits=TaskLimits(max_tokens=2_000))
    how, said = await ended(bench, text="слово " * 1_000)
    assert how == "task_too_costly"
    assert "about 5456 tokens" in str(said["error_message"])
    assert "2000 here (TASK_MAX_TOKENS)" in str(said["error_message"])
    assert bench.model.requests == []


async def test_what_fits_is_asked_and_the_answer_may_use_what_is_left() -> None:
    bench = Bench(limits=TaskLimits(max_tokens=6_000))
    assert (await ended(bench, text="слово " * 1_000))[0] == "success"
    (sent,) = bench.model.requests
    assert sent.most_answer_tokens is not None
    assert 2_000 < sent.most_answer_tokens < 2_400


async def test_the_shorter_answer_that_a_task_asks_for_counts() -> None:
    bench = Bench(limits=TaskLimits(max_tokens=4_200))
    assert (await ended(bench, text="слово " * 1_000, parameters={"max_tokens": 100}))[0] == "success"


async def test_a_file_goes_as_its_text_since_what_a_provider_reads_out_of_it_is_not_counted() -> None:
    bench = Bench(limits=TaskLimits(max_tokens=6_000))
    bench.model.capabilities = Capabilities(upload_types=frozenset({"text/plain"}))
    bench.files.there = {"a.txt": "слово"}
    assert (await ended(bench, files=["a.txt"]))[0] == "success"
    assert bench.model.requests[0].documents[0].text == "слово"


async def test_a_repair_that_would_go_beyond_is_not_asked_for() -> None:
    bench = Bench(limits=TaskLimits(max_tokens=6_000))
    bench.model.script = [answered("no JSON", 5_000), answered('{"kind": 1}')]
    how, said = await ended(bench, text="слово", response_format=SCHEMA)
    assert how == "task_too_costly"
    assert "5000 are used already" in str(said["error_message"])
    assert said["tokens_used"] == 5_000
    assert len(bench.model.requests) == 1


async def test_a_provider_that_does_not_count_is_counted_by_the_estimate() -> None:
    bench = Bench(limits=TaskLimits(max_tokens=6_000))
    silent = Completion("no JSON", FinishReason.STOP, "model-1")
    bench.model.script = [silent, answered('{"kind": 1}')]
    how, _ = await ended(bench, text="слово " * 1_000, response_format=SCHEMA)
    assert how == "task_too_costly"


async def test_money_that_was_spent_in_vain_ends_the_task() -> None:
    bench = Bench(limits=TaskLimits(max_cost=0.05))
    bench.model.script = [answered("no JSON", cost=0.06), answered('{"kind": 1}')]
    how, said = await ended(bench, text="слово", response_format=SCHEMA)
    assert how == "task_too_costly"
    assert "has cost 0.0600 dollars and its price is not known; it may cost 0.05" in str(
        said["error_message"]
    )
    assert len(bench.model.requests) == 1


async def test_money_below_the_limit_is_spent() -> None:
    bench = Bench(limits=TaskLimits(max_cost=0.05))
    bench.model.script = [answered("no JSON", cost=0.04), answered('{"kind": 1}', cost=0.04)]
    assert (await ended(bench, text="слово", response_format=SCHEMA))[0] == "success"


async def written(pieces: int) -> AsyncGenerator[StreamPart, None]:
    for _ in range(pieces):
        yield Delta("слово ")
    yield answered("слово " * pieces)


async def test_an_answer_that_grows_beyond_is_given_up_and_one_within_never() -> None:
    # 11 bytes a word and at most 6 a token: no more than 550 words are surely longer than 1,000 tokens.
    assert (await whole(within(written(500), "p", 1_000), "p")).text.startswith("слово")
    with pytest.raises(TaskTooCostly, match="more than the 1000 tokens"):
        await whole(within(written(600), "p", 1_000), "p")
    assert (await whole(within(written(600), "p", None), "p")).text.startswith("слово")


async def test_an_answer_that_grows_beyond_fails_the_task_after_one_call() -> None:
    bench = Bench(limits=TaskLimits(max_tokens=3_000))
    bench.model.capabilities = Capabilities(streaming=True)
    calls: list[CompletionRequest] = []

    def stream(request: CompletionRequest) -> AsyncGenerator[StreamPart, None]:
        calls.append(request)
        return written(5_000)

    bench.model.stream = stream  # type: ignore[method-assign]
    how, said = await ended(bench, text="слово", fallback=["model"])
    assert how == "task_too_costly"
    assert said["tokens_used"] == 3_000
    assert len(calls) == 1, "neither retried, nor asked of another"
