"""File drops: what a real MinIO tells a real Kafka becomes tasks, each drop one, whatever its key is."""

from __future__ import annotations

import asyncio
import uuid
from pathlib import Path

import pytest

from tests.acceptance.dropping import answer_of, dropping, mark_of, successes
from tests.acceptance.platform import platform
from tests.acceptance.scene import playing
from tests.acceptance.worker import workers
from tests.services.kafka import Kafka
from tests.services.minio import MinioServer
from tests.standins.process import GigaChatProcess

MODES = ("at_least_once", "exactly_once")
RULES = """
rules:
  - {name: drafts, prefix: in/drafts/, ignore: true}
  - {name: everything, task: {prompt_id: 1}}
"""
ODD = (
    "in/plain.txt",
    "in/договор № 1.txt",
    "in/two  spaces.txt",
    "in/a+b.txt",
    "in/100%.txt",
    "in/x%2By%20z.txt",
    "in/a&b=c?d#e;f.txt",
    "in/и\u0306.txt",
    "in/😀'\"()[]{}!~*.txt",
    # Of 255 bytes, the most that MinIO takes for one name.
    "in/" + "д" * 125 + ".txt",
    "in/" + "/".join(["длинный путь"] * 40) + ".txt",
)


@pytest.mark.parametrize("mode", MODES)
async def test_each_file_becomes_one_task_and_is_the_one_that_is_read(
    kafka: Kafka, minio: MinioServer, standin: GigaChatProcess, tmp_path: Path, mode: str
) -> None:
    del minio  # its server is built by now
    with dropping(kafka, standin, tmp_path, RULES) as drops:
        # A key that another object's path looks like.
        keys = [*ODD, f"{drops.stage.bucket}/in/plain.txt"]
        async with playing(drops.stage, KAFKA_DELIVERY=mode, **drops.environment) as scene:
            for key in (*keys, "in/drafts/no.txt"):
                await asyncio.to_thread(drops.drop, key)
            tasks = await drops.tasks(len(keys))
            assert {key: len(messages) for key, messages in tasks.items()} == dict.fromkeys(keys, 1)
            for key, (task,) in tasks.items():
                (ended,) = await scene.here.ended((task.key or b"").decode())
                assert (ended.status, answer_of(ended)) == ("3", mark_of(key)), key
            # Read by the worker, which MinIO told too, and removed.
            await asyncio.to_thread(drops.stage.store.remove_object, drops.stage.bucket, keys[0])
            # Each is asked after and fetched, which is told besides.
            told = await drops.notifications(3 * len(keys) + 2)
            kinds = {read.body["EventName"].rpartition(":")[0] for read in told}
            assert kinds == {"s3:ObjectCreated", "s3:ObjectAccessed", "s3:ObjectRemoved"}
            assert len(await drops.tasks(len(keys))) == len(keys)
            await drops.done()
            assert scene.worker.metric("llm_service_drop_tasks_total", rule="everything") == len(keys)
            assert scene.worker.metric("llm_service_drops_skipped_total", reason="ignored") == 1


@pytest.mark.parametrize("mode", MODES)
async def test_told_twice_is_one_task_dropped_twice_are_two(
    kafka: Kafka, minio: MinioServer, standin: GigaChatProcess, tmp_path: Path, mode: str
) -> None:
    del minio
    with dropping(kafka, standin, tmp_path, RULES) as drops:
        async with playing(drops.stage, KAFKA_DELIVERY=mode, **drops.environment) as scene:
            await asyncio.to_thread(drops.drop, "in/a b.txt")
            (told,) = [read for read in await drops.notifications(1) if "Created" in read.body["EventName"]]
            for partition in (told.partition, told.partition, (told.partition + 1) % 4):
                await scene.here.producer.send_and_wait(
                    drops.topic, told.value, key=told.key, partition=partition
                )
            ((task,),) = (await drops.tasks(1)).values()
            task_id = str(uuid.UUID((task.key or b"").decode()))
            await scene.here.ended(task_id)

            await asyncio.to_thread(drops.drop, "in/a b.txt")
            tasks = (await drops.tasks(2))["in/a b.txt"]
            ids = [(task.key or b"").decode() for task in tasks]
            assert ids[0] == task_id != ids[1]
            await scene.here.ended(*ids)
            await asyncio.sleep(1.0)
            assert [len(successes(scene.here, each)) for each in ids] == [1, 1]
            assert scene.worker.metric("llm_service_drops_skipped_total", reason="repeated") == 3


async def test_after_a_restart_a_repeat_has_the_same_id_and_the_first_answer_stands_first(
    kafka: Kafka, minio: MinioServer, standin: GigaChatProcess, tmp_path: Path
) -> None:
    """The window knows nothing after a restart; the id says that it is the same task, to every reader."""
    del minio
    with dropping(kafka, standin, tmp_path, RULES) as drops:
        async with playing(drops.stage, **drops.environment) as scene:
            await asyncio.to_thread(drops.drop, "in/a.txt")
            ((first,),) = (await drops.tasks(1)).values()
            await scene.here.ended((first.key or b"").decode())
            told = (await drops.notifications(1))[0]
        async with playing(drops.stage, "next", **drops.environment) as scene:
            await scene.here.producer.send_and_wait(drops.topic, told.value, key=told.key)
            ((again, repeat),) = (await drops.tasks(2)).values()
            assert (again.key, again.value, again.header("trace_id")) == (
                repeat.key,
                repeat.value,
                repeat.header("trace_id"),
            )


async def test_our_own_objects_become_no_tasks_and_what_is_no_notification_is_a_dead_letter(
    kafka: Kafka, minio: MinioServer, standin: GigaChatProcess, tmp_path: Path
) -> None:
    del minio
    with dropping(kafka, standin, tmp_path, RULES) as drops:
        environment = {**drops.environment, "KAFKA_MESSAGE_MAX_BYTES": "32000"}
        async with playing(drops.stage, **environment) as scene:
            await asyncio.to_thread(drops.stage.put, "in/a.txt", "[[standin:big=50000]] Договор".encode())
            ((task,),) = (await drops.tasks(1)).values()
            (ended,) = await scene.here.ended((task.key or b"").decode())
            bucket, _, key = ended.body["result_ref"].partition("/")
            assert bucket == drops.stage.bucket
            told = [read.body["Key"] for read in await drops.notifications(3)]
            assert f"{bucket}/{key}" in told
            assert scene.worker.metric("llm_service_drops_skipped_total", reason="own_object") == 1

            bad = b'{"Records": [{"eventName": "s3:ObjectCreated:Put"}]}'
            for value in (bad, b'{"Event": "s3:TestEvent"}'):
                await scene.here.producer.send_and_wait(drops.topic, value, key=b"some/key")
            letter = await scene.letter("some/key")
            assert (letter.value, letter.header("dlq_reason")) == (bad, "invalid_notification")
            assert letter.header("dlq_topic") == drops.topic
            assert scene.worker.metric("llm_service_drops_refused_total", code="invalid_notification") == 1
            assert len(await drops.tasks(1)) == 1


@pytest.mark.parametrize("mode", MODES)
async def test_no_drop_is_lost_or_made_twice_where_workers_are_killed(
    kafka: Kafka, minio: MinioServer, standin: GigaChatProcess, tmp_path: Path, mode: str
) -> None:
    del minio
    count = 200
    with dropping(kafka, standin, tmp_path, RULES) as drops:
        stage = drops.stage
        crew = [stage.worker(f"w{n}", KAFKA_DELIVERY=mode, **drops.environment) for n in range(2)]
        keys = [f"in/файл {number} +.txt" for number in range(count)]
        async with platform(stage.kafka.bootstrap, stage.tasks, stage.status, stage.dead_letters) as here:
            with workers(*crew):
                await asyncio.gather(*(asyncio.to_thread(worker.start) for worker in crew))
                dropped = asyncio.gather(*(asyncio.to_thread(drops.drop, key) for key in keys))
                for number in range(6):
                    await asyncio.sleep(0.7)
                    victim = crew[number % 2]
                    await asyncio.to_thread(victim.kill)
                    await asyncio.to_thread(victim.start, wait=False)
                await dropped
                tasks = await drops.tasks(count, seconds=40.0)
                ids = {
                    key: {(task.key or b"").decode() for task in messages} for key, messages in tasks.items()
                }
                assert set(ids) == set(keys)
                assert all(len(of_one) == 1 for of_one in ids.values())
                every = [task_id for of_one in ids.values() for task_id in of_one]
                assert len(set(every)) == count
                await here.ended(*every, seconds=60.0)
                for key, (task_id,) in ids.items():
                    assert {answer_of(event) for event in successes(here, task_id)} == {mark_of(key)}
                await drops.done()
                if mode == "exactly_once":
                    # The task and the notification's offset are one transaction.
                    assert {key: len(messages) for key, messages in tasks.items()} == dict.fromkeys(keys, 1)
                    assert all(len(here.terminal(task_id)) == 1 for task_id in every)
