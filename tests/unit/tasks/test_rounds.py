"""What goes round by the retry topic, for how often, and how it comes back."""

from __future__ import annotations

import asyncio
import random
from dataclasses import replace
from datetime import timedelta

import pytest

from llm_service import events
from llm_service.contract.retry import RetryNote, Spent, decode
from llm_service.errors import (
    ContentFiltered,
    DeliveryRevoked,
    FileNotFound,
    MessageTooLarge,
    ProviderServerError,
    ProviderUnavailable,
    RequestRejected,
    ServiceError,
)
from llm_service.providers.guard import Guard
from llm_service.providers.protocol import Completion, FinishReason, Usage
from llm_service.resilience.rate import RatePolicy
from llm_service.tasks.allowance import TaskLimits
from llm_service.tasks.ports import Delivery, Outcome
from llm_service.tasks.rounds import RoundPolicy
from tests.unit.tasks.bench import GUARD, TASK_ID, Bench, Step, body, code, header

DELAY_S = 30.0
POLICY = RoundPolicy(DELAY_S, max_attempts=3, max_bytes=10_000, group="workers")
# The bench's guard tries a call again once.
CALLS = 2


def came_back(outcome: Outcome, offset: int, clock_now: float) -> Delivery:
    """What the consumer makes of a message of the retry topic."""
    assert outcome.retry is not None
    found = decode(outcome.retry.headers)
    assert found is not None
    note, headers = found
    return Delivery(
        "retry",
        0,
        offset,
        1,
        outcome.retry.key,
        outcome.retry.value,
        headers,
        clock_now,
        origin=note.run,
        attempt=note.attempt,
        round=note.round,
        spent=note.spent,
    )


def failing(times: int) -> list[Step]:
    return [ProviderServerError("500") for _ in range(times)]


def note_of(outcome: Outcome) -> RetryNote:
    assert outcome.retry is not None
    found = decode(outcome.retry.headers)
    assert found is not None
    return found[0]


async def test_a_failed_attempt_goes_round_with_the_message_byte_for_byte_and_succeeds_in_the_next() -> None:
    bench = Bench(rounds=POLICY)
    bench.model.script = failing(CALLS)
    first = bench.delivery(headers=(("status", b"1"), ("x", b"\xff"), ("x", None)))
    await bench.live(first)
    (outcome,) = bench.settler.outcomes
    assert (outcome.status, outcome.dead_letter) == (None, None)
    assert outcome.retry is not None
    assert (outcome.retry.key, outcome.retry.value) == (first.key, first.value)
    assert outcome.retry.headers[:3] == first.headers
    note = note_of(outcome)
    assert (note.run, note.attempt, note.round) == (("tasks", 0, 0), 2, 1)
    assert note.reason == "provider_server_error"
    left = note.due - bench.clock.now() - timedelta(seconds=DELAY_S)
    assert abs(left) < timedelta(milliseconds=1)

    again = came_back(outcome, 7, bench.clock.monotonic())
    assert again.headers == first.headers
    await bench.live(again)
    delivery, ended = bench.settler.settled[-1]
    assert delivery.place == ("retry", 0, 7)
    assert code(ended) == "success"
    assert body(ended.status)["attempt"] == 2
    assert header(ended.status, "attempt") == "2"
    assert header(ended.status, "run") == "tasks/0/0"
    assert [header(record, "attempt") for record in bench.sink.records] == ["1", "2"]
    assert len(bench.model.requests) == CALLS + 1
    bench.assert_at_rest()


@pytest.mark.parametrize(
    ("limits", "said"),
    [
        (TaskLimits(max_tokens=8_100), "8000 are used already"),
        (TaskLimits(max_cost=0.07), "The task has cost 0.0800 dollars"),
    ],
    ids=["tokens", "cost"],
)
async def test_going_round_gives_nobody_more_than_a_task_may_use(limits: TaskLimits, said: str) -> None:
    """Each attempt has one answer that does not fit the schema, and no second one that could be its repair."""
    bench = Bench(rounds=POLICY, limits=limits)
    wrong = Completion("no JSON", FinishReason.STOP, "model-1", Usage(4_000, 0), cost=0.04)
    bench.model.script = [wrong, *failing(CALLS), wrong]
    schema = {"type": "object", "required": ["kind"]}
    delivery = bench.delivery({"text": "x", "response_format": schema, "parameters": {"max_tokens": 100}})
    await bench.live(delivery)
    assert note_of(bench.settler.outcomes[-1]).spent == Spent(4_000, 0.04)
    await bench.live(came_back(bench.settler.outcomes[-1], 1, bench.clock.monotonic()))
    ended = bench.settler.outcomes[-1]
    assert code(ended) == "task_too_costly"
    assert said in str(body(ended.status)["error_message"])
    assert body(ended.status)["tokens_used"] == 8_000
    bench.assert_at_rest()


async def test_a_suspect_keeps_its_turn_while_it_waits_for_a_moment() -> None:
    """What would be begun meanwhile may kill, and both would be counted for it."""
    blocked: list[int] = []
    for is_suspect in (False, True):
        bench = Bench(rounds=POLICY)
        bench.model.script = failing(1)
        task = bench.start(replace(bench.delivery(), is_suspect=is_suspect))
        await bench.clock.settle()
        blocked.append(bench.pool.blocked)
        await bench.clock.advance(60.0)
        await task
        assert code(bench.settler.outcomes[-1]) == "success"
        assert len(bench.model.requests) == 2, "it has its tries as any other"
    assert blocked == [1, 0]


async def test_the_last_attempt_fails_for_good_and_no_more_calls_are_made_than_all_attempts_have() -> None:
    bench = Bench(rounds=POLICY)
    bench.model.script = failing(100)
    delivery = bench.delivery({"text": "x", "max_attempts": 2})
    await bench.live(delivery)
    await bench.live(came_back(bench.settler.outcomes[-1], 1, bench.clock.monotonic()))
    ended = bench.settler.outcomes[-1]
    assert code(ended) == "provider_server_error"
    assert header(ended.dead_letter, "dlq_attempts") == "2"
    assert [header(ended.dead_letter, f"dlq_{name}") for name in ("topic", "partition", "offset")] == [
        "tasks",
        "0",
        "0",
    ]
    assert ended.retry is None
    assert len(bench.model.requests) == 2 * CALLS
    assert len(bench.told(events.TaskSentRound)) == 1
    assert len(bench.told(events.TaskCameBack)) == 1


@pytest.mark.parametrize("error", [RequestRejected("422"), ContentFiltered("no")])
async def test_what_does_not_pass_by_itself_never_goes_round(error: ServiceError) -> None:
    bench = Bench(rounds=POLICY)
    bench.model.script = [error]
    await bench.live(bench.delivery())
    (outcome,) = bench.settler.outcomes
    assert outcome.retry is None
    assert code(outcome) == error.code


async def test_a_file_that_is_not_there_yet_is_looked_for_again() -> None:
    bench = Bench(rounds=POLICY)
    await bench.live(bench.delivery({"storage_path": "late.txt"}))
    assert note_of(bench.settler.outcomes[-1]).reason == FileNotFound.code
    bench.files.there["late.txt"] = "Привет"
    await bench.live(came_back(bench.settler.outcomes[-1], 1, bench.clock.monotonic()))
    assert code(bench.settler.outcomes[-1]) == "success"


async def test_a_task_never_goes_round_beyond_its_deadline() -> None:
    bench = Bench(rounds=POLICY)
    bench.model.script = failing(CALLS)
    soon = bench.clock.now() + timedelta(seconds=DELAY_S - 1)
    await bench.live(bench.delivery({"text": "x", "deadline_at": soon.isoformat()}))
    assert code(bench.settler.outcomes[-1]) == "provider_server_error"


async def test_one_that_the_retry_topic_does_not_take_fails_with_its_own_error() -> None:
    bench = Bench(rounds=replace(POLICY, max_bytes=1_200))
    bench.model.script = failing(CALLS)
    await bench.live(bench.delivery({"text": "x" * 500}))
    assert code(bench.settler.outcomes[-1]) == "provider_server_error"

    bench = Bench(rounds=POLICY)
    bench.model.script = failing(CALLS)
    bench.settler.refuses = lambda outcome: MessageTooLarge("smaller by now") if outcome.retry else None
    await bench.live(bench.delivery())
    assert code(bench.settler.outcomes[-1]) == "provider_server_error"
    assert bench.window.on_retry == 0


# --- repeats --------------------------------------------------------------------------------------


async def test_a_repeat_of_one_on_the_retry_topic_is_answered_by_that_one() -> None:
    bench = Bench(rounds=POLICY)
    bench.model.script = failing(CALLS)
    await bench.live(bench.delivery())
    going = bench.settler.outcomes[-1]
    await bench.live(bench.delivery(offset=5))
    assert bench.settler.outcomes[-1] == Outcome(), "settled without a word: the first will say it"
    await bench.live(came_back(going, 1, bench.clock.monotonic()))
    assert code(bench.settler.outcomes[-1]) == "success"
    assert len(bench.model.requests) == CALLS + 1


async def test_a_repeat_that_waited_is_done_when_the_first_goes_round() -> None:
    bench = Bench(rounds=POLICY)
    bench.model.script = failing(CALLS)
    lives = [bench.start(bench.delivery()), bench.start(bench.delivery(offset=5))]
    await bench.clock.run(ended(lives))
    assert [outcome.retry is not None for outcome in bench.settler.outcomes] == [True, False]
    assert bench.settler.outcomes[1] == Outcome()


async def test_when_it_is_due_it_may_be_elsewhere_and_a_repeat_is_a_run_of_its_own() -> None:
    """Else a task that failed at another worker and is sent again would be taken for its repeat, and lost."""
    bench = Bench(rounds=POLICY)
    bench.model.script = failing(CALLS)
    await bench.live(bench.delivery())
    await bench.clock.run(bench.clock.sleep(DELAY_S + 0.001))
    await bench.live(bench.delivery(offset=5))
    assert code(bench.settler.outcomes[-1]) == "success"


async def test_another_body_follows_the_first_round_and_conflicts_when_that_has_succeeded() -> None:
    bench = Bench(rounds=POLICY)
    bench.model.script = failing(CALLS)
    await bench.live(bench.delivery())
    first = bench.settler.outcomes[-1]
    await bench.live(bench.delivery({"text": "another"}, offset=5))
    second = bench.settler.outcomes[-1]
    assert note_of(second).run == ("tasks", 0, 5)
    assert note_of(second).attempt == 1
    await bench.live(came_back(first, 1, bench.clock.monotonic()))
    await bench.live(came_back(second, 2, bench.clock.monotonic()))
    assert header(bench.settler.outcomes[-1].dead_letter, "dlq_reason") == "id_conflict"


async def test_of_two_copies_on_the_retry_topic_only_one_goes_on() -> None:
    """In at_least_once a crash between message and commit leaves two."""
    bench = Bench(rounds=POLICY)
    bench.model.script = failing(2 * CALLS)
    await bench.live(bench.delivery())
    copy = bench.settler.outcomes[-1]
    await bench.live(came_back(copy, 1, bench.clock.monotonic()))
    assert note_of(bench.settler.outcomes[-1]).attempt == 3
    await bench.live(came_back(copy, 2, bench.clock.monotonic()))
    assert bench.settler.outcomes[-1] == Outcome()
    assert len(bench.model.requests) == 2 * CALLS


async def test_a_round_that_was_not_settled_is_not_known_as_one() -> None:
    """The partition left in that moment: read again here it is worked on, or it would be lost."""
    bench = Bench(rounds=POLICY)
    bench.model.script = failing(CALLS)
    bench.settler.script = [DeliveryRevoked()]
    await bench.live(bench.delivery())
    assert bench.settler.outcomes == []
    await bench.live(bench.delivery(epoch=2))
    assert code(bench.settler.outcomes[-1]) == "success"


# --- waiting --------------------------------------------------------------------------------------


def open_breaker(bench: Bench) -> None:
    bench.model.script = [ProviderUnavailable("503") for _ in range(5)]
    bench.model.health = _away  # type: ignore[method-assign]


async def ended(lives: list[asyncio.Task[None]]) -> None:
    await asyncio.gather(*lives)


async def _away() -> None:
    raise ProviderUnavailable("still away")


async def test_what_exceeds_the_share_waits_on_the_retry_topic_and_is_no_attempt() -> None:
    bench = Bench(rounds=POLICY, share=3, pool=5)
    open_breaker(bench)
    lives = [bench.start(bench.delivery(task_id=f"task-{n}", offset=n)) for n in range(20)]
    await bench.clock.settle()
    notes = [note_of(outcome) for outcome in bench.settler.outcomes]
    assert len(bench.room) == 3
    assert len(notes) == 17
    assert {note.attempt for note in notes} == {1}, "503 costs nothing, and waiting neither"
    assert len(bench.model.requests) == 5, "no call of an open breaker"
    other = bench.delivery({"text": "x", "provider": "other"}, task_id="other", offset=99)
    await bench.live(other)
    assert code(bench.settler.outcomes[-1]) == "success"
    for life in lives:
        life.cancel()
    await asyncio.gather(*lives, return_exceptions=True)
    bench.assert_at_rest()


async def test_a_minute_that_is_used_up_does_not_keep_the_window_from_other_providers() -> None:
    bench = Bench(rounds=POLICY, share=3, pool=5)
    slow = replace(GUARD, rate=RatePolicy(requests=6))
    bench.guards["model"] = Guard(bench.model, slow, bench.clock, random.Random(1), bench.events.append)
    lives = [bench.start(bench.delivery(task_id=f"task-{n}", offset=n)) for n in range(20)]
    await bench.clock.settle()
    answered = [outcome for outcome in bench.settler.outcomes if outcome.retry is None]
    assert [code(outcome) for outcome in answered] == ["success"], "the first has its turn at once"
    notes = [note_of(outcome) for outcome in bench.settler.outcomes if outcome.retry is not None]
    assert len(bench.room) == 3
    assert len(notes) == 16
    assert {note.attempt for note in notes} == {1}, "waiting costs no attempt"
    await bench.live(bench.delivery({"text": "x", "provider": "other"}, task_id="other", offset=99))
    assert code(bench.settler.outcomes[-1]) == "success"
    await bench.clock.advance(31)
    await ended(lives)
    assert len(bench.model.requests) == 4
    bench.assert_at_rest()


async def test_where_all_providers_are_away_all_wait_here() -> None:
    bench = Bench(rounds=POLICY, share=1, pool=5)
    open_breaker(bench)
    bench.room._others_go_on = lambda: False
    lives = [bench.start(bench.delivery(task_id=f"task-{n}", offset=n)) for n in range(8)]
    await bench.clock.settle()
    assert bench.settler.outcomes == []
    for life in lives:
        life.cancel()
    await asyncio.gather(*lives, return_exceptions=True)
    bench.assert_at_rest()


async def test_one_that_holds_its_partition_back_goes_round_whatever_the_share() -> None:
    bench = Bench(rounds=POLICY, share=10, pool=5)
    open_breaker(bench)
    lives = [bench.start(bench.delivery(task_id=f"task-{n}", offset=n)) for n in range(6)]
    await bench.clock.settle()
    assert bench.settler.outcomes == []
    bench.room.make_way(("tasks", 0, 0))
    await bench.clock.settle()
    assert [note_of(outcome).run for outcome in bench.settler.outcomes] == [("tasks", 0, 0)]
    for life in lives:
        life.cancel()
    await asyncio.gather(*lives, return_exceptions=True)
    bench.assert_at_rest()


async def test_one_whose_last_attempt_has_begun_to_cost_stays_and_waits() -> None:
    """Moved it would get the calls of that attempt once more."""
    bench = Bench(rounds=replace(POLICY, max_attempts=1), pool=5)
    bench.model.script = [ProviderServerError("500")]
    life = bench.start(bench.delivery())
    await bench.clock.settle()
    bench.room.make_way(("tasks", 0, 0))
    await bench.clock.settle()
    assert bench.settler.outcomes == []
    await bench.clock.run(ended([life]))
    assert code(bench.settler.outcomes[-1]) == "success"


async def test_a_stop_in_the_moment_of_leaving_stays_a_stop() -> None:
    bench = Bench(rounds=POLICY, share=10, pool=5)
    open_breaker(bench)
    lives = [bench.start(bench.delivery(task_id=f"task-{n}", offset=n)) for n in range(6)]
    await bench.clock.settle()
    bench.room.make_way(("tasks", 0, 0))
    for life in lives:
        life.cancel()
    await asyncio.gather(*lives, return_exceptions=True)
    assert bench.settler.outcomes == []
    assert len(bench.settler.released) == 6
    bench.assert_at_rest()


async def test_the_known_id_is_the_same_however_often_it_goes_round() -> None:
    """Without a key and an id of its own it is named by where it was read first."""
    bench = Bench(rounds=POLICY)
    bench.model.script = failing(CALLS)
    await bench.live(bench.delivery(task_id=None))
    processing = bench.sink.records[0]
    await bench.live(came_back(bench.settler.outcomes[-1], 9, bench.clock.monotonic()))
    ended = bench.settler.outcomes[-1].status
    assert ended is not None
    assert (ended.key, header(ended, "trace_id")) == (processing.key, header(processing, "trace_id"))
    assert TASK_ID.encode() != ended.key
