"""``KAFKA_DELIVERY=exactly_once`` on a real broker: one transaction holds event, offset and map."""

from __future__ import annotations

import asyncio
import signal
import time
from pathlib import Path

import pytest
from confluent_kafka import Consumer, TopicPartition

from tests.acceptance.platform import platform
from tests.acceptance.scene import mark, new_id, playing
from tests.acceptance.stage import Stage
from tests.acceptance.topic_size import limit_messages
from tests.acceptance.worker import workers
from tests.services.kafka import Kafka
from tests.services.minio import MinioServer
from tests.standins.behaviour import directive
from tests.standins.process import GigaChatProcess

EXACTLY_ONCE = {"KAFKA_DELIVERY": "exactly_once"}


def lags(stage: Stage, partitions: int) -> list[int]:
    """Offsets between what the group has committed and the end, by partition; the end is behind the last marker."""
    consumer = Consumer({"bootstrap.servers": stage.kafka.bootstrap, "group.id": stage.group, "log_level": 0})
    try:
        places = [TopicPartition(stage.tasks, number) for number in range(partitions)]
        committed = consumer.committed(places, 10)
        return [consumer.get_watermark_offsets(place, 5.0)[1] - max(place.offset, 0) for place in committed]
    finally:
        consumer.close()


async def test_where_tasks_and_statuses_share_a_topic_the_lag_ends_at_the_markers_and_nothing_is_done_again(
    kafka: Kafka, minio: MinioServer, standin: GigaChatProcess, tmp_path: Path
) -> None:
    """Each end of a task is a message to be skipped and a marker behind it, which must not begin a commit of its own."""
    stage = Stage.build(kafka, minio, standin, tmp_path, partitions=2, shared=True)
    ids: list[str] = []
    async with platform(stage.kafka.bootstrap, stage.tasks, stage.status, stage.dead_letters) as here:
        for name in ("first", "second"):
            worker = stage.worker(name, **EXACTLY_ONCE)
            with workers(worker):
                await asyncio.to_thread(worker.start)
                for task_id in (new := [new_id() for _ in range(20)]):
                    headers = {"status": "1", "prompt_id": "1"}
                    await here.send({"text": mark(task_id)}, key=task_id, headers=headers)
                await here.ended(*new)
                ids += new
                await until_lags(stage, 1)
                await asyncio.sleep(1.0)
                assert max(lags(stage, 2)) <= 1, "and stays there"
                assert await asyncio.to_thread(worker.terminate) == 0
            assert "Traceback" not in worker.output()
    assert max(lags(stage, 2)) <= 1
    assert [len(here.terminal(task_id)) for task_id in ids] == [1] * len(ids)
    assert sorted(call.marker or "" for call in stage.gigachat.requests() if call.marker) == sorted(ids)


async def until_lags(stage: Stage, most: int) -> None:
    deadline = time.monotonic() + 15
    while max(found := await asyncio.to_thread(lags, stage, 2)) > most:
        assert time.monotonic() < deadline, f"the lag does not end: {found}"
        await asyncio.sleep(0.1)


async def test_tasks_are_answered_and_the_lag_ends(stage: Stage) -> None:
    async with playing(stage, **EXACTLY_ONCE) as scene:
        ids = [new_id() for _ in range(50)]
        for task_id in ids:
            await scene.here.send(
                {"text": mark(task_id)}, key=task_id, headers={"status": "1", "prompt_id": "1"}
            )
        await scene.here.ended(*ids)
    assert [len(scene.here.terminal(task_id)) for task_id in ids] == [1] * len(ids)


@pytest.mark.parametrize("protocol", ["classic", "consumer"])
async def test_a_worker_that_comes_back_from_the_dead_says_nothing_any_more(
    stage: Stage, protocol: str
) -> None:
    """It had the answer before others took its task over, or has it after: there is one event, of one of them."""
    settings = {**EXACTLY_ONCE, "KAFKA_GROUP_PROTOCOL": protocol}
    first, second = stage.worker("first", **settings), stage.worker("second", **settings)
    ids = [new_id() for _ in range(20)]
    async with platform(stage.kafka.bootstrap, stage.tasks, stage.status, stage.dead_letters) as here:
        with workers(first, second):
            await asyncio.to_thread(first.start)
            for task_id in ids:
                text = mark(task_id) + directive(delay=2.0)
                await here.send({"text": text}, key=task_id, headers={"status": "1", "prompt_id": "1"})
            await here.until(lambda: bool(here.events), 10, "PROCESSING of any task")
            await asyncio.sleep(1.0)
            first.signal(signal.SIGSTOP)
            await asyncio.to_thread(second.start)
            await here.ended(*ids, seconds=40)
            first.signal(signal.SIGCONT)
            await asyncio.sleep(4.0)
            assert first.running, "it is a member again"
            for worker in (first, second):
                assert await asyncio.to_thread(worker.terminate) == 0
    assert [len(here.terminal(task_id)) for task_id in ids] == [1] * len(ids)
    assert {here.terminal(task_id)[0].header("worker_id") for task_id in ids} == {"LLM_second"}


async def test_a_result_that_is_too_large_goes_to_the_store_and_the_others_are_not_held_up(
    stage: Stage,
) -> None:
    """The topic takes less than it said at the start, so that only the broker can refuse."""
    async with playing(stage, **EXACTLY_ONCE) as scene:
        await asyncio.to_thread(limit_messages, stage.kafka.bootstrap, stage.status, 20_000)
        large, small = new_id(), new_id()
        for task_id, words in ((large, "слово " * 6000), (small, "слово")):
            text = mark(task_id) + directive(answer=words)
            await scene.here.send({"text": text}, key=task_id, headers={"status": "1", "prompt_id": "1"})
        (first, second) = await scene.here.ended(large, small)
        assert (first.status, second.status) == ("3", "3")
        assert first.body["result_ref"]
        assert "result_ref" not in second.body or second.body["result_ref"] is None
