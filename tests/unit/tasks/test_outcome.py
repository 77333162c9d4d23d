"""What is said of a task, and what becomes of it where it is too large to be said."""

from __future__ import annotations

import json

import pytest

from llm_service.contract import status
from llm_service.contract.envelope import Identity
from llm_service.contract.record import Record
from llm_service.contract.status import Failure, Success
from llm_service.errors import FileAccessDenied, StoreUnavailable
from llm_service.tasks.outcome import Decided, Outcomes
from llm_service.tasks.ports import Delivery, Outcome
from tests.manual_clock import ManualClock
from tests.unit.tasks.bench import POLICY, TASK_ID, Store, body, header

WHO = Identity(TASK_ID, TASK_ID, None, None)
FAILURE = Failure("file_empty", "the object has 0 bytes", retryable=False)


def delivery(value: bytes = b"{}", key: bytes = TASK_ID.encode(), *headers: tuple[str, bytes]) -> Delivery:
    return Delivery("tasks", 3, 17, 1, key, value, headers, 0.0)


def outcomes(store: Store | None = None, clock: ManualClock | None = None) -> Outcomes:
    return Outcomes(POLICY, store, clock or ManualClock())


def letter(decided: Decided) -> Record:
    assert decided.outcome.dead_letter is not None
    assert decided.outcome.dead_letter.size <= POLICY.dead_letter_max_bytes
    return decided.outcome.dead_letter


async def test_a_result_goes_into_the_message_to_the_last_byte_that_fits() -> None:
    store = Store()
    sizes = range(POLICY.status_max_bytes - 1_200, POLICY.status_max_bytes + 10)
    for size in sizes:
        decided = await outcomes(store).success(delivery(), WHO, Success("x" * size))
        record = decided.outcome.status
        assert record is not None
        assert record.size <= POLICY.status_max_bytes
        is_inline = "result_ref" not in body(record)
        whole = status.encode(Success("x" * size), outcomes()._stamp(delivery(), WHO), "string")
        assert is_inline == (whole.size <= POLICY.status_max_bytes)


async def test_a_large_result_is_in_the_store_and_the_event_says_where() -> None:
    store = Store()
    decided = await outcomes(store).success(
        delivery(), WHO, Success("Ж" * 20_000, provider="model", completion_tokens=7)
    )
    said = body(decided.outcome.status)
    assert said["result_ref"] == f"bucket/results/{TASK_ID}"
    assert json.loads(store.kept[str(said["result_ref"])]) == {"raw_response": "Ж" * 20_000}
    assert (said["provider"], said["tokens_used"]) == ("model", 7)
    assert decided.outcome.dead_letter is None


async def test_half_a_character_in_a_large_result_is_replaced() -> None:
    store = Store()
    await outcomes(store).success(delivery(), WHO, Success('{"a": "\\ud83d", "b": "' + "я" * 20_000 + '"}'))
    await outcomes(store).success(delivery(), WHO, Success("\ud83d" + "я" * 20_000))
    assert json.loads(store.kept[f"bucket/results/{TASK_ID}"])["raw_response"] == "?" + "я" * 20_000


async def test_a_store_that_is_away_is_waited_for() -> None:
    store, clock = Store(), ManualClock()
    store.script = [StoreUnavailable()] * 5
    decided = await clock.run(outcomes(store, clock).success(delivery(), WHO, Success("x" * 20_000)))
    assert "result_ref" in body(decided.outcome.status)
    assert clock.monotonic() - 1_000.0 == 50.0


@pytest.mark.parametrize("store", [None, Store()], ids=["no store", "a store that refuses"])
async def test_a_result_that_nobody_takes_fails_and_says_what_to_do(store: Store | None) -> None:
    if store is not None:
        store.script = [FileAccessDenied()] * 9
    decided = await outcomes(store).success(delivery(), WHO, Success("x" * 20_000, provider="model"))
    said = body(decided.outcome.status)
    assert said["status"] == 4
    assert "max.message.bytes" in str(said["error_message"])
    assert header(letter(decided), "dlq_reason") == "result_too_large"


async def test_a_failure_has_a_letter_and_a_verdict_has_none() -> None:
    decided = await outcomes().failure(delivery(b"value", b"k", ("a", b"1")), WHO, FAILURE)
    assert (letter(decided).key, letter(decided).value) == (b"k", b"value")
    assert letter(decided).headers[0] == ("a", b"1")
    assert header(letter(decided), "dlq_offset") == "17"
    verdict = await outcomes().failure(
        delivery(), WHO, Failure("verdict_failed", "Нет подписи", retryable=False)
    )
    assert verdict.outcome.dead_letter is None


@pytest.mark.parametrize("store", [None, Store()], ids=["no store", "a store"])
@pytest.mark.parametrize(
    ("value", "key", "headers"),
    [
        (30_000, 10, []),
        (10, 30_000, []),
        (10, 10, [30_000]),
        (30_000, 30_000, [30_000, 5, 30_000]),
        (19_000, 500, [300] * 10),
        (10, 10, [1] * 3_000),
        (10, 1_000, [15_000, 4_000]),
    ],
)
async def test_a_letter_always_fits_and_says_what_it_left_out(
    store: Store | None, value: int, key: int, headers: list[int]
) -> None:
    named = tuple((f"имя {number}", b"h" * size) for number, size in enumerate(headers))
    decided = await outcomes(store).failure(delivery(b"v" * value, b"k" * key, *named), WHO, FAILURE)
    kept = letter(decided)
    names = [name for name, _ in kept.headers]
    left_out = {name for name, _ in named} - set(names)
    assert bool(left_out) == bool(header(kept, "dlq_headers_left_out"))
    if len(left_out) < 50:
        assert all(name in header(kept, "dlq_headers_left_out") for name in left_out)
    assert [name for name in names if not name.startswith("dlq_")] == [
        n for n, _ in named if n not in left_out
    ]
    if kept.key is None:
        assert header(kept, "dlq_key_bytes") == str(key)
    if kept.value != b"v" * value:
        reference = header(kept, "dlq_value_ref")
        assert store is None or store.kept[reference] == b"v" * value
        assert store is not None or reference == "kafka://tasks/3/17"
    assert header(kept, "dlq_reason") == "file_empty"


async def test_smaller_puts_a_result_into_the_store_and_then_can_do_no_more() -> None:
    maker = outcomes(Store())
    first = await maker.success(delivery(), WHO, Success("x" * 5_000))
    second = await maker.smaller(delivery(), WHO, first)
    assert "result_ref" in body(second.outcome.status)
    third = await maker.smaller(delivery(), WHO, second)
    assert (third.outcome, third.smallest) == (second.outcome, True)


async def test_smaller_says_the_same_failure_in_the_same_bytes_with_a_small_letter() -> None:
    maker = outcomes(Store())
    first = await maker.failure(delivery(b"v" * 15_000), WHO, FAILURE)
    second = await maker.smaller(delivery(b"v" * 15_000), WHO, first)
    assert second.outcome.status == first.outcome.status
    assert header(letter(second), "dlq_value_ref")
    assert header(letter(second), "dlq_reason") == "file_empty"
    assert second.smallest


async def test_smaller_never_makes_a_status_of_what_is_a_letter_alone() -> None:
    maker = outcomes(None)
    alone = await maker.dead_letter_only(delivery(b"v" * 15_000), WHO, "id_conflict", "another body")
    smaller = await maker.smaller(delivery(b"v" * 15_000), WHO, Decided(alone, None))
    assert smaller.outcome.status is None
    assert header(letter(smaller), "dlq_reason") == "id_conflict"
    nothing = await maker.smaller(delivery(), WHO, Decided(Outcome(), None))
    assert (nothing.outcome, nothing.smallest) == (Outcome(), True)
