"""Messages that are no task, or a damaged one: each ends by itself, with its reason, and hurts nobody else."""

from __future__ import annotations

import asyncio
import json
import uuid
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace

import pytest
import pytest_asyncio

from tests.acceptance.platform import Read
from tests.acceptance.scene import Scene, mark, new_id, playing
from tests.acceptance.stage import Stage
from tests.services.kafka import Kafka
from tests.services.minio import MinioServer
from tests.standins.behaviour import directive
from tests.standins.process import GigaChatProcess, gigachat

pytestmark = pytest.mark.asyncio(loop_scope="module")

# The status and the dead-letter topic take less than a task may have, which the deployment was free to do.
SMALL = {"max.message.bytes": "60000"}
BROKEN = {
    "empty": b"",
    "null": None,
    "a JSON null": b"null",
    "no JSON": "Привет".encode(),
    "cut JSON": b'{"text": "\xd0\x9f',
    "not UTF-8": '{"text": "Привет"}'.encode("cp1251"),
    "UTF-16": '{"text": "x"}'.encode("utf-16"),
    "a list": b'[{"text": "x"}]',
    "10,000 deep": b'{"data":' + b"[" * 10_000 + b"]" * 10_000 + b"}",
    "10,000 deep and never closed": b'{"a":' * 10_000,
    "NaN": b'{"text": "x", "priority": NaN}',
    "infinite": b'{"text": "x", "data": 1e999}',
    "half of a pair": b'{"text": "\\ud83d x"}',
    "a number of 5,000 digits": b'{"text": "x", "data": ' + b"9" * 5000 + b"}",
}
ODD_HEADERS = (
    ("status", b"1"),
    ("трасса".encode().decode(), "значение".encode()),
    ("binary", b"\x00\xff\xfe"),
    ("twice", b"1"),
    ("twice", b"2"),
    ("empty", b""),
)


@pytest.fixture(scope="module")
def standin(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GigaChatProcess]:
    with gigachat(folder=tmp_path_factory.mktemp("standin")) as running:
        yield running


@pytest.fixture(scope="module")
def stage(
    kafka: Kafka, minio: MinioServer, standin: GigaChatProcess, tmp_path_factory: pytest.TempPathFactory
) -> Stage:
    whole = Stage.build(kafka, minio, standin, tmp_path_factory.mktemp("stage"))
    # One partition for all statuses, so that what is answered at once goes out in one batch.
    status, letters = kafka.topic("status", 1, SMALL), kafka.topic("dlq", config=SMALL)
    return replace(whole, status=status, dead_letters=letters)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def scene(stage: Stage) -> AsyncIterator[Scene]:
    async with playing(stage) as scene:
        yield scene


def original(letter: Read) -> tuple[object, ...]:
    """The dead letter without what was added to it."""
    kept = tuple((name, value) for name, value in letter.headers if not name.startswith("dlq_"))
    return letter.key, letter.value, kept


# --- values that can't be read --------------------------------------------------------------------


@pytest.mark.parametrize("name", BROKEN)
async def test_a_broken_value_under_a_known_id_fails_and_is_kept_byte_for_byte(
    scene: Scene, name: str
) -> None:
    task_id, value = new_id(), BROKEN[name]
    failed = await scene.fails(value, task_id=task_id, headers=ODD_HEADERS)  # type: ignore[arg-type]
    assert failed.code == "invalid_message"
    assert 10 < len(failed.message) < 300
    letter = await scene.letter(task_id)
    assert original(letter) == (task_id.encode(), value or b"", ODD_HEADERS)
    assert letter.header("dlq_reason") == "invalid_message"
    assert letter.header("dlq_message") == failed.message
    assert letter.header("dlq_topic") == scene.stage.tasks
    run = f"{letter.header('dlq_topic')}/{letter.header('dlq_partition')}/{letter.header('dlq_offset')}"
    assert run == failed.event.header("run")


@pytest.mark.parametrize("key", [None, b"", b"\xff\xfe\x00"], ids=["no key", "empty key", "key not UTF-8"])
async def test_a_broken_value_that_nobody_can_be_asked_about_is_a_dead_letter_alone(
    scene: Scene, key: bytes | None
) -> None:
    value = f'{{"text": "{new_id()}'.encode()
    place = await scene.here.send(value, key=key, headers=ODD_HEADERS)
    await scene.here.until(lambda: any(letter.value == value for letter in scene.here.letters), 10, "letter")
    (letter,) = [letter for letter in scene.here.letters if letter.value == value]
    assert original(letter) == (key, value, ODD_HEADERS)
    assert (int(letter.header("dlq_partition") or -1), int(letter.header("dlq_offset") or -1)) == place
    run = f"{scene.stage.tasks}/{place[0]}/{place[1]}"
    await scene.settled()
    assert not [event for event in scene.here.events if event.header("run") == run]


async def test_a_byte_order_mark_is_no_mistake(scene: Scene) -> None:
    ended = await scene.run(b"\xef\xbb\xbf" + json.dumps({"text": "Привет"}).encode())
    assert ended.status == "3"


async def test_a_value_larger_than_the_dead_letter_topic_takes_is_kept_in_the_bucket(scene: Scene) -> None:
    task_id = new_id()
    value = b'{"text": "' + "Ж".encode() * 40_000
    failed = await scene.fails(value, task_id=task_id, headers=ODD_HEADERS)  # type: ignore[arg-type]
    assert failed.code == "invalid_message"
    letter = await scene.letter(task_id)
    reference = letter.header("dlq_value_ref")
    assert reference is not None
    assert letter.body == {"value_ref": reference}
    assert original(letter)[2] == ODD_HEADERS
    assert stored(scene, reference) == value


async def test_headers_larger_than_the_dead_letter_topic_takes_stop_nothing(scene: Scene) -> None:
    """What can be kept is kept, and where the whole message lies is said."""
    task_id = new_id()
    headers = [("status", b"1"), ("x-padding", b"p" * 80_000), ("x-small", b"kept")]
    place = await scene.here.send(b"{", key=task_id, headers=headers)
    (ended,) = await scene.here.ended(task_id)
    assert ended.body["error"]["code"] == "invalid_message"
    letter = await scene.letter(task_id)
    assert letter.header("dlq_reason") == "invalid_message"
    assert letter.header("x-small") == "kept"
    assert letter.header("x-padding") is None
    assert letter.header("dlq_headers_left_out") == "x-padding"
    assert (letter.header("dlq_partition"), letter.header("dlq_offset")) == (str(place[0]), str(place[1]))


async def test_a_key_larger_than_the_dead_letter_topic_takes_stops_nothing(scene: Scene) -> None:
    key, value = b"k" * 80_000, f"{{{new_id()}".encode()
    await scene.here.send(value, key=key, headers={"status": "1"})
    await scene.here.until(lambda: any(letter.header("dlq_key_bytes") for letter in scene.here.letters), 10)
    (letter,) = [letter for letter in scene.here.letters if letter.header("dlq_key_bytes")]
    assert letter.header("dlq_key_bytes") == "80000"
    assert stored(scene, letter.body["value_ref"]) == value


async def test_a_trace_state_of_any_length_is_no_burden_to_the_answer(scene: Scene) -> None:
    headers = {
        "status": "1",
        "prompt_id": "1",
        "traceparent": f"00-{'a' * 32}-{'b' * 16}-01",
        "tracestate": "v=" + "x" * 80_000,
    }
    ended = await scene.run({"text": "Привет"}, headers=headers)
    assert ended.status == "3"
    assert ended.header("traceparent") == headers["traceparent"]
    assert ended.header("tracestate") is None


def stored(scene: Scene, reference: str) -> bytes:
    """The object that a reference names."""
    bucket, _, key = reference.partition("/")
    with scene.stage.store.get_object(bucket, key) as answer:
        return bytes(answer.read())


# --- who it is, and both forms --------------------------------------------------------------------


async def test_without_a_key_the_body_says_who_the_task_is(scene: Scene) -> None:
    task_id = new_id()
    body = {"task_id": task_id, "status": 1, "prompt_id": 1, "text": mark(task_id)}
    await scene.here.send(body)
    (ended,) = await scene.here.ended(task_id)
    assert ended.status == "3"
    assert ended.key == task_id.encode()


async def test_a_key_that_is_no_uuid_yields_to_the_body(scene: Scene) -> None:
    task_id = new_id()
    await scene.here.send({"task_id": task_id, "text": "Привет", "prompt_id": 1}, key="клиент 7")
    (ended,) = await scene.here.ended(task_id)
    assert ended.status == "3"


async def test_a_cloud_event_is_known_by_its_id(scene: Scene) -> None:
    task_id = new_id()
    headers = {"ce_id": task_id, "ce_specversion": "1.0", "ce_type": "task", "ce_source": "/архив"}
    await scene.here.send({"text": "Привет", "prompt_id": 1}, headers=headers)
    (ended,) = await scene.here.ended(task_id)
    assert ended.status == "3"


async def test_a_task_that_names_nothing_gets_an_id_that_anybody_can_compute(scene: Scene) -> None:
    partition, offset = await scene.here.send({"text": "Привет", "prompt_id": 1})
    made_up = str(uuid.uuid5(uuid.NAMESPACE_URL, f"{scene.stage.tasks}/{partition}/{offset}"))
    (ended,) = await scene.here.ended(made_up)
    assert ended.status == "3"
    assert ended.header("trace_id") == made_up


async def test_of_a_repeated_header_the_last_counts_and_a_damaged_one_is_absent(scene: Scene) -> None:
    trace_id = new_id()
    headers = [
        ("status", b"3"),
        ("status", b"1"),
        ("prompt_id", b"4711"),
        ("prompt_id", b"1"),
        ("trace_id", trace_id.encode()),
        ("traceparent", b"\xff\xff"),
        ("timestamp", b"\xd0"),
    ]
    ended = await scene.run({"text": "Привет"}, headers=headers)
    assert (ended.status, ended.header("trace_id")) == ("3", trace_id)
    ended = await scene.run(
        {"text": "Привет", "trace_id": trace_id},
        headers=[("status", b"\xff"), ("prompt_id", b"1"), ("trace_id", b"\xff\xfe")],
    )
    assert (ended.status, ended.header("trace_id")) == ("3", trace_id)


async def test_no_headers_at_all_is_still_a_task(scene: Scene) -> None:
    assert (await scene.run({"text": "Привет"}, headers=[])).status == "3"


@pytest.mark.parametrize("status", [1, "1", "PENDING", "pending", 1.0, None, ""])
async def test_every_form_of_status_in_the_body_is_read(scene: Scene, status: object) -> None:
    assert (await scene.run({"text": "Привет", "status": status}, headers=[])).status == "3"


@pytest.mark.parametrize("as_text", [False, True], ids=["an object", "a JSON string"])
async def test_metadata_names_the_file_in_either_form(scene: Scene, as_text: bool) -> None:
    task_id = new_id()
    path = scene.stage.put(f"{scene.stage.bucket}/{task_id}/7b0e.bin", mark(task_id).encode())
    metadata = {"filename": "Письмо о договоре.txt", "filesize": 5}
    body = {
        "storage_path": path,
        "prompt": directive(echo=True),
        "metadata": json.dumps(metadata, ensure_ascii=False) if as_text else metadata,
    }
    ended = await scene.run(body, task_id=task_id)
    assert ended.status == "3"
    assert len(scene.calls(task_id)) == 1, "the text of the file reached the provider"


# --- known fields of a wrong type -----------------------------------------------------------------

WRONG_FIELDS = [
    ({"text": ["a"]}, "text", "a string"),
    ({"text": "x", "data": 1, "prompt": 7}, "prompt", "a string"),
    ({"text": "x", "prompt_id": "три"}, "prompt_id", "an integer"),
    ({"text": "x", "prompt_id": True}, "prompt_id", "an integer"),
    ({"storage_path": 5}, "storage_path", "a string"),
    ({"storage_path": "a", "storage_size": -1}, "storage_size", "0 or more"),
    ({"files": "a.pdf"}, "files", "a list"),
    ({"files": [{"name": "a.pdf"}]}, "files[0]", "storage_path"),
    ({"messages": [{"role": "tool", "content": "x"}]}, "messages[0].role", "system, user or assistant"),
    ({"messages": [{"role": "user", "content": None}]}, "messages[0].content", "a string"),
    ({"text": "x", "parameters": {"temperature": "hot"}}, "parameters.temperature", "a number"),
    ({"text": "x", "parameters": {"max_tokens": 0}}, "parameters.max_tokens", "1 or more"),
    ({"text": "x", "parameters": []}, "parameters", "an object"),
    ({"text": "x", "response_format": "json"}, "response_format", "an object"),
    ({"text": "x", "response_format": {"type": 5}}, "response_format", "JSON Schema"),
    ({"text": "x", "priority": "urgent"}, "priority", "low, normal or high"),
    ({"text": "x", "deadline_at": "завтра"}, "deadline_at", "ISO 8601"),
    ({"text": "x", "max_attempts": 0}, "max_attempts", "1 or more"),
    ({"text": "x", "metadata": "{"}, "metadata", "a JSON object"),
    ({"text": "x", "status": [1]}, "status", "a number, its text or its name"),
    ({"text": "x", "constraints": {"prefer_local": "yes"}}, "constraints.prefer_local", "true or false"),
]


async def test_a_known_field_of_a_wrong_type_is_named_with_what_was_expected(scene: Scene) -> None:
    headers: list[tuple[str, bytes]] = []
    failures = await asyncio.gather(
        *(scene.fails(body, headers=headers) for body, _, _ in WRONG_FIELDS)  # type: ignore[arg-type]
    )
    for (body, field, expected), failed in zip(WRONG_FIELDS, failures, strict=True):
        assert failed.code == "invalid_field", (body, failed)
        assert field in failed.message, (body, failed.message)
        assert expected in failed.message, (body, failed.message)


async def test_a_prompt_id_header_that_is_no_number_is_named(scene: Scene) -> None:
    failed = await scene.fails({"text": "x"}, prompt_id="первый")
    assert (failed.code, "prompt_id" in failed.message) == ("invalid_field", True)


@pytest.mark.parametrize("body", [{}, {"text": ""}, {"prompt": "Скажи что-нибудь"}, {"files": []}])
async def test_a_task_with_nothing_to_work_on_says_what_to_send(
    scene: Scene, body: dict[str, object]
) -> None:
    failed = await scene.fails(body)
    assert failed.code == "incomplete_task"
    assert "storage_path" in failed.message


async def test_an_unknown_field_is_no_mistake(scene: Scene) -> None:
    assert (await scene.run({"text": "Привет", "поле": {"а": [1]}, "Text": 5})).status == "3"


# --- what is no task ------------------------------------------------------------------------------


async def test_what_is_no_task_is_passed_over_and_never_commits_past_running_work(scene: Scene) -> None:
    slow, after, partition = new_id(), new_id(), 3
    await scene.settled()
    _, at = await scene.here.send(
        {"text": mark(slow) + directive(delay=2.0)}, key=slow, headers={"prompt_id": "1"}, partition=partition
    )
    strangers = [new_id() for _ in range(6)]
    for stranger, status in zip(strangers, [b"2", b"3", b"4", b"0", b"17", b"done"], strict=True):
        await scene.here.send(
            b'{"result": "{}"}', key=stranger, headers=[("status", status)], partition=partition
        )
    for name in (2, "SUCCESS", "неизвестно"):
        strangers.append(new_id())
        body = {"text": "x", "status": name}
        await scene.here.send(body, key=strangers[-1], partition=partition)
    await scene.here.send({"text": mark(after)}, key=after, headers={"prompt_id": "1"}, partition=partition)

    await scene.here.ended(after)
    for _ in range(5):  # several commits of what finished above the slow one
        await asyncio.sleep(0.1)
        committed = await asyncio.to_thread(scene.committed)
        assert not scene.here.terminal(slow), "the slow task must still run"
        assert committed.get(partition, 0) <= at
    await scene.here.ended(slow)
    await scene.settled()
    for stranger in strangers:
        assert scene.here.of(stranger) == []
        assert scene.here.letters_of(stranger) == []


# --- results that are too large -------------------------------------------------------------------


async def test_a_result_too_large_for_a_message_is_in_the_bucket(scene: Scene) -> None:
    task_id = new_id()
    ended = await scene.run({"text": mark(task_id) + directive(answer="Ж" * 40_000)}, task_id=task_id)
    assert ended.status == "3"
    reference = ended.body["result_ref"]
    assert reference.startswith(f"{scene.stage.bucket}/results/{task_id}/")
    assert json.loads(stored(scene, reference)) == {"raw_response": "Ж" * 40_000}
    assert json.loads(ended.body["result"])["result_ref"] == reference, "an old reader sees where it is"
    assert ended.body["tokens_used"] > 0


async def test_results_that_fit_one_by_one_fit_together(scene: Scene) -> None:
    """The broker's limit counts whole batches: one that is larger would be refused with all that is in it."""
    ended = await asyncio.gather(*(scene.run({"text": directive(big=25_000)}) for _ in range(30)))
    assert {event.status for event in ended} == {"3"}
    assert not [event for event in ended if "result_ref" in event.body]


async def test_at_the_limit_of_a_message_no_size_is_lost(scene: Scene) -> None:
    """What is counted here and what the broker counts must not disagree by a byte in the wrong direction."""
    sizes = range(58_900, 60_100, 50)
    ended = await asyncio.gather(*(scene.run({"text": directive(big=size)}) for size in sizes))
    assert {event.status for event in ended} == {"3"}
    assert {"result_ref" in event.body for event in ended} == {True, False}


async def test_a_large_answer_with_half_a_character_is_not_lost(scene: Scene) -> None:
    """A model may answer with a lone surrogate, which no UTF-8 holds."""
    answer = json.dumps({"text": "я" * 40_000, "half": "\ud83d"})
    ended = await scene.run({"text": directive(answer=answer)})
    assert ended.status == "3"
    assert "result_ref" in ended.body


async def test_without_an_object_store_a_result_too_large_fails_and_says_what_to_do(
    kafka: Kafka, stage: Stage
) -> None:
    alone = replace(stage, tasks=kafka.topic("tasks"), group=kafka.unique("alone"))
    async with playing(alone, "storeless", MINIO_ENABLED="false") as scene:
        failed, letter, file = await asyncio.gather(
            scene.fails({"text": directive(big=80_000)}),
            scene.fails(b"{" + b"x" * 80_000),
            scene.fails({"storage_path": "documents/письмо.pdf"}),
        )
        assert failed.code == "result_too_large"
        assert "max.message.bytes" in failed.message
        assert letter.code == "invalid_message"
        kept = await scene.letter(letter.event.key)
        assert kept.body["value_ref"] == "kafka://" + (letter.event.header("run") or "")
        assert file.code == "file_error"
        assert "MINIO_ENDPOINT" in file.message
