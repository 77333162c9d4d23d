"""Topics that change under a worker, on real Kafka: no message is passed over, and what is lost is said."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from confluent_kafka import TopicPartition
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewPartitions

from tests.acceptance.bad_day import send, started, until
from tests.acceptance.offsets import Sampler
from tests.acceptance.platform import Platform, platform
from tests.acceptance.stage import Stage
from tests.acceptance.worker import workers
from tests.services.kafka import Kafka
from tests.services.minio import MinioServer
from tests.standins.process import GigaChatProcess

MODES = ("at_least_once", "exactly_once")
LIMIT_S = 40.0


@pytest.fixture
def small(kafka: Kafka, minio: MinioServer, standin: GigaChatProcess, tmp_path: Path) -> Stage:
    """A stage of two partitions."""
    return Stage.build(kafka, minio, standin, tmp_path, partitions=2)


def offsets(stage: Stage) -> dict[int, int]:
    sampler = Sampler(stage.kafka.bootstrap, stage.group, stage.tasks, 2)
    return {partition: offset for partition, (offset, _) in sampler.now().committed.items()}


async def send_evenly(here: Platform, count: int) -> list[str]:
    """As many tasks, half of them on each partition."""
    return [await send(here, partition=number % 2) for number in range(count)]


def made_anew(stage: Stage) -> None:
    stage.kafka.delete_topic(stage.tasks)
    stage.kafka.create_topic(stage.tasks, 2)


@pytest.mark.parametrize("mode", MODES)
async def test_a_topic_made_anew_under_a_worker_is_read_from_its_beginning(small: Stage, mode: str) -> None:
    """A task of the old topic ends after the new one is there; what it commits must not pass over new messages."""
    first, second = small.worker("first", KAFKA_DELIVERY=mode), small.worker("second", KAFKA_DELIVERY=mode)
    kafka = small.kafka
    async with platform(kafka.bootstrap, small.tasks, small.status, small.dead_letters) as here:
        with workers(first, second):
            await started(first)
            await here.ended(*await send_evenly(here, 30))
            slow = await send(here, partition=0, delay=3)
            await until(lambda: [e.status for e in here.of(slow)] == ["2"], LIMIT_S, "the slow one is begun")
            await asyncio.to_thread(made_anew, small)
            async with platform(kafka.bootstrap, small.tasks, small.status, small.dead_letters) as again:
                early = await send_evenly(again, 10)
                await again.ended(*early, seconds=LIMIT_S)
                await until(lambda: offsets(small) == {0: 5, 1: 5}, LIMIT_S, "offsets of the new topic")
                await asyncio.sleep(4)  # the slow one has ended
                assert offsets(small) == {0: 5, 1: 5}
                assert first.metric("llm_service_logs_begun_anew_total") == 2
                assert await asyncio.to_thread(first.terminate) == 0
                # More than the old topic had: offsets of it would be in the midst of these.
                late = await send_evenly(again, 60)
                await started(second)
                await again.ended(*late, seconds=LIMIT_S)
                assert [len(again.terminal(task_id)) for task_id in (*early, *late)] == [1] * 70
                assert await asyncio.to_thread(second.terminate) == 0
    assert "log_begun_anew" in first.output()


@pytest.mark.parametrize("mode", MODES)
async def test_a_topic_made_anew_that_nobody_writes_to_is_not_marked_with_the_old_ones_offsets(
    small: Stage, mode: str
) -> None:
    """The worker reads no message of it and stops; what is sent before the next start is all answered."""
    first, second = small.worker("first", KAFKA_DELIVERY=mode), small.worker("second", KAFKA_DELIVERY=mode)
    kafka = small.kafka
    async with platform(kafka.bootstrap, small.tasks, small.status, small.dead_letters) as here:
        with workers(first, second):
            await started(first)
            await here.ended(*await send_evenly(here, 10))
            await asyncio.to_thread(made_anew, small)
            await until(
                lambda: first.metric("llm_service_logs_begun_anew_total") == 2, LIMIT_S, "it is noticed"
            )
            assert await asyncio.to_thread(first.terminate) == 0
            assert set(offsets(small).values()) <= {0}
            async with platform(kafka.bootstrap, small.tasks, small.status, small.dead_letters) as again:
                late = await send_evenly(again, 20)
                await started(second)
                await again.ended(*late, seconds=LIMIT_S)
                assert await asyncio.to_thread(second.terminate) == 0


@pytest.mark.parametrize("mode", MODES)
async def test_what_retention_deletes_before_it_is_done_is_counted_and_the_rest_is_answered(
    small: Stage, mode: str
) -> None:
    worker = small.worker(KAFKA_DELIVERY=mode)
    kafka = small.kafka
    async with platform(kafka.bootstrap, small.tasks, small.status, small.dead_letters) as here:
        with workers(worker):
            await started(worker)
            await here.ended(*await send_evenly(here, 10))
            await until(lambda: offsets(small) == {0: 5, 1: 5}, LIMIT_S, "all committed")
            assert await asyncio.to_thread(worker.terminate) == 0
            lost, kept = await send_evenly(here, 10), await send_evenly(here, 10)
            admin = AdminClient({"bootstrap.servers": kafka.bootstrap})
            cut = [TopicPartition(small.tasks, number, 10) for number in range(2)]
            for future in admin.delete_records(cut).values():
                future.result(15)
            await started(worker)
            await here.ended(*kept, seconds=LIMIT_S)
            await until(
                lambda: worker.metric("llm_service_messages_lost_total") == 10, LIMIT_S, "all counted"
            )
            await until(lambda: offsets(small) == {0: 15, 1: 15}, LIMIT_S, "all committed")
            assert not here.ended_keys.intersection(lost)
            assert await asyncio.to_thread(worker.terminate) == 0
    assert worker.output().count("messages_lost") == 2


@pytest.mark.parametrize("mode", MODES)
async def test_the_first_messages_of_new_partitions_are_answered(small: Stage, mode: str) -> None:
    worker = small.worker(KAFKA_DELIVERY=mode, KAFKA_CONSUMER_EXTRA="topic.metadata.refresh.interval.ms=1000")
    kafka = small.kafka
    async with platform(kafka.bootstrap, small.tasks, small.status, small.dead_letters) as here:
        with workers(worker):
            await started(worker)
            await here.ended(*await send_evenly(here, 4))
            admin = AdminClient({"bootstrap.servers": kafka.bootstrap})
            added = admin.create_partitions([NewPartitions(small.tasks, 4)])
            added[small.tasks].result(15)
            async with platform(kafka.bootstrap, small.tasks, small.status, small.dead_letters) as again:
                task_ids = [await send(again, partition=number) for number in (2, 3, 2, 3)]
                await again.ended(*task_ids, seconds=LIMIT_S)
            assert await asyncio.to_thread(worker.terminate) == 0
