"""Files, the question and its answer."""

from __future__ import annotations

import asyncio
import errno
import json

import pytest

from llm_service.errors import (
    ConversionUnavailable,
    DocumentUnreadable,
    FileError,
    FileIncomplete,
    StoreUnavailable,
    WorkFolderUnavailable,
)
from llm_service.providers.protocol import Capabilities, FinishReason
from tests.unit.tasks.bench import Bench, body, code, completion

SCHEMA = {"type": "object", "required": ["a"]}


async def ended(bench: Bench, **task: object) -> tuple[str, dict[str, object]]:
    """Live one task: how it ended, and what was said."""
    await bench.live(bench.delivery(task))
    (outcome,) = bench.settler.outcomes
    bench.assert_at_rest()
    return code(outcome), body(outcome.status)


async def test_files_become_documents_in_their_order_and_are_given_back() -> None:
    bench = Bench()
    bench.files.there = {"а.txt": "первый", "б.txt": "второй"}
    assert (await ended(bench, storage_path="а.txt", files=["б.txt"], text="третий"))[0] == "success"
    (request,) = bench.model.requests
    assert [(document.name, document.text) for document in request.documents] == [
        ("а.txt", "первый"),
        ("б.txt", "второй"),
        ("text", "третий"),
    ]
    assert request.nonce


async def test_a_file_goes_as_it_is_where_the_provider_takes_it_and_as_text_where_it_is_too_large() -> None:
    bench = Bench()
    bench.model.capabilities = Capabilities(upload_types=frozenset({"text/plain"}), upload_limit_bytes=10)
    bench.files.there = {"small": "первый", "large": "второй, длиннее"}
    assert (await ended(bench, files=["small", "large"]))[0] == "success"
    (request,) = bench.model.requests
    assert [(document.name, document.text) for document in request.documents] == [
        ("small", None),
        ("large", "второй, длиннее"),
    ]


async def test_a_file_that_comes_broken_is_asked_for_again_so_many_times() -> None:
    bench = Bench()
    bench.files.there = {"a": "text"}
    bench.files.script["a"] = [FileIncomplete()] * 2
    assert (await ended(bench, storage_path="a"))[0] == "success"
    bench = Bench()
    bench.files.script["a"] = [FileIncomplete("cut at half")] * 9
    how, said = await ended(bench, storage_path="a")
    assert (how, said["error_message"]) == ("file_incomplete", "cut at half")
    assert len(bench.files.asked) == 3


async def test_a_store_that_is_away_is_waited_for_without_a_slot() -> None:
    bench = Bench(pool=1)
    bench.files.there = {"a": "text"}
    bench.files.script["a"] = [StoreUnavailable()] * 20
    task = bench.start(bench.delivery({"storage_path": "a"}))
    await bench.clock.advance(5.0)
    assert (bench.pool.active, bench.pool.blocked) == (0, 1)
    await bench.clock.run(asyncio.wait_for(task, None))
    assert code(bench.settler.outcomes[0]) == "success"
    bench.assert_at_rest()


@pytest.mark.parametrize("path", ["cut", "missing"])
async def test_what_is_wrong_with_a_later_file_is_not_taken_for_the_first_ones(path: str) -> None:
    bench = Bench()
    bench.files.there = {"first": "text"}
    bench.files.script["cut"] = [FileIncomplete("the second was cut")] * 9
    how, _ = await ended(bench, files=["first", path])
    assert how == {"cut": "file_incomplete", "missing": "file_not_found"}[path]
    assert bench.files.asked.count("first") == 1


async def test_a_retryable_failure_behind_the_fetch_asks_for_no_file_again() -> None:
    bench = Bench()
    bench.files.there = {"a": "text"}
    bench.files.conversion = [ConversionUnavailable("no process")] * 2
    assert (await ended(bench, storage_path="a"))[0] == "success"
    assert bench.files.asked == ["a"]


async def test_a_process_that_never_starts_is_not_asked_for_without_end() -> None:
    bench = Bench()
    bench.files.there = {"a": "text"}
    bench.files.conversion = [ConversionUnavailable("no process")] * 9
    assert (await ended(bench, storage_path="a"))[0] == "conversion_unavailable"
    assert len(bench.files.conversion) == 6


@pytest.mark.parametrize("short", [errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENOBUFS, errno.ENOSPC])
async def test_what_the_machine_is_short_of_is_waited_for_without_a_slot(short: int) -> None:
    bench = Bench(pool=1)
    bench.files.there = {"a": "text"}
    bench.files.script["a"] = [caused(WorkFolderUnavailable(), short) for _ in range(12)]
    bench.files.conversion = [caused(ConversionUnavailable(), short) for _ in range(12)]
    task = bench.start(bench.delivery({"storage_path": "a"}))
    await bench.clock.advance(3.0)
    assert (bench.pool.active, bench.pool.blocked) == (0, 1)
    await bench.clock.run(asyncio.wait_for(task, None))
    assert code(bench.settler.outcomes[0]) == "success"
    bench.assert_at_rest()


@pytest.mark.parametrize(
    ("short", "how"), [(errno.EMFILE, "provider_unavailable"), (errno.EIO, "internal_error")]
)
async def test_only_a_crash_for_lack_of_something_may_be_well_later(short: int, how: str) -> None:
    bench = Bench()
    bench.files.there = {"a": "text"}
    bench.files.conversion = [OSError(short, "as the kernel says it")]
    assert (await ended(bench, storage_path="a"))[0] == how


def caused(error: FileError, code: int) -> FileError:
    error.__cause__ = OSError(code, "as the kernel says it")
    return error


async def test_a_document_that_can_not_be_read_is_never_asked_about() -> None:
    bench = Bench()
    bench.files.there = {"a": "text"}
    bench.files.conversion = [DocumentUnreadable("'a' is encrypted")]
    how, said = await ended(bench, storage_path="a")
    assert (how, said["error_message"]) == ("document_unreadable", "'a' is encrypted")
    assert bench.model.requests == []


async def test_one_repair_with_the_answer_said_back_and_both_usages_counted() -> None:
    bench = Bench()
    wrong = "нет " * 2_000
    bench.model.script = [wrong, '{"a": 1}']
    how, said = await ended(bench, text="x", response_format=SCHEMA)
    assert (how, said["result"]) == ("success", '{"a": 1}')
    first, second = bench.model.requests
    assert second.messages[:-2] == first.messages
    answer, turn = second.messages[-2:]
    assert (answer.role, turn.role) == ("assistant", "user")
    assert wrong.startswith(answer.content)
    assert len(answer.content) <= 4_000
    assert said["usage"] == {"prompt_tokens": 20, "completion_tokens": 10, "total_tokens": 30}


@pytest.mark.parametrize(
    ("answers", "expected"),
    [
        (["x", "y"], "answer_not_json"),
        (["{}", "{}"], "answer_schema_mismatch"),
        (["x", completion("{", FinishReason.LENGTH)], "answer_truncated"),
        (["", '{"a": 1}'], "success"),
    ],
)
async def test_a_schema_gets_two_calls_at_most(answers: list[str], expected: str) -> None:
    bench = Bench()
    bench.model.script = list(answers)
    assert (await ended(bench, text="x", response_format=SCHEMA))[0] == expected
    assert len(bench.model.requests) == 2


@pytest.mark.parametrize(
    ("finish", "expected"),
    [(FinishReason.LENGTH, "answer_truncated"), (FinishReason.CONTENT_FILTER, "content_filtered")],
)
async def test_what_no_repair_can_help_is_one_call(finish: FinishReason, expected: str) -> None:
    bench = Bench()
    bench.model.script = [completion('{"a": 1}', finish)]
    assert (await ended(bench, text="x", response_format=SCHEMA))[0] == expected
    assert len(bench.model.requests) == 1


async def test_a_verdict_says_its_reason_even_where_the_rest_is_missing() -> None:
    bench = Bench()
    bench.model.script = ['{"Статус": "Ошибка", "Причина": "Пустой лист"}'] * 2
    how, said = await ended(bench, text="x", prompt_id=3)
    assert (how, said["error_message"]) == ("verdict_failed", "Пустой лист")
    assert bench.settler.outcomes[0].dead_letter is None


async def test_a_success_that_misses_fields_is_no_success() -> None:
    bench = Bench()
    bench.model.script = ['{"Статус": "Успешно"}'] * 2
    assert (await ended(bench, text="x", prompt_id=3))[0] == "answer_schema_mismatch"


async def test_a_fence_is_taken_off_where_json_is_asked_for_and_left_where_it_is_not() -> None:
    bench = Bench()
    fenced = '```json\n{"a": 1}\n```'
    bench.model.script = [fenced]
    assert (await ended(bench, text="x", response_format=SCHEMA))[1]["result"] == '{"a": 1}'
    bench = Bench()
    bench.model.script = [fenced]
    assert json.loads(str((await ended(bench, text="x"))[1]["result"])) == {"raw_response": fenced}


async def test_the_provider_is_told_how_urgent_the_task_is_and_till_when() -> None:
    bench = Bench()
    assert (await ended(bench, priority=3, deadline_at="2026-01-01T00:00:50Z", text="x"))[0] == "success"
    (request,) = bench.model.requests
    assert request.priority == 3
    assert request.deadline is not None
    assert 0 < request.deadline - bench.clock.monotonic() <= 50
