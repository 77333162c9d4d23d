"""Tasks on a real Ollama server, whose model makes no sense but keeps its server's promises."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterator
from importlib.resources import files

import pytest

from tests.acceptance.bad_day import send
from tests.acceptance.platform import Platform, Read, platform
from tests.acceptance.stage import Stage
from tests.acceptance.worker import Worker, workers
from tests.services.kafka import Kafka
from tests.services.minio import MinioServer
from tests.services.ollama import Ollama
from tests.standins.process import gigachat

CONTEXT = 8192
# The server ends a stream without its last line when a model says one token 30 times, which one with random weights may.
FEW = {"max_tokens": 20}
# The smallest there is: one white pixel.
PNG = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mP8/5+hHgAHggJ/PchI7wAAAABJRU5ErkJggg=="
)


@pytest.fixture(scope="module")
def stage(kafka: Kafka, minio: MinioServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    folder = tmp_path_factory.mktemp("ollama")
    with gigachat(folder=folder) as standin:
        yield Stage.build(kafka, minio, standin, folder)


@pytest.fixture(scope="module")
def worker(stage: Stage, ollama: Ollama) -> Iterator[Worker]:
    """GigaChat is configured too; the deployment prefers Ollama."""
    worker = stage.worker(
        LLM_PROVIDER="ollama",
        OLLAMA_BASE_URL=ollama.base_url,
        OLLAMA_MODEL=ollama.model,
        OLLAMA_NUM_CTX_MAX=str(CONTEXT),
    )
    with workers(worker):
        yield worker.start()
        assert worker.running
        assert worker.terminate() == 0
        assert stage.gigachat.requests("chat") == []


async def ended(stage: Stage, body: dict[str, object]) -> tuple[Read, Platform]:
    """How a task ends."""
    async with platform(stage.kafka.bootstrap, stage.tasks, stage.status, stage.dead_letters) as here:
        task_id = await send(here, body)
        # The first call waits for the model to be loaded.
        (event,) = await here.ended(task_id, seconds=60)
        if event.status == "4":
            await here.until(lambda: len(here.letters_of(task_id)) == 1)
        return event, here


async def failed(stage: Stage, body: dict[str, object]) -> tuple[str, str]:
    """Code and message of a task that must fail."""
    event, here = await ended(stage, body)
    assert event.status == "4", event.value
    error = event.body["error"]
    assert error["provider"] == "ollama"
    assert here.letters[-1].header("dlq_reason") == error["code"]
    return error["code"], error["message"]


async def test_a_text(stage: Stage, worker: Worker, ollama: Ollama) -> None:
    event, here = await ended(stage, {"text": "Письмо о договоре", "parameters": FEW})
    assert event.status == "3", event.value
    body = event.body
    assert json.loads(body["result"])["raw_response"].strip()
    assert (body["provider"], body["model"]) == ("ollama", ollama.model)
    assert body["finish_reason"] in {"stop", "length"}
    assert 0 < body["usage"]["completion_tokens"] <= FEW["max_tokens"]
    (processing, _) = here.of((event.key or b"").decode())
    assert (processing.body["provider"], processing.body["model"]) == ("ollama", ollama.model)


@pytest.mark.parametrize("name", ["letter_ru.docx", "minutes_en.txt"])
async def test_a_document(stage: Stage, worker: Worker, name: str) -> None:
    """The server takes no files: the document goes as the text that was taken out of it."""
    content = (files("llm_service.samples") / name).read_bytes()
    path = stage.put(f"{stage.bucket}/{name}", content)
    event, _ = await ended(stage, {"text": None, "storage_path": path, "parameters": FEW})
    assert event.status == "3", event.value
    # The model has a token for a byte: the prompt cannot be shorter than half of the text and be the whole.
    assert event.body["usage"]["prompt_tokens"] > 500


async def test_a_schema_is_kept(stage: Stage, worker: Worker) -> None:
    schema = {
        "type": "object",
        "additionalProperties": False,
        "required": ["kind", "urgent"],
        "properties": {"kind": {"enum": ["letter", "contract"]}, "urgent": {"type": "boolean"}},
    }
    event, _ = await ended(stage, {"response_format": schema})
    assert event.status == "3", event.value
    answer = json.loads(event.body["result"])
    assert answer["kind"] in {"letter", "contract"}
    assert answer["urgent"] in {True, False}
    assert event.body["finish_reason"] == "stop"


async def test_a_schema_that_was_cut_is_no_answer(stage: Stage, worker: Worker) -> None:
    schema = {"type": "object", "required": ["kind"], "properties": {"kind": {"enum": ["letter"]}}}
    code, _ = await failed(stage, {"response_format": schema, "parameters": {"max_tokens": 3}})
    assert code == "answer_truncated"


async def test_a_missing_model(stage: Stage, worker: Worker) -> None:
    code, message = await failed(stage, {"model": "nobody-has-this:7b"})
    assert code == "model_not_found"
    assert "nobody-has-this:7b" in message
    assert "ollama pull" in message


async def test_a_picture_for_a_model_that_sees_none(stage: Stage, worker: Worker, ollama: Ollama) -> None:
    path = stage.put(f"{stage.bucket}/снимок.png", PNG, "image/png")
    code, message = await failed(stage, {"text": None, "storage_path": path})
    assert code == "request_unsupported"
    assert "снимок.png" in message
    assert ollama.model in message


async def test_a_text_beyond_the_context(stage: Stage, worker: Worker) -> None:
    """Said with both numbers; nothing is cut without a word, and the next task is served."""
    code, message = await failed(stage, {"text": "слово " * 20_000})
    assert code == "context_too_long"
    needed, context = map(int, re.findall(r"\d{4,}", message))
    assert needed > 60_000
    assert context == CONTEXT
    event, _ = await ended(stage, {"text": "Короткое", "parameters": {"max_tokens": 5}})
    assert event.status == "3"


async def test_a_text_that_only_the_tokenizer_finds_too_long(stage: Stage, worker: Worker) -> None:
    """Our estimate, three bytes a token, lets it through; the server counts, refuses, and is believed."""
    code, message = await failed(stage, {"text": "q" * 15_000, "parameters": {"max_tokens": 10}})
    assert code in {"context_too_long", "request_rejected"}
    assert "context" in message
