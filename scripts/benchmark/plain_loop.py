"""What people write today: an aiokafka loop with a semaphore and auto commit.

It says the same of each task as the worker, PROCESSING and SUCCESS, each acknowledged, in smaller messages. It knows no
retries, no repeats, no offsets of its own: killed, it loses what is in flight. It is here for its speed.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import time
from array import array
from pathlib import Path

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, ConsumerRecord

ANSWER = "Письмо получено, ответ не требуется."


class PlainLoop:
    """One consumer, one producer, a task under the semaphore for each message."""

    def __init__(self, producer: AIOKafkaProducer, status_topic: str, slots: int, seconds: float) -> None:
        self._producer = producer
        self._status_topic = status_topic
        self._slots = asyncio.Semaphore(slots)
        self._seconds = seconds
        self._running: set[asyncio.Task[None]] = set()
        self.times = array("d")

    async def run(self, consumer: AIOKafkaConsumer) -> None:
        async for message in consumer:
            await self._slots.acquire()
            task = asyncio.create_task(self._handle(message))
            self._running.add(task)
            task.add_done_callback(self._done)

    async def _handle(self, message: ConsumerRecord) -> None:
        body = json.loads(message.value)
        await self._publish(message, 2, {"task_id": message.key.decode(), "status": 2})
        began = time.monotonic()
        if self._seconds:
            await asyncio.sleep(self._seconds)
        self.times.extend((began, time.monotonic()))
        answer = {"raw_response": ANSWER, "characters": len(body["text"])}
        await self._publish(message, 3, {"task_id": message.key.decode(), "status": 3, "result": answer})

    async def _publish(self, message: ConsumerRecord, status: int, body: dict[str, object]) -> None:
        value = json.dumps(body, ensure_ascii=False).encode()
        headers = [("status", str(status).encode()), ("trace_id", dict(message.headers)["trace_id"])]
        await self._producer.send_and_wait(self._status_topic, value, key=message.key, headers=headers)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._slots.release()
        self._running.discard(task)


async def _main() -> None:
    env = os.environ
    bootstrap = env["KAFKA_BOOTSTRAP_SERVERS"]
    # The worker's producer is idempotent too.
    producer = AIOKafkaProducer(bootstrap_servers=bootstrap, enable_idempotence=True)
    consumer = AIOKafkaConsumer(
        env["KAFKA_TASKS_TOPIC"],
        bootstrap_servers=bootstrap,
        group_id=env["KAFKA_GROUP_ID"],
        auto_offset_reset="earliest",
    )
    await producer.start()
    await consumer.start()
    slots, seconds = int(env["WORKER_MAX_CONCURRENT_TASKS"]), float(env["INSTANT_SECONDS"])
    loop = PlainLoop(producer, env["KAFKA_STATUS_TOPIC"], slots, seconds)
    running = asyncio.create_task(loop.run(consumer))
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, running.cancel)
    with contextlib.suppress(asyncio.CancelledError):
        await running
    await consumer.stop()
    await producer.stop()
    if "INSTANT_CALLS" in env:
        await asyncio.to_thread(Path(env["INSTANT_CALLS"]).write_bytes, loop.times.tobytes())


if __name__ == "__main__":
    asyncio.run(_main())
