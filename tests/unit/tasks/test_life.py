"""From a delivery to its settled outcome, whatever happens on the way."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest

from llm_service import events
from llm_service.contract.envelope import Envelope
from llm_service.contract.task import Task
from llm_service.errors import (
    DeliveryRevoked,
    MessageTooLarge,
    ProviderServerError,
    PublishFailed,
    StoreUnavailable,
    TopicNotWritable,
)
from llm_service.tasks.ports import Outcome
from tests.manual_clock import START
from tests.unit.tasks.bench import TASK_ID, Bench, Store, body, code, header

OTHER_ID = "7b0e0000-0000-4000-8000-000000000002"


async def test_processing_is_acknowledged_before_the_provider_is_asked_and_the_answer_settled_after() -> None:
    bench = Bench()
    bench.sink.script = [PublishFailed(), TopicNotWritable()]
    task = bench.start(bench.delivery())
    await bench.clock.settle()
    assert bench.model.requests == []
    assert (bench.pool.active, bench.pool.blocked) == (0, 1), "while Kafka is away it holds no slot"
    await bench.clock.advance(1.5)
    assert bench.model.requests == []
    await bench.clock.advance(1.0)
    await task
    assert len(bench.model.requests) == 1
    assert [body(record)["status"] for record in bench.sink.records] == [2]
    ((delivery, outcome),) = bench.settler.settled
    assert delivery.place == ("tasks", 0, 0)
    assert (code(outcome), outcome.dead_letter) == ("success", None)
    assert header(outcome.status, "run") == header(bench.sink.records[0], "run") == "tasks/0/0"
    bench.assert_at_rest()


async def test_a_message_that_is_no_task_is_finished_without_a_word() -> None:
    bench = Bench()
    await bench.live(bench.delivery(headers=(("status", b"3"),)))
    assert bench.settler.outcomes == [Outcome()]
    assert bench.sink.records == []
    assert bench.told(events.MessageSkipped)


async def test_a_broken_message_of_nobody_is_a_letter_alone() -> None:
    bench = Bench()
    await bench.live(bench.delivery(b"{", task_id=None))
    (outcome,) = bench.settler.outcomes
    assert outcome.status is None
    assert header(outcome.dead_letter, "dlq_reason") == "invalid_message"


# --- bugs -----------------------------------------------------------------------------------------


async def test_a_bug_in_a_provider_fails_its_task_and_nothing_else() -> None:
    bench = Bench()
    bench.model.script = [KeyError("choices")]
    await bench.live(bench.delivery(), bench.delivery(task_id=OTHER_ID, offset=1))
    first, second = bench.settler.outcomes
    assert code(first) == "provider_error"
    assert "choices" not in str(body(first.status))
    assert code(second) == "success"
    bench.assert_at_rest()


async def test_a_bug_of_our_own_fails_its_task_and_tells_the_log_alone() -> None:
    bench = Bench()

    bench.files.there = {"a": "text"}
    bench.files.conversion = [ZeroDivisionError("секрет")]
    await bench.live(bench.delivery({"storage_path": "a"}), bench.delivery(task_id=OTHER_ID, offset=1))
    first, second = bench.settler.outcomes
    assert code(first) == "internal_error"
    assert "секрет" not in str(body(first.status))
    assert header(first.dead_letter, "dlq_reason") == "internal_error"
    (crash,) = bench.told(events.TaskCrashed)
    assert isinstance(crash, events.TaskCrashed)
    assert "ZeroDivisionError" in crash.traceback
    assert "work.py" in crash.traceback, "it says where"
    assert "секрет" not in crash.traceback, "a bug's own words may quote the document"
    assert code(second) == "success"
    bench.assert_at_rest()


async def test_a_message_that_breaks_the_parser_itself_is_not_in_the_way_of_others(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def broken(_: Envelope) -> None:
        raise RecursionError

    bench = Bench()
    monkeypatch.setattr(Envelope, "task", broken)
    await bench.live(bench.delivery())
    (outcome,) = bench.settler.outcomes
    assert code(outcome) == "internal_error"
    assert outcome.dead_letter is not None
    assert bench.settler.released == []


@pytest.mark.parametrize(("short_for", "ends"), [(3, "success"), (1000, "provider_unavailable")])
async def test_a_message_that_no_memory_is_left_for_is_read_again_for_a_while(
    short_for: int, ends: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    reading, tries = Envelope.task, 0

    def short(envelope: Envelope) -> Task | None:
        nonlocal tries
        tries += 1
        if tries <= short_for:
            raise MemoryError
        return reading(envelope)

    bench = Bench()
    monkeypatch.setattr(Envelope, "task", short)
    await bench.live(bench.delivery())
    assert [code(outcome) for outcome in bench.settler.outcomes] == [ends]
    assert tries == min(short_for + 1, 60)
    bench.assert_at_rest()


async def test_a_bug_while_a_success_is_written_does_not_lose_the_task(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def broken(*_: object) -> None:
        raise UnicodeEncodeError("utf-8", "x", 0, 1, "reason")

    bench = Bench()
    monkeypatch.setattr(bench.outcomes, "success", broken)
    await bench.live(bench.delivery())
    assert [code(outcome) for outcome in bench.settler.outcomes] == ["internal_error"]
    bench.assert_at_rest()


# --- deadlines ------------------------------------------------------------------------------------


async def test_a_deadline_that_had_passed_costs_nothing() -> None:
    bench = Bench()
    await bench.live(bench.delivery({"text": "x", "deadline_at": "2025-12-31T00:00:00Z"}))
    (outcome,) = bench.settler.outcomes
    assert code(outcome) == "deadline_exceeded"
    assert "had passed when the task was read" in str(body(outcome.status)["error_message"])
    assert (bench.model.requests, bench.sink.records) == ([], [])


@pytest.mark.parametrize("where", ["slot", "provider", "file", "announcement"])
async def test_a_deadline_ends_every_wait_in_time_and_leaves_nothing(where: str) -> None:
    bench = Bench(pool=1)
    bench.files.there = {"a": "text"}
    if where == "slot":
        bench.model.script = [100.0]
        bench.intake.take([bench.delivery(task_id=OTHER_ID, offset=1)])
        await bench.clock.settle()
    elif where == "provider":
        bench.model.script = [100.0]
    elif where == "file":
        bench.files.script["a"] = [StoreUnavailable()] * 100
    else:
        bench.sink.script = [PublishFailed()] * 100
    limit = (START + timedelta(seconds=7)).isoformat()
    task = bench.start(bench.delivery({"storage_path": "a", "deadline_at": limit}))
    await bench.clock.advance(6.9)
    assert bench.settler.outcomes == []
    await bench.clock.advance(0.2)
    assert task.done()
    assert code(bench.settler.outcomes[0]) == "deadline_exceeded"
    await bench.clock.advance(100.0)
    bench.assert_at_rest()


async def test_a_deadline_that_passes_after_the_decision_changes_nothing() -> None:
    bench = Bench()
    held = asyncio.Event()
    bench.settler.script = [held]
    limit = (START + timedelta(seconds=1)).isoformat()
    task = bench.start(bench.delivery({"text": "x", "deadline_at": limit}))
    await bench.clock.advance(5.0)
    held.set()
    await bench.clock.settle()
    await task
    assert [code(outcome) for outcome in bench.settler.outcomes] == ["success"]


# --- stopping and leaving -------------------------------------------------------------------------


async def test_a_cancelled_task_is_given_back_undecided() -> None:
    bench = Bench()
    bench.model.script = [100.0]
    task = bench.start(bench.delivery())
    await bench.clock.advance(1.0)
    task.cancel()
    await bench.clock.settle()
    assert task.cancelled()
    assert bench.settler.outcomes == []
    assert [delivery.place for delivery in bench.settler.released] == [("tasks", 0, 0)]
    assert [type(event) for event in bench.events][-1] is events.TaskReleased
    bench.assert_at_rest()


async def test_a_revoked_outcome_is_dropped_and_said_when_the_message_comes_again() -> None:
    bench = Bench()
    bench.settler.script = [DeliveryRevoked()]
    await bench.live(bench.delivery(epoch=1))
    assert bench.settler.outcomes == []
    assert bench.told(events.OutcomeDropped)
    assert len(bench.settler.released) == 1
    bench.assert_at_rest()
    await bench.live(bench.delivery(epoch=2))
    assert [code(outcome) for outcome in bench.settler.outcomes] == ["success"]
    assert len(bench.model.requests) == 1, "it was decided, and the provider is not asked for it again"


@pytest.mark.parametrize(
    "value", [None, b"{", {"storage_path": "missing"}], ids=["good", "broken", "failing"]
)
async def test_the_same_message_again_gets_the_same_bytes_without_a_call(
    value: dict[str, object] | bytes | None,
) -> None:
    bench = Bench()
    await bench.live(bench.delivery(value, epoch=1), bench.delivery(value, epoch=2))
    first, second = bench.settler.outcomes
    assert first == second, "status and dead letter alike"
    assert len(bench.model.requests) == (1 if value is None else 0)


# --- repeats --------------------------------------------------------------------------------------


async def test_repeats_wait_without_a_slot_and_get_the_first_ones_event() -> None:
    bench = Bench(pool=1)
    bench.model.script = [10.0]
    tasks = [bench.start(bench.delivery(offset=offset)) for offset in range(4)]
    await bench.clock.advance(5.0)
    assert (bench.pool.active, bench.pool.waiting, bench.pool.blocked) == (1, 0, 3)
    await bench.clock.advance(6.0)
    await asyncio.gather(*tasks)
    assert len(bench.model.requests) == 1
    assert len({outcome.status for outcome in bench.settler.outcomes}) == 1
    assert {delivery.offset for delivery, _ in bench.settler.settled} == {0, 1, 2, 3}
    bench.assert_at_rest()


async def test_the_next_repeat_takes_the_place_of_a_first_that_was_given_back() -> None:
    bench = Bench()
    bench.model.script = [10.0]
    first, second, third = (bench.start(bench.delivery(offset=offset)) for offset in range(3))
    await bench.clock.advance(5.0)
    first.cancel()
    await bench.clock.advance(5.0)
    await asyncio.gather(second, third)
    assert [delivery.offset for delivery in bench.settler.released] == [0]
    assert len(bench.model.requests) == 2
    one, other = bench.settler.outcomes
    assert one.status == other.status
    assert header(one.status, "run") == "tasks/0/1"
    bench.assert_at_rest()


async def test_a_repeat_that_is_given_back_takes_nothing_from_the_others() -> None:
    bench = Bench()
    bench.model.script = [10.0]
    first, second, third = (bench.start(bench.delivery(offset=offset)) for offset in range(3))
    await bench.clock.advance(5.0)
    second.cancel()
    await bench.clock.advance(6.0)
    await asyncio.gather(first, third)
    assert {delivery.offset for delivery, _ in bench.settler.settled} == {0, 2}
    assert len(bench.model.requests) == 1


async def test_repeats_of_a_failure_share_it_and_its_one_letter() -> None:
    bench = Bench()
    bench.model.script = [ProviderServerError("broken")] * 9
    tasks = [bench.start(bench.delivery(offset=offset)) for offset in range(3)]
    await bench.clock.advance(60.0)
    await asyncio.gather(*tasks)
    assert {code(outcome) for outcome in bench.settler.outcomes} == {"provider_server_error"}
    assert len({outcome.status for outcome in bench.settler.outcomes}) == 1
    assert sum(outcome.dead_letter is not None for outcome in bench.settler.outcomes) == 1
    await bench.live(bench.delivery(offset=9))
    assert len(bench.model.requests) > 2, "sent again after the failure it is a new run"


async def test_another_body_conflicts_after_a_success_and_runs_after_a_failure() -> None:
    bench = Bench()
    await bench.live(bench.delivery(), bench.delivery({"text": "другое"}, offset=1))
    success, conflict = bench.settler.outcomes
    assert (code(success), conflict.status) == ("success", None)
    assert header(conflict.dead_letter, "dlq_reason") == "id_conflict"
    bench = Bench()
    await bench.live(bench.delivery(b"{"), bench.delivery({"text": "другое"}, offset=1))
    assert [code(outcome) for outcome in bench.settler.outcomes] == ["invalid_message", "success"]


async def test_another_body_that_waited_for_a_success_conflicts_then() -> None:
    bench = Bench()
    bench.model.script = [5.0]
    tasks = [bench.start(bench.delivery()), bench.start(bench.delivery({"text": "другое"}, offset=1))]
    await bench.clock.advance(6.0)
    await asyncio.gather(*tasks)
    assert [code(outcome) for outcome in bench.settler.outcomes] == ["success", ""]
    assert len(bench.model.requests) == 1


# --- topics that take less than they said ---------------------------------------------------------


async def test_a_result_that_the_topic_does_not_take_after_all_goes_to_the_store() -> None:
    bench = Bench(store=Store())
    bench.model.script = ["x" * 5_000]
    bench.settler.refuses = lambda outcome: (
        MessageTooLarge("too large") if outcome.status is not None and outcome.status.size > 2_000 else None
    )
    await bench.live(bench.delivery(), bench.delivery(offset=1))
    first, repeat = bench.settler.outcomes
    assert "result_ref" in body(first.status)
    assert repeat.status == first.status
    assert bench.told(events.Trouble)


async def test_a_letter_that_its_topic_does_not_take_is_made_smaller_and_the_status_stays() -> None:
    bench = Bench()
    said: list[object] = []

    def refuses(outcome: Outcome) -> Exception | None:
        said.append(outcome.status)
        letter = outcome.dead_letter
        return MessageTooLarge() if letter is not None and letter.size > 11_000 else None

    bench.settler.refuses = refuses
    await bench.live(bench.delivery(b"{" + b"x" * 15_000))
    assert said[0] == said[1], "the event that was published first is not contradicted"
    (outcome,) = bench.settler.outcomes
    assert header(outcome.dead_letter, "dlq_value_ref") == "kafka://tasks/0/0"


async def test_a_conflict_that_is_too_large_never_becomes_a_failure_of_what_succeeded() -> None:
    bench = Bench()
    bench.settler.refuses = lambda outcome: (
        MessageTooLarge() if outcome.dead_letter is not None and outcome.dead_letter.size > 11_000 else None
    )
    await bench.live(bench.delivery(), bench.delivery(b"{" + b"x" * 15_000, offset=1))
    assert [code(outcome) for outcome in bench.settler.outcomes] == ["success", ""]
    assert header(bench.settler.outcomes[1].dead_letter, "dlq_reason") == "id_conflict"


async def test_what_is_not_taken_at_its_smallest_is_offered_until_somebody_sets_it_right() -> None:
    bench = Bench(store=Store())
    bench.settler.refuses = lambda _: MessageTooLarge("no")
    task = bench.start(bench.delivery())
    await bench.clock.advance(3_600.0)
    assert not task.done()
    assert len(bench.told(events.Trouble)) < 400, "but not without a pause"
    assert bench.pool.active == 0, "it holds no slot"
    bench.settler.refuses = lambda _: None
    await bench.clock.advance(20.0)
    await task
    assert [code(outcome) for outcome in bench.settler.outcomes] == ["success"]


# --- providers that are away ----------------------------------------------------------------------


async def test_tasks_of_an_open_provider_wait_without_slots_and_those_of_others_go_on() -> None:
    bench = Bench(pool=1)
    bench.model.script = [ProviderServerError()] * 6
    failing = [
        bench.start(bench.delivery(task_id=f"7b0e0000-0000-4000-8000-{number:012}", offset=number))
        for number in range(3)
    ]
    await bench.clock.advance(9.0)
    assert bench.guards["model"].is_open
    bench.other.script = [0.5]
    busy = {"text": "x", "provider": "other"}
    bench.intake.take([bench.delivery(busy, task_id="7b0e0000-0000-4000-8000-00000000000b", offset=7)])
    await bench.clock.settle()
    waiting = bench.start(bench.delivery({"storage_path": "a"}, task_id=OTHER_ID, offset=8))
    bench.files.there = {"a": "text"}
    await bench.clock.settle()
    assert (bench.pool.active, bench.pool.waiting) == (1, 0), "it does not even ask for a slot"
    assert bench.files.asked == [], "no file is fetched for one who only waits"
    await bench.live(
        bench.delivery(
            {"text": "x", "provider": "other"}, task_id="7b0e0000-0000-4000-8000-00000000000f", offset=9
        )
    )
    assert len(bench.other.requests) == 2
    assert not waiting.done()
    await bench.clock.advance(60.0)
    await asyncio.gather(*failing, waiting)
    assert (
        code(next(outcome for delivery, outcome in bench.settler.settled if delivery.offset == 8))
        == "success"
    )
    bench.assert_at_rest()


async def test_the_task_id_is_what_everything_said_is_keyed_by() -> None:
    bench = Bench()
    await bench.live(bench.delivery())
    records = [*bench.sink.records, *(outcome.status for outcome in bench.settler.outcomes)]
    assert {record.key for record in records if record is not None} == {TASK_ID.encode()}
