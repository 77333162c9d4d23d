"""One worker that the tests of a module share, the platform beside it, and what must hold when it leaves."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass

from confluent_kafka import Consumer, TopicPartition

from tests.acceptance.offsets import Sampler
from tests.acceptance.platform import Headers, Platform, Read, platform
from tests.acceptance.stage import Stage
from tests.acceptance.worker import Worker, workers
from tests.standins.request_log import LoggedRequest

PARTITIONS = 12


def new_id() -> str:
    """An id that no other task has."""
    return str(uuid.uuid4())


def mark(task_id: str) -> str:
    """Text by which the stand-in knows whose request it is."""
    return f"[[task:{task_id}]] Договор № 17."


@dataclass(frozen=True, slots=True)
class Scene:
    """A worker at work and the platform that talks to it."""

    stage: Stage
    worker: Worker
    here: Platform
    markers: int = 0
    """Behind the last message of a partition: one where tasks are written by transactions."""

    async def run(
        self,
        value: bytes | Mapping[str, object] | None,
        *,
        task_id: str | None = None,
        headers: Mapping[str, str] | Headers | None = None,
        prompt_id: str = "1",
        seconds: float = 20.0,
    ) -> Read:
        """Send one task, and its first terminal event."""
        task_id = task_id or new_id()
        if headers is None:
            headers = {"status": "1", "prompt_id": prompt_id}
        await self.here.send(value, key=task_id, headers=headers)
        (ended,) = await self.here.ended(task_id, seconds=seconds)
        return ended

    async def fails(self, value: bytes | Mapping[str, object] | None, **more: str) -> Failed:
        """Send one task that must fail: how it did."""
        ended = await self.run(value, **more)  # type: ignore[arg-type]
        assert ended.status == "4", ended.value[:500]
        return Failed(ended.body["error"]["code"], ended.body["error_message"], ended)

    async def letter(self, key: str | bytes | None, count: int = 1) -> Read:
        """The last dead letter of that key, once there are so many."""
        await self.here.until(lambda: len(self.here.letters_of(key)) >= count, what=f"{count} dead letters")
        letters = self.here.letters_of(key)
        assert len(letters) == count
        return letters[-1]

    def calls(self, task_id: str) -> list[LoggedRequest]:
        """The chats that the provider's stand-in was asked for a task."""
        return [call for call in self.stage.gigachat.requests() if call.marker == task_id]

    def committed(self) -> dict[int, int]:
        """The group's committed offsets by partition."""
        sampler = Sampler(self.stage.kafka.bootstrap, self.stage.group, self.stage.tasks, PARTITIONS)
        return {partition: base for partition, (base, _) in sampler.now().committed.items()}

    async def settled(self, seconds: float = 10.0) -> None:
        """Return when everything that was produced is committed: the group's lag is 0."""
        ends: dict[int, int] = {}
        committed: dict[int, int] = {}
        for _ in range(int(seconds / 0.1)):
            ends = await asyncio.to_thread(self._ends)
            committed = await asyncio.to_thread(self.committed)
            if all(end - committed.get(partition, 0) <= self.markers for partition, end in ends.items()):
                return
            await asyncio.sleep(0.1)
        raise AssertionError(f"the lag does not end: {committed} of {ends}")

    def _ends(self) -> dict[int, int]:
        """The offsets behind the last message; transaction markers are none here."""
        consumer = Consumer({"bootstrap.servers": self.stage.kafka.bootstrap, "group.id": "nobody"})
        try:
            places = [TopicPartition(self.stage.tasks, partition) for partition in range(PARTITIONS)]
            return {place.partition: consumer.get_watermark_offsets(place, 5.0)[1] for place in places}
        finally:
            consumer.close()


@dataclass(frozen=True, slots=True)
class Failed:
    """A FAILED event."""

    code: str
    message: str
    event: Read


@asynccontextmanager
async def playing(stage: Stage, name: str = "worker", **more: str) -> AsyncIterator[Scene]:
    """A worker for the tests inside. In the end it owes nobody anything, met no bug of its own, and stops by a SIGTERM."""
    worker = stage.worker(name, **more)
    async with platform(stage.kafka.bootstrap, stage.tasks, stage.status, stage.dead_letters) as here:
        with workers(worker):
            await asyncio.to_thread(worker.start)
            drops = "KAFKA_FILE_DROP_TOPIC" in more and more.get("KAFKA_DELIVERY") != "at_least_once"
            scene = Scene(stage, worker, here, markers=int(drops))
            yield scene
            assert worker.running, worker.output()[-3000:]
            await scene.settled()
            assert await asyncio.to_thread(worker.terminate) == 0
    bugs = [event.value for event in here.events if b'"internal_error"' in event.value]
    assert not bugs, bugs[:3]
    assert "Traceback" not in worker.output(), worker.output()[-5000:]
