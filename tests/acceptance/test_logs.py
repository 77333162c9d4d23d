"""What a real worker writes, all of it, while everything goes wrong that can: whose it is, and what is never in it."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import sys
import time
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from tests.acceptance.bad_day import text, until
from tests.acceptance.platform import platform
from tests.acceptance.scene import new_id
from tests.acceptance.stage import Stage
from tests.acceptance.test_bad_days import settings_of
from tests.acceptance.worker import ROOT, Worker, workers
from tests.services.kafka import Kafka
from tests.services.minio import MinioServer
from tests.services.postgres import Postgres
from tests.standins.process import gigachat

pytestmark = pytest.mark.asyncio(loop_scope="module")

TALKATIVE = str(ROOT / "tests" / "fixtures" / "talkative_provider")
KEY = "canary-key-5d1f"
"""Of a provider of a third party."""
PIN = "47-11x"
DOCUMENT = "canary-document-Ivanov-owes-nothing"
PROMPT = "canary-prompt-is-it-signed"
ANSWER = "canary-answer-he-did-not-sign"


def task_bodies(stage: Stage) -> dict[str, dict[str, object]]:
    """By name, tasks that end in each of the ways that may show what must not be seen."""
    path = stage.put(f"{stage.bucket}/{new_id()}/договор.txt", f"Договор. {DOCUMENT} [[refuse]]".encode())
    schema = {"type": "object", "properties": {"sum": {"type": "number"}}, "required": ["sum"]}
    by_talkative = {"provider": "talkative"}
    by_gigachat = {"provider": "gigachat"}
    return {
        "success": {**by_talkative, "text": DOCUMENT},
        "of_a_file": {**by_talkative, "text": None, "storage_path": path},
        "refused": {**by_talkative, "text": f"{DOCUMENT} [[refuse]]"},
        "crashed": {**by_talkative, "text": f"{DOCUMENT} [[crash]]"},
        "thread": {**by_talkative, "text": f"{DOCUMENT} [[thread]]"},
        "orphan": {**by_talkative, "text": f"{DOCUMENT} [[orphan]]"},
        "answered": {**by_gigachat, "text": text(DOCUMENT, answer=ANSWER)},
        "leaked": {**by_gigachat, "text": text(DOCUMENT, status=400, leak=True)},
        "waited": {**by_gigachat, "text": text(DOCUMENT, status=401, leak=True, times=1)},
        "failed": {**by_gigachat, "text": text(DOCUMENT, status=500, leak=True)},
        "cut": {**by_gigachat, "text": text(DOCUMENT, cut=True)},
        "no_json": {**by_gigachat, "text": text(DOCUMENT, answer=ANSWER), "response_format": schema},
        "other_schema": {
            **by_gigachat,
            "text": text(DOCUMENT, answer=json.dumps({"sum": ANSWER})),
            "response_format": schema,
        },
        "no_file": {**by_talkative, "text": DOCUMENT, "storage_path": f"{stage.bucket}/nowhere.pdf"},
        "bad_field": {**by_talkative, "text": [DOCUMENT]},
    }


@dataclass(frozen=True, slots=True)
class Told:
    """Everything that a worker has written, by where."""

    by_place: Mapping[str, str]
    ids: Mapping[str, str]
    """Task ids by the names above."""
    records: list[dict[str, Any]]
    """The lines of system.log."""
    secrets: Mapping[str, str]
    dead_letter_reasons: str


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def told(
    kafka: Kafka, minio: MinioServer, postgres: Postgres, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Told]:
    folder = tmp_path_factory.mktemp("logs")
    with gigachat(folder=folder) as standin:
        stage = Stage.build(kafka, minio, standin, folder, partitions=3)
        database = settings_of(await asyncio.to_thread(postgres.database))
        worker = stage.worker(
            "talker",
            **database,
            LOG_LEVEL="DEBUG",
            LOG_JSON="True",
            LOG_DIR=str(folder / "log"),
            PYTHONPATH=TALKATIVE,
            PYTHONASYNCIODEBUG="1",
            KAFKA_CONSUMER_EXTRA="debug=cgrp,log_level=7",
            TALKATIVE_API_KEY=KEY,
            TALKATIVE_PASSWORD=PIN,
            LLM_MAX_RETRIES="1",
            CIRCUIT_BREAKER_FAILURE_THRESHOLD="50",
        )
        yield await played(stage, worker, database["POSTGRES_PASSWORD"])


async def played(stage: Stage, worker: Worker, database_password: str) -> Told:
    ids: dict[str, str] = {}
    pages: dict[str, str] = {}
    async with platform(stage.kafka.bootstrap, stage.tasks, stage.status, stage.dead_letters) as here:
        with workers(worker):
            await asyncio.to_thread(worker.start)
            for name, body in task_bodies(stage).items():
                ids[name] = new_id()
                headers = {"status": "1", "trace_id": new_id()}
                await here.send({"prompt": PROMPT, **body}, key=ids[name], headers=headers)
            await here.send(f'{{"text": "{DOCUMENT}'.encode(), key=new_id(), headers={"status": "1"})
            await here.ended(*ids.values(), seconds=60)
            for page in ("/metrics", "/status", "/health", "/ready", "/live"):
                pages[page] = str(worker.get(page)[1])
            assert await asyncio.to_thread(worker.terminate) == 0
        system = (stage.folder / "log" / "system.log").read_text("utf-8")
        reasons = [
            f"{name}={value!r}"
            for letter in here.letters
            for name, value in letter.headers
            if name.startswith("dlq_")
        ]
        return Told(
            {
                "terminal": worker.output(),
                "system.log": system,
                "errors.log": (stage.folder / "log" / "errors.log").read_text("utf-8"),
                "statuses": "\n".join(f"{event.value.decode()} {event.headers}" for event in here.events),
                "dead letters": "\n".join(f"{letter.value!r} {letter.headers}" for letter in here.letters),
                **pages,
            },
            ids,
            [json.loads(line) for line in system.splitlines()],
            {
                "GIGACHAT_ACCESS_TOKEN": stage.gigachat.authorization_key,
                "MINIO_SECRET_KEY": stage.minio.secret_key,
                "POSTGRES_PASSWORD": database_password,
                "TALKATIVE_API_KEY": KEY,
                "TALKATIVE_PASSWORD": PIN,
            },
            "\n".join(reasons),
        )


async def test_the_tasks_ended_in_as_many_ways(told: Told) -> None:
    codes = {
        record["task_id"]: record["code"] for record in told.records if record["message"] == "task_settled"
    }
    assert {name: codes[task_id] for name, task_id in told.ids.items()} == {
        "success": "success",
        "of_a_file": "provider_error",
        "refused": "provider_error",
        "crashed": "internal_error",
        "thread": "success",
        "orphan": "success",
        "answered": "success",
        "leaked": "request_rejected",
        "waited": "success",
        "failed": "provider_server_error",
        "cut": "provider_stream_cut",
        "no_json": "answer_not_json",
        "other_schema": "answer_schema_mismatch",
        "no_file": "file_not_found",
        "bad_field": "invalid_field",
    }


async def test_no_secret_is_written_anywhere(told: Told) -> None:
    for place, said in told.by_place.items():
        found = [name for name, secret in told.secrets.items() if len(secret) >= 12 and secret in said]
        assert found == [], place
        assert PIN not in said, f"{place}: a short one that is no word"
        bearers = re.findall(r"(?i)\b(?:bearer|basic) (?!\*\*\*)[\w.=+/-]{8,}", said)
        assert bearers == [], place
    assert told.by_place["terminal"].count("Bearer ***") >= 4, "the provider did log its key"


async def test_no_prompt_and_no_document_is_written_but_where_it_belongs(told: Told) -> None:
    theirs = {"dead letters": (DOCUMENT, PROMPT, ANSWER), "statuses": (ANSWER, DOCUMENT)}
    for place, said in told.by_place.items():
        hidden = {DOCUMENT, PROMPT, ANSWER} - set(theirs.get(place, ()))
        assert [word for word in hidden if word in said] == [], place
    for word in (DOCUMENT, PROMPT):
        assert word not in told.dead_letter_reasons


async def test_each_line_of_a_task_bears_its_ids(told: Told) -> None:
    theirs = [record for record in told.records if record.get("logger") == "talkative.http"]
    told_in_tasks = [record for record in theirs if "slow answer" in record["message"]]
    assert {record["task_id"] for record in told_in_tasks} == {
        told.ids[name] for name in ("success", "of_a_file", "refused", "crashed", "thread", "orphan")
    }
    assert all(record["trace_id"] for record in told_in_tasks)
    from_threads = [record for record in theirs if record["message"] == "from a thread"]
    assert {record["task_id"] for record in from_threads} == {record["task_id"] for record in told_in_tasks}
    warned = [record for record in told.records if record.get("logger") == "py.warnings"]
    assert {record["task_id"] for record in warned if "an old parameter" in record["message"]}
    names = {"task_received", "task_started", "stage_finished", "provider_called", "provider_retried"}
    for record in told.records:
        assert record["message"] not in names or (record["task_id"] and record["trace_id"]), record
    assert {record["message"] for record in told.records} >= names


async def test_what_nobody_caught_is_one_line_each_and_the_service_goes_on(told: Told) -> None:
    uncaught = {record["place"]: record for record in told.records if record["message"] == "uncaught"}
    assert uncaught.keys() == {"loop", "thread"}
    assert uncaught["thread"]["what"] == "the thread talkative-poll ended"
    for record in uncaught.values():
        assert record["level"] == "ERROR"
        assert record["traceback"].endswith("ValueError")
        assert "talkative_llm.py" in record["traceback"]
    (crash,) = [record for record in told.records if record["message"] == "task_crashed"]
    assert crash["task_id"] == told.ids["crashed"]
    assert crash["traceback"]


async def test_terminal_and_files_say_the_same_and_errors_are_apart(told: Told) -> None:
    assert told.by_place["terminal"] == told.by_place["system.log"], "nobody writes past the log"
    assert {"librdkafka", "talkative.http", "py.warnings"} <= {
        record["logger"] for record in told.records if "logger" in record
    }
    severe = [record for record in told.records if record["level"] in {"ERROR", "CRITICAL"}]
    assert [json.loads(line) for line in told.by_place["errors.log"].splitlines()] == severe
    assert severe


# --- where it is written --------------------------------------------------------------------------


@contextmanager
def unread_pipe(path: Path) -> Iterator[int]:
    """A named pipe that somebody holds open and does not read."""
    os.mkfifo(path)
    descriptor = os.open(path, os.O_RDWR | os.O_NONBLOCK)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


async def test_a_terminal_that_nobody_reads_holds_up_no_task_and_no_stop(
    kafka: Kafka, minio: MinioServer, tmp_path: Path
) -> None:
    with gigachat(folder=tmp_path, instant=True) as standin:
        stage = Stage.build(kafka, minio, standin, tmp_path, partitions=3)
        worker = stage.worker("unread", LOG_LEVEL="DEBUG", LOG_DIR=str(tmp_path / "log"))
        with unread_pipe(worker.log), workers(worker):
            await asyncio.to_thread(worker.start)
            async with platform(stage.kafka.bootstrap, stage.tasks, stage.status, stage.dead_letters) as here:
                ids = [new_id() for _ in range(200)]
                headers = {"status": "1", "prompt_id": "1"}
                await asyncio.gather(
                    *(here.send({"text": text(key)}, key=key, headers=headers) for key in ids)
                )
                await here.ended(*ids, seconds=20)
            assert worker.get("/ready")[0] == 200
            began = time.monotonic()
            assert await asyncio.to_thread(worker.terminate) == 0
            assert time.monotonic() - began < 8
        lines = (tmp_path / "log" / "system.log").read_text().splitlines()
        assert sum(map(len, lines)) > 200_000, "three pipes full"
        assert sum(" task_settled " in line for line in lines) == 200
        assert lines[-1].endswith("service_stopped")


async def test_a_folder_that_takes_nothing_is_a_warning_and_a_number(
    kafka: Kafka, minio: MinioServer, tmp_path: Path
) -> None:
    folder = tmp_path / "log"
    folder.mkdir()
    (folder / "system.log").symlink_to("/dev/full")
    with gigachat(folder=tmp_path, instant=True) as standin:
        stage = Stage.build(kafka, minio, standin, tmp_path, partitions=3)
        worker = stage.worker("full", LOG_DIR=str(folder))
        async with platform(stage.kafka.bootstrap, stage.tasks, stage.status, stage.dead_letters) as here:
            with workers(worker):
                await asyncio.to_thread(worker.start)
                task_id = new_id()
                await here.send({"text": "x", "prompt": "y"}, key=task_id, headers={"status": "1"})
                await here.ended(task_id)
                await until(
                    lambda: worker.metric("llm_service_log_lines_dropped_total", sink="files") >= 3,
                    5,
                    "dropped",
                )
                assert worker.metric("llm_service_log_lines_dropped_total", sink="terminal") == 0
                assert await asyncio.to_thread(worker.terminate) == 0
    assert worker.output().count("log_folder_unwritable") == 1
    assert "No space left on device" in worker.output()
    assert "task_settled" in worker.output()


async def test_every_end_leaves_its_last_words(kafka: Kafka, minio: MinioServer, tmp_path: Path) -> None:
    """A start that fails, and a second signal: both leave past the interpreter's own exit."""
    with gigachat(folder=tmp_path) as standin:
        stage = Stage.build(kafka, minio, standin, tmp_path, partitions=3)
        failing = stage.worker("failing", LOG_DIR=str(tmp_path / "a"), MINIO_ENDPOINT="127.0.0.1:1")
        cut = stage.worker("cut", LOG_DIR=str(tmp_path / "b"), WORKER_SHUTDOWN_TIMEOUT_SECONDS="30")
        async with platform(stage.kafka.bootstrap, stage.tasks, stage.status, stage.dead_letters) as here:
            with workers(failing, cut):
                failing.start(wait=False)
                await asyncio.to_thread(cut.start)
                task_id = new_id()
                await here.send(
                    {"text": text(task_id, delay=20.0), "prompt": "y"}, key=task_id, headers={"status": "1"}
                )
                await until(lambda: cut.metric("llm_service_tasks_in_flight") == 1, 10, "a task at work")
                cut.signal(signal.SIGTERM)
                await asyncio.sleep(0.3)
                cut.signal(signal.SIGTERM)
                assert await asyncio.to_thread(cut.wait, 5) == 130
                assert await asyncio.to_thread(failing.wait, 60) == 69
    assert (
        (tmp_path / "b" / "system.log")
        .read_text()
        .splitlines()[-1]
        .endswith("service_interrupted: ending at once")
    )
    assert "service_interrupted" in cut.output()
    assert "Bootstrap failed after 5 attempts: object store" in (tmp_path / "a" / "errors.log").read_text()
    assert failing.output().splitlines()[-1].startswith("Bootstrap failed after 5 attempts: object store")


CRASHES = """
import sys
from pathlib import Path
from llm_service.cli.running import worker
worker.Service = lambda *arguments: 1 / 0
worker.run_worker(Path("none"))
"""


async def test_a_crash_of_the_whole_is_one_line_and_an_exit_code(tmp_path: Path) -> None:
    environment = {"PATH": os.environ["PATH"], "LOG_DIR": str(tmp_path), "LOG_JSON": "True"}
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", CRASHES, cwd=ROOT, env=environment, stderr=asyncio.subprocess.PIPE
    )
    _, said = await asyncio.wait_for(process.communicate(), 30)
    assert process.returncode == 70
    (line,) = (tmp_path / "errors.log").read_text().splitlines()
    crash = json.loads(line)
    assert crash["level"] == "CRITICAL"
    assert crash["message"].startswith("service_crashed")
    assert crash["exception"].endswith("ZeroDivisionError: division by zero")
    assert line in said.decode()
