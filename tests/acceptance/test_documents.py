"""Documents and pictures on their way to models: what is too long, what nobody sees, what a picture must not tell."""

from __future__ import annotations

import base64
import io
import json
import re
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
import pytest_asyncio
from PIL import ExifTags, Image

from tests.acceptance.bad_day import until
from tests.acceptance.scene import Scene, mark, new_id, playing
from tests.acceptance.stage import Stage
from tests.services.kafka import Kafka
from tests.services.minio import MinioServer
from tests.standins.process import OpenAIProcess, StandinProcess, gigachat, ollama, openai
from tests.standins.request_log import LoggedRequest
from tests.unit.files.documents import png_of

pytestmark = pytest.mark.asyncio(loop_scope="module")

CONTEXT = 8_192
ANSWER = 100
TASK_TOKENS = 25_000
PRICES = """
[[price]]
provider = "openai"
model = "large"
input = 100
output = 100
cached = 50
date = 2026-11-21
"""
PLACE = "55.7558N 37.6173E"
BOTH = pytest.mark.parametrize("provider", ["openai", "ollama"])


@pytest.fixture(scope="module")
def stage(kafka: Kafka, minio: MinioServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    folder = tmp_path_factory.mktemp("documents")
    with gigachat(folder=folder, bodies=True) as standin:
        yield Stage.build(kafka, minio, standin, folder)


@pytest.fixture(scope="module")
def cloud(stage: Stage) -> Iterator[OpenAIProcess]:
    with openai(folder=stage.folder, bodies=True) as running:
        running.set(context=CONTEXT)
        yield running


@pytest.fixture(scope="module")
def server(stage: Stage) -> Iterator[StandinProcess]:
    with ollama(folder=stage.folder, bodies=True) as running:
        yield running


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def scene(stage: Stage, cloud: OpenAIProcess, server: StandinProcess) -> AsyncIterator[Scene]:
    """A worker whose models see little at once, and one of them is dear."""
    prices = stage.folder / "prices.toml"
    prices.write_text(PRICES, "utf-8")
    settings = {
        "LLM_PROVIDER": "openai",
        "OPENAI_API_KEY": cloud.key,
        "OPENAI_MODEL": "small",
        "OPENAI_BASE_URL": f"{cloud.base_url}/v1",
        "OPENAI_CONTEXT_TOKENS": str(CONTEXT),
        "OLLAMA_BASE_URL": server.base_url,
        "OLLAMA_MODEL": "tiny",
        "OLLAMA_NUM_CTX_MAX": str(CONTEXT),
        "TASK_MAX_TOKENS": str(TASK_TOKENS),
        "TASK_MAX_COST_USD": "0.05",
        "LLM_PRICES_FILE": str(prices),
        # No trained data: what is in a picture is not read here.
        "OCR_DATA_FOLDER": str(stage.folder),
    }
    async with playing(stage, **settings) as scene:
        yield scene


@pytest.fixture
def chats(cloud: OpenAIProcess, server: StandinProcess) -> Chats:
    return Chats({"openai": cloud, "ollama": server})


class Chats:
    """What the providers were asked."""

    def __init__(self, standins: dict[str, StandinProcess]) -> None:
        self._standins = standins

    def of(self, provider: str, task_id: str) -> list[LoggedRequest]:
        asked = self._standins[provider].requests("chat")
        return [call for call in asked if call.marker == task_id]

    def messages(self, provider: str, task_id: str) -> list[dict[str, Any]]:
        """Of the one call that was made."""
        (call,) = self.of(provider, task_id)
        messages: list[dict[str, Any]] = json.loads(call.body)["messages"]
        return messages


async def altered_chars(scene: Scene, how: str, count: float) -> None:
    """Return when the metric says so: it is counted a moment after the event is there."""
    await until(lambda: scene.worker.metric("llm_service_altered_chars_total", how=how) == count, 5, how)


# --- what is too long -----------------------------------------------------------------------------


def long_text(task_id: str) -> str:
    """Some 13,000 tokens by the estimate, a token for three bytes."""
    return mark(task_id) + " Пункт договора." * 1_400


def task_of(path: str, provider: str, **more: object) -> dict[str, object]:
    return {"storage_path": path, "provider": provider, "parameters": {"max_tokens": ANSWER}, **more}


@BOTH
async def test_a_document_that_is_too_long_is_refused_with_both_numbers_and_nobody_is_asked(
    scene: Scene, chats: Chats, provider: str
) -> None:
    task_id = new_id()
    path = scene.stage.put(f"{task_id}/Договор.txt", long_text(task_id).encode())
    failed = await scene.fails(task_of(path, provider), task_id=task_id)
    assert failed.code == "context_too_long"
    needed, context = map(int, re.findall(r"\d{4,}", failed.message))
    assert needed > 12_000
    assert context == CONTEXT
    assert chats.of(provider, task_id) == []
    assert (await scene.letter(task_id)).header("dlq_reason") == "context_too_long"


@BOTH
async def test_where_the_task_allows_it_the_document_is_cut_and_the_answer_says_by_how_much(
    scene: Scene, chats: Chats, provider: str
) -> None:
    task_id = new_id()
    whole = long_text(task_id)
    before = scene.worker.metric("llm_service_altered_chars_total", how="cut")
    put = [
        (scene.stage.put(f"{task_id}/{name}", text.encode()), name)
        for name, text in (("Договор.txt", whole), ("Письмо.txt", "Короткое письмо."))
    ]
    files = [{"path": path, "name": name} for path, name in put]
    task = {"files": files, "provider": provider, "parameters": {"max_tokens": ANSWER}, "truncate": True}
    ended = await scene.run(task, task_id=task_id)
    assert ended.status == "3", ended.value
    altered = ended.body["altered"]
    (document,) = altered["documents"]
    assert (document["name"], document["chars"]) == ("Договор.txt", len(whole))
    cut = document["cut_chars"]
    assert 0 < cut < len(whole)
    assert (altered["cut_chars"], altered["hidden_chars"]) == (cut, 0)
    said = chats.messages(provider, task_id)[-1]["content"]
    kept = whole[: len(whole) - cut]
    assert f"{kept}\n[cut here: {cut} of {len(whole)} characters are left out]\n<<< end of document" in said
    assert "Короткое письмо." in said, "the short one is whole"
    await altered_chars(scene, "cut", before + cut)
    log = next(
        line for line in scene.worker.output().splitlines() if "task_settled" in line and task_id in line
    )
    assert f"cut_chars={cut}" in log


async def test_what_fits_is_not_cut_and_nothing_is_said_of_it(scene: Scene, chats: Chats) -> None:
    task_id = new_id()
    path = scene.stage.put(f"{task_id}/Письмо.txt", mark(task_id).encode())
    ended = await scene.run(task_of(path, "openai", truncate=True), task_id=task_id)
    assert ended.status == "3", ended.value
    assert "altered" not in ended.body
    assert "[cut here" not in chats.messages("openai", task_id)[-1]["content"]


async def test_a_server_that_counts_more_than_was_estimated_is_asked_with_less(
    scene: Scene, chats: Chats, cloud: OpenAIProcess
) -> None:
    """It says no and not by how much: half of the document is left out."""
    task_id = new_id()
    text = mark(task_id) + " Пункт." * 500
    path = scene.stage.put(f"{task_id}/Договор.txt", text.encode())
    cloud.set(context=700)
    try:
        ended = await scene.run(task_of(path, "openai", truncate=True), task_id=task_id)
    finally:
        cloud.set(context=CONTEXT)
    assert ended.status == "3", ended.value
    refused, answered = chats.of("openai", task_id)
    assert (refused.status, answered.status) == (400, 200)
    assert len(text) * 0.4 < ended.body["altered"]["cut_chars"] < len(text) * 0.6


# --- what is too much for one task -----------------------------------------------------------------


async def test_what_needs_more_than_a_task_may_use_is_refused_and_nobody_is_asked(
    scene: Scene, chats: Chats
) -> None:
    """The same limit whoever is asked, also where the context is no limit."""
    task_id = new_id()
    path = scene.stage.put(f"{task_id}/Том.txt", (mark(task_id) + " Пункт." * 7_000).encode())
    failed = await scene.fails(task_of(path, "gigachat", truncate=True), task_id=task_id)
    assert failed.code == "task_too_costly"
    needed, limit = map(int, re.findall(r"\d{4,}", failed.message))
    assert needed > limit == TASK_TOKENS
    assert scene.calls(task_id) == []
    assert (await scene.letter(task_id)).header("dlq_reason") == "task_too_costly"


async def test_what_would_cost_more_than_a_task_may_is_refused_by_the_table_of_prices(
    scene: Scene, chats: Chats
) -> None:
    task_id, other = new_id(), new_id()
    dear = {"prompt": mark(task_id), "text": "Пункт.", "model": "large", "provider": "openai"}
    failed = await scene.fails({**dear, "parameters": {"max_tokens": 1_000}}, task_id=task_id)
    assert failed.code == "task_too_costly"
    assert "would cost about 0.1" in failed.message
    assert "may cost 0.05 here" in failed.message
    assert chats.of("openai", task_id) == []
    ended = await scene.run({**dear, "prompt": mark(other), "parameters": {"max_tokens": 10}}, task_id=other)
    assert ended.status == "3", ended.value
    assert 0 < ended.body["cost"] < 0.05


async def test_an_answer_that_grows_beyond_is_given_up_while_it_is_written(
    scene: Scene, chats: Chats, cloud: OpenAIProcess
) -> None:
    task_id = new_id()
    cloud.tell(match=task_id, answer="слово " * 60_000, chunks=1_000, gap=0.01)
    fails = await scene.fails({"text": mark(task_id), "prompt": "Пишите.", "model": "small"}, task_id=task_id)
    assert fails.code == "task_too_costly"
    assert str(TASK_TOKENS) not in fails.message, "what was left of it is told"
    (call,) = chats.of("openai", task_id)
    assert call.outcome == "gone", "hung up before its end, and not asked again"
    assert fails.event.body["tokens_used"] == TASK_TOKENS


# --- what nobody sees -----------------------------------------------------------------------------


async def test_hidden_characters_are_told_with_the_answer_and_with_a_failure(
    scene: Scene, chats: Chats
) -> None:
    task_id = new_id()
    before = scene.worker.metric("llm_service_altered_chars_total", how="hidden")
    text = f"{mark(task_id)} Оплатить\u200b \u202eсчёт."
    path = scene.stage.put(f"{task_id}/Счёт.txt", text.encode())
    ended = await scene.run(task_of(path, "openai"), task_id=task_id)
    told = {"name": "Счёт.txt", "cut_chars": 0, "hidden_chars": 2}
    assert ended.status == "3", ended.value
    (document,) = ended.body["altered"]["documents"]
    assert {**document, **told} == document
    said = chats.messages("openai", task_id)[-1]["content"]
    assert "2 characters in it can't be seen" in said
    assert "Оплатить[hidden U+200B] [hidden U+202E]счёт." in said
    failed = await scene.fails(task_of(path, "openai", model="nobody-has-this"))
    assert failed.event.body["altered"]["hidden_chars"] == 2
    await altered_chars(scene, "hidden", before + 4)


# --- pictures -------------------------------------------------------------------------------------


def photograph(form: str) -> bytes:
    """Lying on its side as the camera held it, red on top when upright; it tells where it was taken."""
    image = Image.new("RGB", (40, 60), "white")
    image.paste("red", (0, 0, 20, 60))
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6
    exif[ExifTags.Base.ImageDescription] = PLACE
    target = io.BytesIO()
    image.save(target, form, exif=exif)
    assert PLACE.encode() in target.getvalue()
    return target.getvalue()


def assert_drawn_anew(content: bytes) -> None:
    assert PLACE.encode() not in content
    image = Image.open(io.BytesIO(content))
    assert image.format in {"PNG", "JPEG"}
    assert image.size == (60, 40)
    colours = [image.convert("RGB").getpixel((30, y)) for y in (5, 35)]
    assert [colour[1] < 100 for colour in colours] == [True, False], "red above white"  # type: ignore[index]


@pytest.mark.parametrize("form", ["TIFF", "WEBP", "JPEG"])
@pytest.mark.parametrize("provider", ["openai", "ollama", "gigachat"])
async def test_pictures_reach_models_that_see_upright_and_without_where_they_were_taken(
    scene: Scene, chats: Chats, provider: str, form: str
) -> None:
    task_id = new_id()
    path = scene.stage.put(f"{task_id}/7b0e", photograph(form))
    files = [{"path": path, "name": "Накладная.jpg"}]
    models = {"openai": "seeing", "ollama": "seeing", "gigachat": "GigaChat"}
    task = {"files": files, "provider": provider, "model": models[provider], "prompt": mark(task_id)}
    ended = await scene.run(task, task_id=task_id)
    assert ended.status == "3", ended.value
    if provider == "gigachat":
        (chat,) = scene.calls(task_id)
        *_, upload = scene.stage.gigachat.requests("upload")
        assert PLACE not in upload.body
        assert "Content-Type: image/" in upload.body
        assert json.loads(chat.body)["messages"][-1]["attachments"]
        return
    message = chats.messages(provider, task_id)[-1]
    if provider == "ollama":
        (picture,) = message["images"]
    else:
        address = message["content"][-1]["image_url"]["url"]
        assert address.startswith(("data:image/png;base64,", "data:image/jpeg;base64,"))
        picture = address.partition(",")[2]
    assert_drawn_anew(base64.b64decode(picture))


async def test_pages_of_a_scan_and_a_text_come_in_their_order(scene: Scene, chats: Chats) -> None:
    task_id = new_id()
    pages = [Image.new("RGB", (20, 20), colour) for colour in ("red", "lime")]
    target = io.BytesIO()
    pages[0].save(target, "TIFF", save_all=True, append_images=pages[1:])
    scan = scene.stage.put(f"{task_id}/скан.tiff", target.getvalue())
    words = scene.stage.put(f"{task_id}/опись.txt", mark(task_id).encode())
    task = {"files": [scan, words], "provider": "openai", "model": "seeing", "prompt": "Опишите."}
    ended = await scene.run(task, task_id=task_id)
    assert ended.status == "3", ended.value
    text, *images = chats.messages("openai", task_id)[-1]["content"]
    assert "опись.txt" in text["text"]
    seen = [
        Image.open(io.BytesIO(base64.b64decode(part["image_url"]["url"].partition(",")[2])))
        for part in images
    ]
    assert [image.convert("RGB").getpixel((5, 5)) for image in seen] == [(255, 0, 0), (0, 255, 0)]


@pytest.mark.parametrize(
    ("provider", "model", "code", "says"),
    [
        ("extractive", None, "document_unsupported", "a model that sees pictures"),
        ("ollama", "tiny", "request_unsupported", "sees no pictures"),
    ],
)
async def test_a_picture_for_who_sees_none_is_refused_with_the_reason_and_nobody_is_asked(
    scene: Scene, chats: Chats, provider: str, model: str | None, code: str, says: str
) -> None:
    task_id = new_id()
    path = scene.stage.put(f"{task_id}/Накладная.jpg", photograph("JPEG"))
    task = {"storage_path": path, "provider": provider, "model": model, "prompt": mark(task_id)}
    failed = await scene.fails(task, task_id=task_id)
    assert (failed.code, says in failed.message) == (code, True), failed.message
    assert "Накладная.jpg" in failed.message
    assert chats.of("ollama", task_id) == []


async def test_a_flood_of_pixels_is_refused_and_nobody_is_asked(scene: Scene, chats: Chats) -> None:
    task_id = new_id()
    path = scene.stage.put(f"{task_id}/Потоп.png", png_of(20_000, 20_000))
    task = {"storage_path": path, "provider": "openai", "model": "seeing", "prompt": mark(task_id)}
    failed = await scene.fails(task, task_id=task_id)
    assert failed.code == "document_too_costly"
    assert "Потоп.png" in failed.message
    assert "40000000 pixels" in failed.message
    assert chats.of("openai", task_id) == []
