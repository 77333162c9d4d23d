"""``submit --watch`` and ``watch`` with a real worker between them: from a file on this machine to its answer on it."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from llm_service.samples import SAMPLES
from tests.acceptance.stage import Stage
from tests.acceptance.worker import workers
from tests.integration.cli_process import Done, run_command, running
from tests.services.kafka import Kafka
from tests.services.minio import MinioServer
from tests.standins.process import GigaChatProcess, gigachat

ENVELOPE, MINUTES = SAMPLES[1].path, SAMPLES[4].path
EXTRACTIVE = {"LLM_PROVIDER": "extractive", "LLM_DEFAULT_PROMPT_ID": "3"}


@pytest.fixture(scope="module")
def standin(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GigaChatProcess]:
    with gigachat(folder=tmp_path_factory.mktemp("standin")) as process:
        yield process


@pytest.fixture(scope="module")
def stage(
    kafka: Kafka, minio: MinioServer, standin: GigaChatProcess, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Stage]:
    """With a worker at work on it."""
    built = Stage.build(kafka, minio, standin, tmp_path_factory.mktemp("stage"), partitions=3)
    worker = built.worker(**EXTRACTIVE)
    with workers(worker):
        worker.start()
        yield built
        assert worker.terminate() == 0


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """With the samples in it, under names of their own."""
    shutil.copy(ENVELOPE, tmp_path / "Конверт.txt")
    shutil.copy(MINUTES, tmp_path / "minutes.txt")
    (tmp_path / "broken.docx").write_bytes(b"PK\x03\x04 and no more")
    return tmp_path


def _command(stage: Stage, folder: Path, *arguments: str, stdin: bytes = b"") -> Done:
    return run_command(folder, *arguments, env=stage.environment(**EXTRACTIVE), stdin=stdin)


def _lines(out: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in out.splitlines()]


def test_a_file_is_sent_and_its_answer_comes_back(stage: Stage, folder: Path) -> None:
    done = _command(stage, folder, "submit", "Конверт.txt", "--watch")
    assert (done.code, done.err) == (0, "")
    pending, processing, success = _lines(done.out)
    assert [line["name"] for line in (pending, processing, success)] == ["PENDING", "PROCESSING", "SUCCESS"]
    assert len({line["task_id"] for line in (pending, processing, success)}) == 1
    assert len({line["trace_id"] for line in (pending, processing, success)}) == 1
    result = json.loads(success["body"]["result"])
    assert (result["Отправитель"], result["Статус"]) == ("ООО «Северный маяк»", "Успешно")
    assert success["worker_id"] == "LLM_worker"
    again = _command(stage, folder, "watch", success["task_id"])
    assert (again.code, _lines(again.out)) == (0, [processing, success])


def test_no_status_of_many_quick_tasks_is_missed(stage: Stage, folder: Path) -> None:
    names = [f"{number}.txt" for number in range(30)]
    for name in names:
        (folder / name).write_text(f"Договор {name}. Сумма 5 000 руб.")
    done = _command(stage, folder, "submit", *names, "--prompt-id", "1", "--watch", "--json")
    assert done.code == 0
    statuses: dict[str, list[int]] = {}
    for line in _lines(done.out):
        statuses.setdefault(line["task_id"], []).append(line["status"])
    assert list(statuses.values()) == [[1, 2, 3]] * len(names)


def test_what_was_asked_for_is_what_is_answered(stage: Stage, folder: Path) -> None:
    schema = {
        "type": "object",
        "properties": {"Номер отправления": {"type": "string"}},
        "required": ["Номер отправления"],
    }
    (folder / "schema.json").write_text(json.dumps(schema))
    ask = ("--prompt", "Which number?", "--schema", "schema.json", "--param", "temperature=0")
    done = _command(stage, folder, "submit", "Конверт.txt", "minutes.txt", "--one-task", *ask, "--watch")
    assert done.code == 0
    sent, *_, success = _lines(done.out)
    assert [file["name"] for file in sent["files"]] == ["Конверт.txt", "minutes.txt"]
    assert json.loads(success["body"]["result"]) == {"Номер отправления": "80099912345674"}


def test_one_that_fails_fails_it_and_the_other_is_answered(stage: Stage, folder: Path) -> None:
    done = _command(stage, folder, "submit", "broken.docx", "Конверт.txt", "--watch")
    assert done.code == 1
    ends = {line["task_id"]: line for line in _lines(done.out) if line["status"] > 2}
    broken, envelope = (line["task_id"] for line in _lines(done.out) if line["status"] == 1)
    assert ends[broken]["body"]["error"]["code"] == "document_unreadable"
    assert ends[envelope]["name"] == "SUCCESS"


def test_a_terminal_shows_each_file_by_its_name_and_then_the_answers(stage: Stage, folder: Path) -> None:
    words = ("submit", "Конверт.txt", "broken.docx", "--watch")
    with running(folder, *words, env=stage.environment(**EXTRACTIVE), terminal=(110, 40)) as submit:
        done = submit.wait(40)
    shown = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", done.out)
    ids = re.findall(r"^([0-9a-f-]{36})\r$", shown, re.MULTILINE)
    assert done.code == 1
    assert len(ids) == 2
    assert f"╭─ Конверт.txt · {ids[0]} ─" in shown
    assert f"╭─ broken.docx · {ids[1]} ─" in shown
    assert re.search(r"│ Отправитель +ООО «Северный маяк» +│", shown)
    assert "(document_unreadable)" in shown
    assert done.out.rindex("\x1b[?25h") > done.out.rindex("\x1b[?25l")


def test_a_text_on_stdin_is_answered(stage: Stage, folder: Path) -> None:
    text = "Оплатить 15 000 руб. до 1 декабря 2026 года.".encode()
    done = _command(stage, folder, "submit", "--text", "-", "--prompt-id", "1", "--watch", stdin=text)
    assert done.code == 0
    assert "15 000 руб." in json.loads(_lines(done.out)[-1]["body"]["result"])["raw_response"]


def test_where_nobody_works_it_waits_no_longer_than_it_is_told(
    kafka: Kafka, stage: Stage, folder: Path
) -> None:
    idle = replace(stage, tasks=kafka.topic("tasks", 1), status=kafka.topic("status", 1))
    done = _command(idle, folder, "submit", "minutes.txt", "--watch", "--timeout", "1")
    assert done.code == 1
    (sent,) = _lines(done.out)
    assert done.err == f"no end within 1 s of {sent['task_id']}\n"


def test_tasks_and_statuses_on_one_topic(
    kafka: Kafka, minio: MinioServer, standin: GigaChatProcess, folder: Path, tmp_path: Path
) -> None:
    shared = Stage.build(kafka, minio, standin, tmp_path, partitions=1, shared=True)
    worker = shared.worker(**EXTRACTIVE)
    with workers(worker):
        worker.start()
        done = _command(shared, folder, "submit", "minutes.txt", "--prompt-id", "1", "--watch")
        assert done.code == 0
        sent, *seen = _lines(done.out)
        assert [line["status"] for line in seen] == [1, 2, 3]
        assert {line["task_id"] for line in seen} == {sent["task_id"]}
        assert _command(shared, folder, "watch", sent["task_id"]).code == 0
        assert worker.terminate() == 0
