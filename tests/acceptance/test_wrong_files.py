"""Files that are not there, not whole, not allowed or not what they say; on MinIO, and on a store that misbehaves."""

from __future__ import annotations

import asyncio
import json
import re
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace

import pytest
import pytest_asyncio

from tests.acceptance.scene import Failed, Scene, mark, new_id, playing
from tests.acceptance.stage import Stage
from tests.services.kafka import Kafka
from tests.services.minio import MinioServer
from tests.standins.process import GigaChatProcess, gigachat
from tests.standins.s3 import S3, Fault, serving
from tests.unit.files.documents import PNG, docx, docx_bomb, encrypted_pdf, epub, open_document, pdf, rtf

pytestmark = pytest.mark.asyncio(loop_scope="module")

MAX_BYTES = 200_000


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
async def scene(stage: Stage, minio: MinioServer) -> AsyncIterator[Scene]:
    settings = {
        "FILE_MAX_BYTES": str(MAX_BYTES),
        "FILE_MAX_RETRIES": "2",
        "MINIO_ALLOWED_BUCKETS": minio.bucket("open-to-all"),
        "FILE_TEMP_FOLDER": str(stage.folder),
    }
    async with playing(stage, **settings) as scene:
        yield scene
    assert not list(stage.folder.glob("*/*")), "no file of a task is left"


@pytest.fixture(scope="module")
def s3() -> Iterator[S3]:
    with serving() as server:
        yield server


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def rough(stage: Stage, kafka: Kafka, s3: S3) -> AsyncIterator[Scene]:
    """A worker whose object store misbehaves by instruction."""
    own = replace(stage, tasks=kafka.topic("tasks"), group=kafka.unique("rough"))
    settings = {
        "MINIO_ENDPOINT": s3.endpoint,
        "MINIO_BUCKET_NAME": s3.bucket,
        "MINIO_READ_TIMEOUT_SECONDS": "0.5",
        "FILE_MAX_RETRIES": "2",
        "EXECUTOR_MAX_WORKERS": "10",
    }
    async with playing(own, "rough", **settings) as scene:
        yield scene


async def refused(scene: Scene, path: str, **more: object) -> Failed:
    """What became of a task with that path; its dead letter says the same."""
    task_id = new_id()
    failed = await scene.fails({"storage_path": path, **more}, task_id=task_id)
    letter = await scene.letter(task_id)
    assert letter.header("dlq_reason") == failed.code
    assert failed.event.body["error"]["message"] == failed.message
    return failed


# --- where it is ----------------------------------------------------------------------------------


async def test_an_object_that_is_missing_is_named(scene: Scene) -> None:
    failed = await refused(scene, "договоры/нет такого.pdf")
    assert failed.code == "file_not_found"
    assert "договоры/нет такого.pdf" in failed.message


async def test_the_bucket_in_front_of_the_key_is_understood_in_both_ways(scene: Scene) -> None:
    bucket = scene.stage.bucket
    whole, bare = new_id(), new_id()
    scene.stage.put(f"{bucket}/{whole}/письмо.txt", mark(whole).encode())
    scene.stage.put(f"{bare}.txt", mark(bare).encode())
    for task_id, path in ((whole, f"/{bucket}/{whole}/письмо.txt"), (bare, f"{bucket}/{bare}.txt")):
        assert (await scene.run({"storage_path": path}, task_id=task_id)).status == "3"
        assert len(scene.calls(task_id)) == 1


@pytest.mark.parametrize("path", ["s3://other/key.pdf", "s3://other", "s3:///key.pdf"])
async def test_a_bucket_that_is_not_allowed_is_refused_by_its_name(scene: Scene, path: str) -> None:
    failed = await refused(scene, path)
    assert failed.code == "bucket_not_allowed"
    assert "MINIO_ALLOWED_BUCKETS" in failed.message


async def test_a_bucket_that_is_allowed_can_be_named(scene: Scene) -> None:
    assert (await refused(scene, "s3://open-to-all/nothing")).code == "file_not_found"


CLIMBING = [
    "../secret",
    "a/../../b",
    "s3://open-to-all/../x",
    "//host/x",
    "C:/x",
    "a\\..\\b",
    "a\x00b",
    "․․/etc/passwd",
    "a/",
]


async def test_a_path_that_climbs_is_refused_before_any_request(rough: Scene, s3: S3) -> None:
    before = len(s3.requests)
    failures = await asyncio.gather(*(refused(rough, path) for path in CLIMBING if "open-to" not in path))
    assert {failed.code for failed in failures} == {"file_path_refused"}
    asked = [request for request in s3.requests[before:] if not request.endswith(f"/{s3.bucket}")]
    assert asked == [], "the store was never asked, but for whether it is there"


async def test_a_path_that_climbs_out_of_an_allowed_bucket_is_refused(scene: Scene) -> None:
    assert (await refused(scene, "s3://open-to-all/../x")).code == "file_path_refused"


# --- how large it is ------------------------------------------------------------------------------


async def test_an_object_of_no_bytes_is_refused(scene: Scene) -> None:
    failed = await refused(scene, scene.stage.put("пусто.txt", b""))
    assert (failed.code, "0 bytes" in failed.message) == ("file_empty", True)


async def test_an_object_larger_than_the_limit_is_refused_with_both_sizes(scene: Scene) -> None:
    failed = await refused(scene, scene.stage.put("большой.txt", b"x" * (MAX_BYTES + 1)))
    assert failed.code == "file_too_large"
    assert str(MAX_BYTES + 1) in failed.message
    assert str(MAX_BYTES) in failed.message


async def test_what_the_producer_says_of_the_size_decides_nothing(scene: Scene) -> None:
    path = scene.stage.put("размер.txt", "Договор № 17.".encode())
    for said in (0, 1, 10**12):
        assert (await scene.run({"storage_path": path, "storage_size": said})).status == "3"


# --- whether it comes whole -----------------------------------------------------------------------

WHOLE = "Договор № 17 от 12.05.2026. ".encode() * 2_000


@pytest.mark.parametrize(
    ("fault", "code"),
    [
        (Fault.SHORTER_THAN_SAID, "file_incomplete"),
        (Fault.LONGER_THAN_SAID, "file_incomplete"),
        (Fault.CUT_AT_HALF, "file_incomplete"),
        (Fault.ENDLESS, "file_incomplete"),
        (Fault.DENIED, "file_access_denied"),
    ],
)
async def test_a_file_that_never_comes_whole_fails_with_the_reason(
    rough: Scene, s3: S3, fault: Fault, code: str
) -> None:
    key = f"{new_id()}.txt"
    s3.put(key, WHOLE, fault)
    failed = await refused(rough, key)
    assert failed.code == code
    assert key in failed.message
    asked = [request for request in s3.requests if request == f"HEAD /{s3.bucket}/{key}"]
    assert len(asked) == (3 if code == "file_incomplete" else 1), "tried again where that can help"


def heal(s3: S3, key: str) -> None:
    """Take the fault away once it was met; in a thread, beside the server's."""
    for _ in range(5_000):
        time.sleep(0.001)
        if any(key in request for request in s3.requests):
            break
    if s3.faults[key] is Fault.CUT_AT_HALF:
        time.sleep(0.05)  # its fault is in the second request, a moment after
    del s3.faults[key]


@pytest.mark.parametrize("fault", [Fault.CUT_AT_HALF, Fault.SILENT, Fault.UNAVAILABLE, Fault.SLOW_DOWN])
async def test_a_file_that_comes_whole_in_the_end_is_a_success(rough: Scene, s3: S3, fault: Fault) -> None:
    task_id = new_id()
    key = f"{task_id}.txt"
    s3.put(key, mark(task_id).encode() + WHOLE, fault)

    healing = asyncio.create_task(asyncio.to_thread(heal, s3, key))
    ended = await rough.run({"storage_path": key}, task_id=task_id)
    await healing
    assert ended.status == "3", ended.value
    assert len(rough.calls(task_id)) == 1


async def test_a_second_file_that_never_comes_whole_does_not_hide_behind_the_first(
    rough: Scene, s3: S3
) -> None:
    s3.put("первый.txt", WHOLE)
    s3.put("второй.txt", WHOLE, Fault.CUT_AT_HALF)
    failed = await rough.fails({"files": ["первый.txt", "второй.txt"]})
    assert failed.code == "file_incomplete"
    assert "второй.txt" in failed.message


async def test_a_store_that_is_silent_fails_nobody_before_his_deadline_and_blocks_no_other(
    rough: Scene, s3: S3
) -> None:
    silent = new_id()
    s3.put(f"{silent}.txt", WHOLE, Fault.SILENT)
    await rough.here.send({"storage_path": f"{silent}.txt"}, key=silent, headers={"prompt_id": "1"})
    await rough.here.until(lambda: bool(rough.here.of(silent)), 10, "PROCESSING")
    s3.put("рядом.txt", WHOLE)
    assert (await rough.run({"storage_path": "рядом.txt"})).status == "3"
    await asyncio.sleep(2.0)  # three of its timeouts
    assert rough.here.terminal(silent) == []
    del s3.faults[f"{silent}.txt"]
    (ended,) = await rough.here.ended(silent)
    assert ended.status == "3"


# --- what it is -----------------------------------------------------------------------------------

DOCUMENTS = [
    ("Секрет.pdf", encrypted_pdf(b"Secret", "пароль"), "document_unreadable", "encrypted"),
    ("Сломан.docx", docx("Договор")[:-60], "document_unreadable", "broken"),
    ("Пуст.docx", b"PK\x03\x04" + b"\x00" * 200, "document_unreadable", "DOCX"),
    ("Снимок.pdf", PNG, "document_unreadable", "a picture (image/png)"),
    ("Письмо.docx", pdf(b"Letter")[:40], "document_unreadable", ""),
    ("Сломан.pdf", b"%PDF-1.7\n" + bytes(range(256)) * 4, "document_unreadable", ""),
    ("Программа.exe", b"MZ" + b"\x00" * 300, "document_unsupported", "txt"),
    ("Неизвестно.xyz", bytes(range(256)) * 4, "document_unsupported", "binary data"),
    ("Фильм.avi", b"RIFF\x10\x00\x00\x00AVI LIST", "document_unsupported", "a film (video/x-msvideo)"),
    ("Бомба.docx", docx_bomb(60_000_000), "document_too_costly", ""),
]


@pytest.mark.parametrize(("name", "content", "code", "says"), DOCUMENTS, ids=[case[0] for case in DOCUMENTS])
async def test_a_document_that_can_not_become_text_is_named_with_the_reason(
    scene: Scene, name: str, content: bytes, code: str, says: str
) -> None:
    path = scene.stage.put(f"{scene.stage.bucket}/{new_id()}/7b0e", content)
    failed = await refused(scene, path, provider="extractive", metadata={"filename": name})
    assert failed.code == code, failed.message
    assert name in failed.message
    assert says in failed.message
    assert len(failed.message) < 400


async def test_documents_that_are_well_become_text_whatever_came_before(scene: Scene) -> None:
    for name, content in (
        ("Договор.docx", docx("Договор № 17")),
        ("Contract.pdf", pdf(b"Contract No 17")),
        ("Договор.rtf", rtf("Договор 17")),
        ("Договор.odt", open_document("text", "<text:p>Договор № 17</text:p>")),
        ("Книга.epub", epub({"1.xhtml": "<html><body><p>Договор № 17</p>"})),
        ("Старое.txt", "Договор № 17 от 1 мая".encode("cp866", "replace")),
    ):
        path = scene.stage.put(f"{new_id()}/{name}", content)
        ended = await scene.run({"storage_path": path, "provider": "extractive"})
        assert ended.status == "3"
        assert "17" in json.loads(ended.body["result"])["raw_response"]


async def test_several_documents_come_to_the_model_in_their_order_and_by_their_names(scene: Scene) -> None:
    """Of kinds that the provider takes in no file, and one that turns its name around for the eye."""
    task_id = new_id()
    there = {
        "Договор.rtf": rtf("первый"),
        "Таблица.csv": "второй;2".encode("koi8-r"),
        "Письмо\u202efdp.odt": open_document("text", f"<text:p>{mark(task_id)} третий</text:p>"),
    }
    put = [(scene.stage.put(f"{new_id()}/7b0e", content), name) for name, content in there.items()]
    files = [{"path": path, "name": name} for path, name in put]
    ended = await scene.run({"files": files, "system_prompt": "Ты — юрист."}, task_id=task_id)
    assert ended.status == "3", ended.value
    (call,) = scene.calls(task_id)
    system, user = json.loads(call.body)["messages"]
    assert system == {"role": "system", "content": "Ты — юрист."}
    said = re.findall(
        r'(?m)^<<< document (\w+) ("[^"]+").*>>>\n(.*)\n<<< end of document \1 >>>$', user["content"]
    )
    assert [(json.loads(name), text.split()[-1]) for _, name, text in said] == [
        ("Договор.rtf", "первый"),
        ("Таблица.csv", "второй;2"),
        ("Письмо[hidden U+202E]fdp.odt", "третий"),
    ]


async def test_of_several_documents_the_one_that_is_wrong_is_named(scene: Scene) -> None:
    good = scene.stage.put(f"{new_id()}/Хороший.docx", docx("Договор"))
    bad = scene.stage.put(f"{new_id()}/Плохой.pdf", PNG)
    failed = await scene.fails({"files": [good, bad], "provider": "extractive"})
    assert failed.code == "document_unreadable"
    assert "Плохой.pdf" in failed.message
    assert "Хороший" not in failed.message
