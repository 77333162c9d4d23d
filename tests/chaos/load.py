"""Sends the tasks evenly over the run and notes each that Kafka acknowledged."""

from __future__ import annotations

import asyncio
import heapq
import io
import random
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial

from aiokafka import AIOKafkaProducer
from minio import Minio

from tests.chaos.cases import Case, Generator, Message
from tests.chaos.recording import Lines, Sent
from tests.chaos.stage import Stage

# The producer outlives every outage of the broker that a run makes.
_ACKNOWLEDGED_WITHIN_MS = 180_000
_PUT_AGAIN_S = 0.2
# A repeat comes at once, or so much later.
_LATER_S = 8.0
_AT_ONCE = 64


@dataclass(slots=True)
class LoadSender:
    """Every message that it returns from has been acknowledged."""

    stage: Stage
    generator: Generator
    rng: random.Random
    lines: Lines
    sent: int = 0
    cases: int = 0
    owed: Counter[str] = field(default_factory=Counter)
    """By task, how many messages want an answer."""
    # Threads of their own: they wait for a store that others must be free to start again.
    _putting: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(8, "put"))
    _late: list[tuple[float, int, Case, Message]] = field(default_factory=list)
    _producer: AIOKafkaProducer | None = None
    _sending: set[asyncio.Task[None]] = field(default_factory=set)

    async def extra(self, case: Case) -> None:
        """One beside the stream, while it runs; acknowledged when this returns."""
        assert self._producer is not None
        for message in case.messages:
            await self._send(self._producer, case, message)

    async def run(self, tasks: int, seconds: float) -> None:
        producer = AIOKafkaProducer(
            bootstrap_servers=self.stage.kafka.bootstrap,
            acks="all",
            enable_idempotence=True,
            linger_ms=2,
            request_timeout_ms=_ACKNOWLEDGED_WITHIN_MS,
        )
        await producer.start()
        self._producer = producer
        began = time.monotonic()
        try:
            for number in range(tasks):
                await asyncio.sleep(max(0.0, began + seconds * number / tasks - time.monotonic()))
                await self._send_late(producer, time.monotonic())
                await self._begin(producer, self.generator.case())
            await self._send_late(producer, None)
            await asyncio.gather(*self._sending)
        finally:
            for task in self._sending:
                task.cancel()
            await producer.stop()
            self._putting.shutdown(wait=False, cancel_futures=True)

    async def _begin(self, producer: AIOKafkaProducer, case: Case) -> None:
        self.cases += 1
        await self._start(producer, case, case.messages[0])
        for message in case.messages[1:]:
            after = self.rng.choice([0.0, _LATER_S])
            heapq.heappush(self._late, (time.monotonic() + after, self.rng.getrandbits(62), case, message))

    async def _send_late(self, producer: AIOKafkaProducer, now: float | None) -> None:
        while self._late and (now is None or self._late[0][0] <= now):
            _, _, case, message = heapq.heappop(self._late)
            await self._start(producer, case, message)

    async def _start(self, producer: AIOKafkaProducer, case: Case, message: Message) -> None:
        """Not more at once than so many: while the broker is away the load waits."""
        while len(self._sending) >= _AT_ONCE:
            await asyncio.wait(self._sending, return_when=asyncio.FIRST_COMPLETED)
        task = asyncio.create_task(self._send(producer, case, message))
        self._sending.add(task)
        task.add_done_callback(self._sent_one)

    def _sent_one(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and task.exception() is None:
            self._sending.discard(task)  # what failed stays, and is raised at the end

    async def _send(self, producer: AIOKafkaProducer, case: Case, message: Message) -> None:
        if case.file is not None:
            put = partial(_put, self.stage.minio.client(), self.stage.bucket, *case.file)
            await asyncio.get_running_loop().run_in_executor(self._putting, put)
        at = await producer.send_and_wait(
            self.stage.tasks, message.value, key=message.key, headers=list(message.headers)
        )
        self.sent += 1
        if case.status:
            self.owed[case.task_id] += 1
        line = Sent(
            partition=at.partition,
            offset=at.offset,
            at=time.time(),
            key=message.key,
            value=message.value,
            headers=message.headers,
            task_id=case.task_id,
            kind=case.kind,
            status=case.status,
            code=case.code,
            says=case.says,
            calls=case.calls,
            letter=case.letter,
        )
        self.lines.write(line.plain())


def _put(client: Minio, bucket: str, key: str, content: bytes) -> None:
    """However long the store is away."""
    while True:
        try:
            client.put_object(bucket, key, io.BytesIO(content), len(content), "text/plain")
        except Exception:  # the store is killed, stopped and cut off; what it raises then is of many kinds
            time.sleep(_PUT_AGAIN_S)
        else:
            return
