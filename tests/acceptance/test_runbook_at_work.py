"""The runbook's rows about a worker that runs: each symptom is brought about, and its command names the cause."""

from __future__ import annotations

import asyncio
import shutil
import signal
import time
from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import pytest_asyncio
import urllib3
from aiokafka import AIOKafkaConsumer
from minio import MinioAdmin
from minio.credentials.providers import StaticProvider

from tests.acceptance.bad_day import becomes_ready, becomes_unready, send, send_many, started, until
from tests.acceptance.platform import platform
from tests.acceptance.runbook.page import ENGLISH, Row, not_shown, rows
from tests.acceptance.runbook.shell import has_curl, run, shows
from tests.acceptance.scene import Scene, new_id, playing
from tests.acceptance.stage import Stage
from tests.acceptance.worker import Worker, workers
from tests.services.commands import install_debian
from tests.services.kafka import Kafka
from tests.services.minio import MinioServer
from tests.services.postgres import Postgres
from tests.standins.process import GigaChatProcess, gigachat
from tests.unit.files import documents

pytestmark = pytest.mark.asyncio(loop_scope="module")

ROWS = rows(ENGLISH)


@pytest.fixture(scope="module")
def standin(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GigaChatProcess]:
    with gigachat(folder=tmp_path_factory.mktemp("standin")) as running:
        running.set(tokens_a_second=1000)
        yield running


@pytest.fixture(scope="module")
def stage(
    kafka: Kafka, minio: MinioServer, standin: GigaChatProcess, tmp_path_factory: pytest.TempPathFactory
) -> Stage:
    has_curl()
    return Stage.build(kafka, minio, standin, tmp_path_factory.mktemp("stage"))


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def scene(stage: Stage) -> AsyncIterator[Scene]:
    """One worker of two slots; every test leaves it and its provider well."""
    settings = {
        "WORKER_MAX_CONCURRENT_TASKS": "2",
        "CONVERSION_MEMORY_MB": "256",
        "LOG_DIR": str(stage.folder / "logs"),
    }
    async with playing(stage, **settings) as scene:
        yield scene


async def shown(row: Row, worker: Worker, **more: str) -> None:
    """The row's command, run where the worker's settings are in force, shows what the page says, within some seconds."""
    environment = {**worker.environment, **more}
    await asyncio.to_thread(shows_soon, row, environment, worker.log.parent)


def shows_soon(row: Row, environment: Mapping[str, str], folder: Path) -> None:
    """The last try says what is missing."""
    deadline = time.monotonic() + 10
    while not_shown(row.seen, run(row.command, environment, folder)) and time.monotonic() < deadline:
        time.sleep(0.2)
    shows(row, environment, folder)


def said(row: Row, worker: Worker) -> None:
    """The worker's log has the row's lines."""
    assert row.log
    assert not_shown(row.log, worker.output()) == [], worker.output()[-3000:]


# --- tasks that fail ------------------------------------------------------------------------------


async def test_a_file_that_is_missing(scene: Scene) -> None:
    task_id = new_id()
    failed = await scene.fails({"storage_path": "договоры/нет такого.pdf"}, task_id=task_id)
    assert failed.code == "file_not_found"
    await shown(ROWS["file-missing"], scene.worker, ID=task_id)
    await shown(ROWS["failed-often"], scene.worker)


async def test_a_document_that_needs_too_much_memory(scene: Scene) -> None:
    """The limit of the process that reads it is met, not the worker's."""
    bomb = documents.pdf(documents.zeros(400_000_000, times=2), filters=b"/Filter[/FlateDecode/FlateDecode]")
    path = scene.stage.put(f"{new_id()}/Смета.pdf", bomb)
    task_id = new_id()
    await scene.fails({"storage_path": path, "provider": "extractive"}, task_id=task_id)
    await shown(ROWS["memory"], scene.worker, ID=task_id)
    assert (await scene.run({"text": "Договор № 17."})).status == "3", "the worker lives"


async def test_dead_letters(scene: Scene) -> None:
    task_id = new_id()
    await scene.fails({"text": 17}, task_id=task_id)
    await scene.letter(task_id)
    await shown(ROWS["dead-letters"], scene.worker)


async def test_tasks_that_wait_on_the_retry_topic(
    kafka: Kafka, minio: MinioServer, standin: GigaChatProcess, tmp_path: Path
) -> None:
    settings = {
        "KAFKA_RETRY_TOPIC": kafka.unique("retry"),
        "KAFKA_RETRY_DELAY_SECONDS": "1",
        "LLM_MAX_RETRIES": "0",
        "LOG_DIR": str(tmp_path / "logs"),
    }
    async with playing(Stage.build(kafka, minio, standin, tmp_path), **settings) as scene:
        task_id = await send(scene.here, status=500, times=1)
        (event,) = await scene.here.ended(task_id)
        assert (event.status, event.header("attempt")) == ("3", "2")
        await shown(ROWS["retry-topic"], scene.worker)


async def test_a_result_too_large_for_a_message(scene: Scene) -> None:
    task_id = new_id()
    ended = await scene.run({"text": "Договор. [[standin:big=1200000]]"}, task_id=task_id)
    assert ended.status == "3"
    await shown(ROWS["result-ref"], scene.worker, ID=task_id)


async def test_a_task_sent_twice(scene: Scene) -> None:
    task_id = new_id()
    first = await scene.run({"text": "Договор № 17."}, task_id=task_id)
    await scene.here.send({"text": "Договор № 17."}, key=task_id, headers={"status": "1", "prompt_id": "1"})
    await scene.here.until(lambda: len(scene.here.terminal(task_id)) == 2, what="the second SUCCESS")
    assert [event.value for event in scene.here.terminal(task_id)] == [first.value] * 2
    await shown(ROWS["duplicates"], scene.worker)


async def test_what_became_of_a_task(scene: Scene) -> None:
    task_id = new_id()
    await scene.run({"text": "Договор № 17."}, task_id=task_id)
    await shown(ROWS["task-fate"], scene.worker, ID=task_id)


async def test_a_new_group_on_topics_that_are_in_use(scene: Scene) -> None:
    """A group of its own: that of the worker is at work."""
    row, group = ROWS["first-start"], scene.stage.kafka.unique("new")
    await scene.run({"text": "Договор № 17."})
    await shown(row, scene.worker, KAFKA_GROUP_ID=group)
    environment = {**scene.worker.environment, "KAFKA_GROUP_ID": group}
    cured = await asyncio.to_thread(run, row.cure, environment, scene.worker.log.parent)
    assert f"Written: the group {group} begins there and runs" in cured


async def test_no_right_to_a_bucket(scene: Scene, minio: MinioServer) -> None:
    user, secret, bucket = scene.stage.kafka.unique("user"), "secret-of-the-user", scene.stage.bucket
    await asyncio.to_thread(let_list_only, minio, user, secret, bucket)
    await shown(ROWS["bucket-rights"], scene.worker, MINIO_ACCESS_KEY=user, MINIO_SECRET_KEY=secret)


def let_list_only(minio: MinioServer, user: str, secret: str, bucket: str) -> None:
    """A user that sees what there is and may neither read nor write it."""
    statement = {"Effect": "Allow", "Action": ["s3:ListBucket"], "Resource": [f"arn:aws:s3:::{bucket}"]}
    keys = StaticProvider(minio.access_key, minio.secret_key)
    with urllib3.PoolManager() as pool:
        admin = MinioAdmin(endpoint=minio.endpoint, credentials=keys, secure=minio.secure, http_client=pool)
        admin.user_add(user, secret)
        admin.policy_add(user, policy={"Version": "2012-10-17", "Statement": [statement]})
        admin.attach_policy([user], user=user)


# --- the provider ---------------------------------------------------------------------------------


async def test_the_breaker_is_open(scene: Scene, standin: GigaChatProcess) -> None:
    standin.tell(status=503)
    standin.tell(kind="models", status=503)
    tasks = await send_many(scene.here, 4)
    await shown(ROWS["breaker"], scene.worker)
    said(ROWS["breaker"], scene.worker)
    await heals(scene, standin, *tasks)


async def test_a_key_that_is_withdrawn(scene: Scene, standin: GigaChatProcess) -> None:
    standin.tell(kind="oauth", status=401)
    standin.set(tokens_alive=False)
    task = await send(scene.here)
    await becomes_unready(scene.worker, "gigachat")
    await shown(ROWS["not-ready"], scene.worker)
    await shown(ROWS["gigachat-401"], scene.worker)
    said(ROWS["gigachat-401"], scene.worker)
    await heals(scene, standin, task)
    await becomes_ready(scene.worker)


async def test_tokens_that_are_used_up(scene: Scene, standin: GigaChatProcess) -> None:
    standin.tell(status=402)
    standin.set(balance=[0])
    task = await send(scene.here)
    await shown(ROWS["gigachat-402"], scene.worker)
    await heals(scene, standin, task)


async def test_a_vendor_that_asks_to_come_later(scene: Scene, standin: GigaChatProcess) -> None:
    standin.tell(status=429, times=2)
    task = await send(scene.here)
    await shown(ROWS["gigachat-429"], scene.worker)
    await heals(scene, standin, task)


async def heals(scene: Scene, standin: GigaChatProcess, *tasks: str) -> None:
    """Nobody has failed while it lasted, and all succeed after it."""
    assert not [event for task in tasks for event in scene.here.terminal(task) if event.status == "4"]
    standin.forget()
    standin.set(balance=None)
    assert {event.status for event in await scene.here.ended(*tasks)} == {"3"}
    await until(lambda: is_up_again(scene.worker), 15, "the connection is up again")


def is_up_again(worker: Worker) -> bool:
    """The log's last word of the provider's connection: one that stays down has no line for its next reason."""
    lines = [line for line in worker.output().splitlines() if "component=gigachat" in line]
    said_of_it = [line for line in lines if " connection_" in line]
    return not said_of_it or " connection_up " in said_of_it[-1]


async def test_a_certificate_that_ends_soon(scene: Scene) -> None:
    """The stand-in's lives for two days."""
    await shown(ROWS["certificate-ends"], scene.worker)


# --- reading --------------------------------------------------------------------------------------


async def test_the_lag_grows(scene: Scene) -> None:
    tasks = await send_many(scene.here, 6, delay=2)
    await until(lambda: scene.worker.metric("llm_service_occupancy_ratio") == 1, 10, "all slots work")
    await shown(ROWS["lag"], scene.worker)
    await scene.here.ended(*tasks)


async def test_nobody_reads(scene: Scene, kafka: Kafka) -> None:
    await scene.run({"text": "Договор № 17."})
    await shown(ROWS["nobody-reads"], scene.worker, KAFKA_GROUP_ID=kafka.unique("nobody"))


async def test_the_group_is_another_applications(scene: Scene, kafka: Kafka) -> None:
    topic, group = await asyncio.to_thread(kafka.topic, "other", 1), kafka.unique("foreign")
    other = AIOKafkaConsumer(topic, bootstrap_servers=kafka.bootstrap, group_id=group)
    await other.start()
    try:
        await shown(ROWS["foreign-group"], scene.worker, KAFKA_GROUP_ID=group)
    finally:
        await other.stop()


async def test_another_group_protocol(scene: Scene) -> None:
    newcomer = scene.stage.worker("newcomer", KAFKA_ASSIGNMENT_STRATEGY="range")
    with workers(newcomer):
        newcomer.start(wait=False)
        await becomes_unready(newcomer, "INCONSISTENT_GROUP_PROTOCOL")
        await shown(ROWS["group-protocol"], newcomer)
    assert (await scene.run({"text": "Договор № 17."})).status == "3", "whoever is in the group goes on"


# --- ends -----------------------------------------------------------------------------------------


async def test_two_workers_with_one_instance_id(stage: Stage, kafka: Kafka) -> None:
    own = replace(stage, group=kafka.unique("static"))
    static = {"KAFKA_GROUP_INSTANCE_ID": "one"}
    first = own.worker("first", LOG_DIR=str(stage.folder / "first"), **static)
    second = own.worker("second", **static)
    with workers(first, second):
        await started(first)
        await until(lambda: first.get("/status")[1]["partitions"] == 12, 20, "all partitions for the first")
        second.start(wait=False)
        assert await asyncio.to_thread(first.wait, 30) == 70
        await shown(ROWS["exit-70"], first)


async def test_a_worker_that_is_killed_and_one_that_is_stopped(stage: Stage, kafka: Kafka) -> None:
    """What it had in flight is done when it is back; a stop leaves nothing undone."""
    own = replace(stage, tasks=kafka.topic("tasks"), group=kafka.unique("killed"))
    worker = own.worker("killed")
    async with platform(kafka.bootstrap, own.tasks, own.status, own.dead_letters) as here:
        with workers(worker):
            await started(worker)
            tasks = await send_many(here, 3, delay=2)
            await here.until(lambda: all(here.of(task) for task in tasks), what="PROCESSING")
            worker.kill()
            await shown(ROWS["killed"], worker)
            await started(worker)
            assert {event.status for event in await here.ended(*tasks)} == {"3"}
            last = await send(here, delay=1)
            await here.until(lambda: bool(here.of(last)), what="PROCESSING")
            assert await asyncio.to_thread(worker.terminate) == 0
            assert here.terminal(last)[0].status == "3", "what runs is ended first"
    said(ROWS["stopped"], worker)
    await shown(ROWS["stopped"], worker)


async def test_what_is_kept(stage: Stage, postgres: Postgres, tmp_path: Path) -> None:
    if shutil.which("pg_dump") is None:
        await asyncio.to_thread(install_debian, "postgresql-client")
    dsn = urlsplit(postgres.database())
    worker = stage.worker(
        "kept",
        LOG_DIR=str(tmp_path),
        POSTGRES_ENABLED="True",
        POSTGRES_HOST=dsn.hostname or "",
        POSTGRES_PORT=str(dsn.port),
        POSTGRES_DATABASE=dsn.path.lstrip("/"),
        POSTGRES_USER=dsn.username or "",
        POSTGRES_PASSWORD=dsn.password or "",
    )
    worker.log = tmp_path / "kept.txt"
    (tmp_path / ".env").write_text("HTTP_PORT=1\n")
    with workers(worker):
        await started(worker)
        await asyncio.to_thread(worker.terminate)
    await asyncio.to_thread(all_is_kept, ROWS["backup"], worker.environment, tmp_path)


def all_is_kept(row: Row, environment: Mapping[str, str], folder: Path) -> None:
    assert run(row.command, environment, folder) == ""
    today = time.strftime("%Y%m%d")
    assert (folder / f".env.backup.{today}").read_text() == "HTTP_PORT=1\n"
    assert "service_stopped" in (folder / f"system.{today}.log").read_text()
    kept = (folder / "ledger.sql").read_text()
    for table in ("operation_logs", "task_outcomes", "status_fold_positions", "ledger_migrations"):
        assert f"CREATE TABLE public.{table}" in kept, table


async def test_a_worker_that_hangs(scene: Scene) -> None:
    scene.worker.signal(signal.SIGSTOP)
    try:
        await shown(ROWS["not-live"], scene.worker)
    finally:
        scene.worker.signal(signal.SIGCONT)
    assert (await scene.run({"text": "Договор № 17."})).status == "3"
