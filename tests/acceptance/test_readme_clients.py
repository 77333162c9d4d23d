"""The README's producers and readers of statuses, each run as it stands there, against a real worker on real Kafka."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from aiokafka.partitioner import murmur2
from confluent_kafka import Consumer, TopicPartition

from llm_service.contract.envelope import Envelope
from llm_service.contract.task import Task, TaskFile
from tests.acceptance.platform import Platform
from tests.acceptance.readme.blocks import ROOT, blocks_of
from tests.acceptance.readme.clients import TOOLS, Client, Workplace
from tests.acceptance.scene import PARTITIONS, Scene, new_id, playing
from tests.acceptance.stage import Stage
from tests.services.cache import Cache
from tests.services.kafka import Kafka
from tests.services.minio import MinioServer
from tests.services.wishes import Wishes
from tests.standins.process import GigaChatProcess, gigachat

# With an empty cache it fetches a toolchain, a client and a compiler's output: 60 s where most of that is to be had.
pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(600)]


@pytest.fixture(scope="module")
def standin(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GigaChatProcess]:
    with gigachat(folder=tmp_path_factory.mktemp("standin")) as running:
        yield running


@pytest.fixture(scope="module")
def stage(
    kafka: Kafka, minio: MinioServer, standin: GigaChatProcess, tmp_path_factory: pytest.TempPathFactory
) -> Stage:
    return Stage.build(kafka, minio, standin, tmp_path_factory.mktemp("clients"))


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def scene(stage: Stage) -> AsyncIterator[Scene]:
    async with playing(stage) as scene:
        yield scene


@pytest.fixture(params=sorted(TOOLS))
def place(request: pytest.FixtureRequest, stage: Stage, tmp_path: Path) -> Workplace:
    client = Client.of(blocks_of(ROOT / "README.md"), request.param)
    environment = {
        "KAFKA_BOOTSTRAP_SERVERS": stage.kafka.bootstrap,
        "KAFKA_TASKS_TOPIC": stage.tasks,
        "KAFKA_STATUS_TOPIC": stage.status,
        "STATUS_GROUP_ID": stage.kafka.unique(f"readme-{request.param}"),
    }
    return Workplace(client, Cache(Wishes.read().cache, print), tmp_path, environment)


async def test_a_client_of_the_readme_sends_a_task_and_reads_what_becomes_of_it(
    place: Workplace, scene: Scene
) -> None:
    stage = scene.stage
    path = stage.put(f"documents/{uuid.uuid4()}/договор № 17.txt", "Договор № 17 на 100 000 рублей.".encode())
    await _somebody_elses_messages(scene.here, stage.status)
    with place.following() as following:
        done = await asyncio.to_thread(place.produce, path)
        success = await asyncio.to_thread(following.until, done, "SUCCESS")
        asked = next(call for call in stage.gigachat.requests() if call.nonce in success)
        assert asked.nonce

        missing = await asyncio.to_thread(place.produce, "documents/none.txt")
        failed = await asyncio.to_thread(following.until, missing, "FAILED")
        assert failed.lower().startswith("failed file_not_found retryable=false ")
        assert "none.txt" in failed

        await scene.here.ended(done)
        await _again(scene.here, stage.status, done)
        await asyncio.to_thread(following.until, done, "REPEAT")
        words = [line.split()[0] for line in following.of(done)]
        assert words == ["PROCESSING", "SUCCESS", "REPEAT"]
        await asyncio.to_thread(following.interrupt)

    expected = Task(task_id=done, trace_id="", prompt="Summarise the document.", files=(TaskFile(path),))
    assert await asyncio.to_thread(_task, stage, done) == expected


async def test_a_reader_that_starts_again_goes_on_where_it_ended(place: Workplace, scene: Scene) -> None:
    first, second = new_id(), new_id()
    body = {"text": "Договор № 17."}
    with place.following() as following:
        await scene.here.send(body, key=first, headers={"status": "1", "prompt_id": "1"})
        await asyncio.to_thread(following.until, first, "SUCCESS")
        await asyncio.to_thread(following.interrupt)
    with place.following() as following:
        await scene.here.send(body, key=second, headers={"status": "1", "prompt_id": "1"})
        await asyncio.to_thread(following.until, second, "SUCCESS")
        assert following.of(first) == [], "Ctrl-C committed what was shown"
        await asyncio.to_thread(following.interrupt)


async def test_a_client_of_the_readme_puts_a_key_where_every_other_does(
    place: Workplace, scene: Scene
) -> None:
    """Murmur2 alone is not enough: half of all keys have a negative hash, and there are two ways to count with it."""
    for _ in range(16):
        task_id = await asyncio.to_thread(place.produce, "documents/none.txt")
        await asyncio.to_thread(_task, scene.stage, task_id)
        if murmur2(task_id.encode()) & 0x80000000:
            return
    raise AssertionError("16 keys of 16 with a positive hash: chance does not do that")


async def _somebody_elses_messages(here: Platform, status_topic: str) -> None:
    """A task, as on a topic that tasks and statuses share, one of them without a key, and one without headers."""
    for key, headers in ((b"k", [("status", b"1")]), (None, [("status", b"1")]), (None, [])):
        await here.producer.send_and_wait(status_topic, b'{"text": "a"}', key=key, headers=headers)


async def _again(here: Platform, status_topic: str, task_id: str) -> None:
    (ended,) = here.terminal(task_id)
    await here.producer.send_and_wait(status_topic, ended.value, key=ended.key, headers=list(ended.headers))


def _task(stage: Stage, task_id: str) -> Task:
    """The task as the contract reads it from the topic, less what is chance; it lies where Java puts its key."""
    consumer = Consumer({"bootstrap.servers": stage.kafka.bootstrap, "group.id": "nobody"})
    partition = (murmur2(task_id.encode()) & 0x7FFFFFFF) % PARTITIONS
    consumer.assign([TopicPartition(stage.tasks, partition, 0)])
    try:
        for _ in range(100):
            message = consumer.poll(0.2)
            if message is not None and message.key() == task_id.encode():
                break
        else:
            raise AssertionError(f"partition {partition} has no message of {task_id}")
    finally:
        consumer.close()
    headers: Any = tuple(message.headers() or ())
    assert {name for name, _ in headers} == {"status", "trace_id"}
    envelope = Envelope(message.key(), message.value(), headers, stage.tasks, partition, 0)
    task = envelope.task()
    assert task is not None
    assert str(uuid.UUID(task.trace_id)) == dict(headers)["trace_id"].decode(), "it is the producer's own"
    return replace(task, trace_id="", body_digest="")
