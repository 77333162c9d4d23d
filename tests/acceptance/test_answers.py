"""What the model answers and when: schemas, verdicts, limits, deadlines, and how a result is written."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
import pytest_asyncio

from tests.acceptance.platform import Read
from tests.acceptance.scene import Scene, mark, new_id, playing
from tests.acceptance.stage import Stage
from tests.services.kafka import Kafka
from tests.services.minio import MinioServer
from tests.standins.behaviour import directive
from tests.standins.process import GigaChatProcess, gigachat
from tests.standins.request_log import LoggedRequest

pytestmark = pytest.mark.asyncio(loop_scope="module")

SCHEMA = {
    "type": "object",
    "required": ["номер"],
    "properties": {"номер": {"type": "integer"}},
    "additionalProperties": False,
}
LETTER = {
    "Отправитель": "ООО «Ромашка»",
    "Получатель": "Иванов И. И.",
    "Адрес получателя": "г. Москва, ул. Ленина, д. 1",
    "Статус": "Успешно",
    "Причина": "",
}


@pytest.fixture(scope="module")
def standin(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GigaChatProcess]:
    with gigachat(folder=tmp_path_factory.mktemp("standin"), bodies=True) as running:
        yield running


@pytest.fixture(scope="module")
def stage(
    kafka: Kafka, minio: MinioServer, standin: GigaChatProcess, tmp_path_factory: pytest.TempPathFactory
) -> Stage:
    return Stage.build(kafka, minio, standin, tmp_path_factory.mktemp("stage"))


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def scene(stage: Stage) -> AsyncIterator[Scene]:
    async with playing(stage, CIRCUIT_BREAKER_FAILURE_THRESHOLD="50") as scene:
        yield scene


async def asked(scene: Scene, *answers: str, **body: object) -> tuple[Read, list[LoggedRequest]]:
    """Send one task to a provider that gives these answers, one a call; what became of it and the calls."""
    task_id = new_id()
    scene.stage.gigachat.tell(match=task_id, answer=answers[-1])
    for answer in answers[-2::-1]:  # the last instruction counts, as often as it may
        scene.stage.gigachat.tell(match=task_id, answer=answer, times=1)
    prompt_id = str(body.pop("prompt_id", "1"))
    ended = await scene.run({"text": mark(task_id), **body}, task_id=task_id, prompt_id=prompt_id)
    return ended, scene.calls(task_id)


def error(event: Read) -> tuple[str, str]:
    """Code and message of a FAILED event."""
    assert event.status == "4", event.value
    return event.body["error"]["code"], event.body["error_message"]


# --- prompts and providers that are not there -----------------------------------------------------


async def test_an_unknown_prompt_is_named_with_the_known_ones(scene: Scene) -> None:
    failed = await scene.fails({"text": "x"}, prompt_id="4711")
    assert failed.code == "prompt_unknown"
    assert "4711" in failed.message
    assert "1, 2, 3" in failed.message
    letter = await scene.letter(failed.event.key)
    assert letter.header("dlq_reason") == "prompt_unknown"


async def test_an_unknown_provider_is_named_with_the_known_ones(scene: Scene) -> None:
    failed = await scene.fails({"text": "x", "provider": "яндекс"})
    assert failed.code == "provider_unknown"
    assert "яндекс" in failed.message
    assert "gigachat" in failed.message


async def test_a_model_that_is_not_there_is_one_call_and_a_name(scene: Scene) -> None:
    task_id = new_id()
    failed = await scene.fails({"text": mark(task_id), "model": "Модель" * 20_000}, task_id=task_id)
    assert failed.code == "model_not_found"
    assert len(failed.message) < 500
    assert len(scene.calls(task_id)) <= 1


async def test_a_prompt_of_ones_own_needs_no_catalogue(scene: Scene) -> None:
    task_id = new_id()
    body = {"text": mark(task_id), "prompt": "Скажи {{text}} дословно" + directive(echo=True)}
    ended = await scene.run(body, task_id=task_id, prompt_id="4711")
    assert ended.status == "3"
    assert "Скажи {{text}} дословно" in json.loads(ended.body["result"])["raw_response"], (
        "a producer's own words"
    )


# --- deadlines ------------------------------------------------------------------------------------


def moment(seconds: float) -> str:
    return (datetime.now(UTC) + timedelta(seconds=seconds)).isoformat()


async def test_a_deadline_that_has_passed_is_answered_without_a_call(scene: Scene) -> None:
    task_id = new_id()
    failed = await scene.fails(
        {"text": mark(task_id), "deadline_at": "2020-01-01T00:00:00Z"}, task_id=task_id
    )
    assert failed.code == "deadline_exceeded"
    assert "2020-01-01" in failed.message
    assert scene.calls(task_id) == []
    assert [event.status for event in scene.here.of(task_id)] == ["4"]


@pytest.mark.parametrize("fault", [{"delay": 30.0}, {"silence": 30.0}, {"stall": 30.0}, {"drip": 1.0}])
async def test_a_deadline_ends_the_call_in_time_and_hangs_up(scene: Scene, fault: dict[str, float]) -> None:
    task_id = new_id()
    began = time.monotonic()
    failed = await scene.fails(
        {"text": mark(task_id) + directive(**fault), "deadline_at": moment(1.0)}, task_id=task_id
    )
    assert failed.code == "deadline_exceeded"
    assert time.monotonic() - began < 2.0
    (call,) = scene.calls(task_id)
    while call.ended is None and time.monotonic() - began < 5.0:
        await asyncio.sleep(0.1)
        (call,) = scene.calls(task_id)
    assert call.outcome in {"gone", "broken"}, "the provider saw the connection close"
    assert call.ended is not None
    assert call.ended - call.started < 3.0


async def test_a_deadline_ends_a_wait_between_retries_and_says_what_it_was_for(scene: Scene) -> None:
    task_id = new_id()
    scene.stage.gigachat.tell(match=task_id, status=429, retry_after="2")
    failed = await scene.fails({"text": mark(task_id), "deadline_at": moment(0.7)}, task_id=task_id)
    assert failed.code == "deadline_exceeded"
    assert "gigachat" in failed.message


# --- answers to a schema --------------------------------------------------------------------------


async def test_a_schema_that_nothing_meets_fails_the_task_and_costs_no_call(scene: Scene) -> None:
    task_id = new_id()
    impossible = {"type": "object", "required": ["a"], "properties": {"a": {"type": "string", "const": 1}}}
    failed = await scene.fails({"text": mark(task_id), "response_format": impossible}, task_id=task_id)
    assert failed.code == "invalid_field"
    assert "the required property 'a' can't be: properties.a has no value in its const" in failed.message
    assert scene.calls(task_id) == []


async def test_a_right_answer_is_one_call(scene: Scene) -> None:
    ended, calls = await asked(scene, '```json\n{"номер": 17}\n```', response_format=SCHEMA)
    assert ended.status == "3"
    assert json.loads(ended.body["result"]) == {"номер": 17}
    assert len(calls) == 1


@pytest.mark.parametrize("wrong", ["Номер договора — 17.", '{"номер": "семнадцать"}', '{"номер": 17', "{}"])
async def test_a_wrong_answer_is_shown_to_the_model_once_and_a_right_one_succeeds(
    scene: Scene, wrong: str
) -> None:
    ended, calls = await asked(scene, wrong, '{"номер": 17}', response_format=SCHEMA)
    assert ended.status == "3"
    assert json.loads(ended.body["result"]) == {"номер": 17}
    assert len(calls) == 2
    said = json.loads(calls[1].body)["messages"]
    assert said[-2] == {"role": "assistant", "content": wrong}
    assert wrong in said[-1]["content"]
    assert ended.body["usage"]["completion_tokens"] > len('{"номер": 17}') // 4 + 1, "both calls are counted"


@pytest.mark.parametrize(
    ("wrong", "code"),
    [("Номер 17", "answer_not_json"), ('{"номер": "семнадцать"}', "answer_schema_mismatch")],
)
async def test_an_answer_that_stays_wrong_fails_after_exactly_two_calls_with_what_is_wrong(
    scene: Scene, wrong: str, code: str
) -> None:
    ended, calls = await asked(scene, wrong, response_format=SCHEMA)
    said, message = error(ended)
    assert said == code
    assert len(calls) == 2
    finding = "at line 1, column 1" if code == "answer_not_json" else 'номер: must be "integer"'
    assert finding in message
    # The model was shown the same, with its answer and the schema.
    shown = json.loads(calls[1].body)["messages"][-1]["content"]
    assert finding in shown
    assert '"additionalProperties": false' in shown
    assert (await scene.letter(ended.key)).header("dlq_reason") == code


async def test_an_answer_cut_by_the_token_limit_is_no_answer_to_a_schema(scene: Scene) -> None:
    task_id = new_id()
    text = mark(task_id) + directive(finish="length")
    failed = await scene.fails({"text": text, "response_format": SCHEMA}, task_id=task_id)
    assert failed.code == "answer_truncated"
    assert len(scene.calls(task_id)) == 1
    ended = await scene.run({"text": directive(finish="length")})
    assert (ended.status, ended.body["finish_reason"]) == ("3", "length")


async def test_an_answer_that_the_filter_refused_fails_after_one_call(scene: Scene) -> None:
    task_id = new_id()
    failed = await scene.fails({"text": mark(task_id) + directive(finish="blacklist")}, task_id=task_id)
    assert failed.code == "content_filtered"
    assert len(scene.calls(task_id)) == 1


# --- verdicts -------------------------------------------------------------------------------------


async def test_the_letter_prompt_succeeds_by_its_verdict(scene: Scene) -> None:
    ended, calls = await asked(scene, json.dumps(LETTER, ensure_ascii=False), prompt_id="3")
    assert ended.status == "3"
    assert json.loads(ended.body["result"]) == LETTER
    assert len(calls) == 1


async def test_a_verdict_of_failure_is_the_answer_with_its_reason(scene: Scene) -> None:
    verdict = LETTER | {"Статус": "Ошибка", "Причина": "Нет адреса получателя"}
    ended, calls = await asked(scene, json.dumps(verdict, ensure_ascii=False), prompt_id="3")
    assert error(ended) == ("verdict_failed", "Нет адреса получателя")
    assert ended.body["tokens_used"] > 0, "an answer that is refused has cost its tokens all the same"
    assert len(calls) == 1
    await scene.settled()
    assert scene.here.letters_of(ended.key) == [], "it was answered, not broken"


async def test_a_verdict_of_failure_that_leaves_the_rest_out_still_gives_its_reason(scene: Scene) -> None:
    """A model that can't read a document has no fields to fill in, whatever the schema wants of it."""
    ended, calls = await asked(
        scene, '{"Статус": "Ошибка", "Причина": "Документ не читается"}', prompt_id="3"
    )
    assert error(ended) == ("verdict_failed", "Документ не читается")
    assert len(calls) == 2


async def test_text_that_begins_as_json_and_is_none_never_succeeds_where_a_verdict_is_due(
    scene: Scene,
) -> None:
    ended, calls = await asked(scene, '{"Статус": "Успешно", "Отправитель": "ООО', prompt_id="3")
    assert error(ended)[0] == "answer_not_json"
    assert len(calls) == 2


async def test_without_a_schema_or_a_verdict_broken_json_is_a_text_like_any_other(scene: Scene) -> None:
    ended, _ = await asked(scene, '{"номер": ')
    assert json.loads(ended.body["result"]) == {"raw_response": '{"номер": '}


# --- how results are written ----------------------------------------------------------------------

ANSWERS = [
    ("Договор № 17 — «Ромашка» 🌼", {"raw_response": "Договор № 17 — «Ромашка» 🌼"}),
    ('{"сумма": 100.50, "вложено": {"а": [1, null]}}', {"сумма": 100.50, "вложено": {"а": [1, None]}}),
    ('[{"а": 1}]', [{"а": 1}]),
    ("17", {"raw_response": "17"}),
    ('"слово"', {"raw_response": '"слово"'}),
    ("{не JSON}", {"raw_response": "{не JSON}"}),
]


@pytest.mark.parametrize(("answer", "result"), ANSWERS, ids=[answer for answer, _ in ANSWERS])
async def test_a_result_is_a_string_that_holds_json(scene: Scene, answer: str, result: object) -> None:
    ended, _ = await asked(scene, answer)
    assert isinstance(ended.body["result"], str)
    assert json.loads(ended.body["result"]) == result
    assert b"\\u04" not in ended.value, "Cyrillic stays readable"


async def test_the_words_of_the_task_reach_the_provider_as_they_are(scene: Scene) -> None:
    task_id = new_id()
    path = scene.stage.put(f"{scene.stage.bucket}/{task_id}/Приложение № 2 «ёлка».txt", b"x")
    body = {
        "text": mark(task_id) + " Съешь ещё этих мягких булок 🥐",
        "prompt": "Сделай выжимку",
        "system_prompt": "Ты делопроизводитель",
        "data": {"ключ": "значение"},
        "storage_path": path,
        "parameters": {"temperature": 0.5, "max_tokens": 77},
    }
    ended = await scene.run(body, task_id=task_id)
    assert ended.status == "3"
    sent = json.loads(scene.calls(task_id)[0].body)
    first, question = sent["messages"]
    assert first == {"role": "system", "content": "Ты делопроизводитель"}
    for words in ("Сделай выжимку", "Съешь ещё этих мягких булок 🥐", "ключ", "значение"):
        assert words in question["content"]
    assert len(question["attachments"]) == 1
    assert (sent["temperature"], sent["max_tokens"]) == (0.5, 77)


async def test_new_consumers_may_have_the_result_as_an_object(kafka: Kafka, stage: Stage) -> None:
    own = replace(stage, tasks=kafka.topic("tasks"), group=kafka.unique("objects"))
    settings = {"KAFKA_RESULT_ENCODING": "object", "KAFKA_MESSAGE_MAX_BYTES": "50000"}
    async with playing(own, "objects", **settings) as scene:
        for answer, result in ANSWERS:
            ended, _ = await asked(scene, answer)
            assert ended.body["result"] == result
        large = await scene.run({"text": directive(big=60_000)})
        reference = large.body["result_ref"]
        assert large.body["result"]["result_ref"] == reference
        bucket, _, key = reference.partition("/")
        with stage.store.get_object(bucket, key) as stored:
            assert json.loads(stored.read()) == {"raw_response": "a" * 60_000}
