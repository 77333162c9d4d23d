"""Workers of one group that follow each other: each dies at a point of its own, and the next takes over from it.

What is judged lies outside of them: the topics as a ``read_committed`` reader finds them, and what is committed for the
group.
"""

from __future__ import annotations

import asyncio
import signal
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import TypeAlias
from urllib.parse import quote_plus

from confluent_kafka import Consumer, KafkaException, TopicPartition

from llm_service.kafka.offset_map import decode
from tests.acceptance.bad_day import text
from tests.acceptance.nursing import Doomed, Nursery
from tests.acceptance.platform import Platform, platform
from tests.acceptance.scene import new_id
from tests.acceptance.stage import Stage
from tests.acceptance.topic_size import limit_messages
from tests.acceptance.worker import Worker, workers
from tests.chaos.crash_points import EXACTLY_ONCE, Boundary, CrashPoint

PARTITIONS = 3
RULES = "rules:\n  - {name: everything, task: {prompt_id: 1}}\n"
HEADERS = {"status": "1", "prompt_id": "1"}
# What a message may have: more goes to the object store.
MESSAGE_BYTES = 32_000
# What the status topic takes while an answer is to be refused by the broker alone.
REFUSED_BYTES = 20_000
LARGE = 40_000
BY_STARTING = frozenset({"start", "open transaction"})
OPEN_TRANSACTION = CrashPoint(Boundary("offsets.sent"), "after")
# Of a start on two busy cores, or of a session that ends.
_REACHED_S = 30.0
_VISIBLE_S = 10.0
_LOOK_S = 0.03

Place: TypeAlias = tuple[str, int, int]


@dataclass(slots=True)
class Chain:
    """The points of one mode, one after the other, on topics of their own."""

    stage: Stage
    nursery: Nursery
    mode: str
    points: Sequence[CrashPoint]
    database: Mapping[str, str]
    instance: str | None = None
    """Every worker's KAFKA_GROUP_INSTANCE_ID: then each is the same one come back, not another."""
    wrong: list[str] = field(default_factory=list)
    reached: set[str] = field(default_factory=set)
    tasks: dict[str, str] = field(default_factory=dict)
    """The status that each task must end with, by its id."""
    drops: list[str] = field(default_factory=list)
    """Keys of files, each of which must become one task."""
    _sent: dict[Place, Callable[[], bool]] = field(default_factory=dict)
    """Whether there is an outcome for what lies at a place."""
    _retry: str = ""
    _drop_topic: str = ""

    async def play(self) -> None:
        """Every point; then one that is left alone finishes what is left."""
        kafka, stage = self.stage.kafka, self.stage
        self._retry = kafka.topic("retry", PARTITIONS)
        self._drop_topic = kafka.topic("drops", PARTITIONS)
        (stage.folder / "drops.yaml").write_text(RULES, "utf-8")
        async with AsyncExitStack() as stack:
            here = await stack.enter_async_context(
                platform(kafka.bootstrap, stage.tasks, stage.status, stage.dead_letters)
            )
            between = await stack.enter_async_context(
                platform(kafka.bootstrap, self._drop_topic, stage.tasks, self._retry)
            )
            scenes = _Topics(here, between)
            for number, point in enumerate(self.points):
                await self._die(point, number, scenes)
            last = stage.worker("last", **self._settings())
            with workers(last):
                await asyncio.to_thread(last.start)
                await self._finished(scenes, last)
            self._judge(scenes)

    def _settings(self) -> dict[str, str]:
        settings = {
            "KAFKA_DELIVERY": self.mode,
            "KAFKA_RETRY_TOPIC": self._retry,
            "KAFKA_RETRY_DELAY_SECONDS": "0.5",
            "KAFKA_FILE_DROP_TOPIC": self._drop_topic,
            "KAFKA_MESSAGE_MAX_BYTES": str(MESSAGE_BYTES),
            "KAFKA_ADOPT": "off",
            "KAFKA_SESSION_TIMEOUT_MS": "2000",
            "KAFKA_HEARTBEAT_INTERVAL_MS": "300",
            "DROP_RULES_FILE": str(self.stage.folder / "drops.yaml"),
            "LLM_MAX_RETRIES": "0",
            "CIRCUIT_BREAKER_FAILURE_THRESHOLD": "1000",
            **self.database,
        }
        return settings if self.instance is None else {**settings, "KAFKA_GROUP_INSTANCE_ID": self.instance}

    # --- one death ------------------------------------------------------------------------------

    async def _die(self, point: CrashPoint, number: int, topics: _Topics) -> None:
        if point.boundary.needs == "open transaction":
            await self._die(OPEN_TRANSACTION, number, topics)
        name = f"{number:02}-{point.name.replace(':', '-')}"
        environment = self.stage.environment(WORKER_ID=f"LLM_{name}", **self._settings())
        worker = Doomed(self.nursery, environment, self.stage.folder / f"{name}.log", point)
        with workers(worker):
            if point.boundary.needs in BY_STARTING:
                await self._send("text", number, topics, worker)
                worker.arm()
                worker.start(wait=False)
            else:
                await asyncio.to_thread(worker.start)
                # At work, with its takeover behind it, when that of this has ended too.
                await self._task(topics, number % PARTITIONS)
                await self._finished(topics, worker)
                worker.arm()
                await self._send(point.boundary.needs, number, topics, worker)
            if await _until(lambda: not worker.running, _REACHED_S) and worker.died_at == point.name:
                self.reached.add(point.name)
            else:
                self.wrong.append(f"{point.name}: never reached; its log ends with {worker.output()[-2000:]}")
        if point.boundary.needs == "refused answer":
            await asyncio.to_thread(limit_messages, self.stage.kafka.bootstrap, self.stage.status, 1_000_000)
        await self._look_at_offsets(point.name)

    async def _look_at_offsets(self, after: str) -> None:
        """What the dead one has committed as finished has its outcome, and nobody is there who could still give it one."""
        claimed = await asyncio.to_thread(self._claimed)
        if not await _until(lambda: all(self._sent[place]() for place in claimed), _VISIBLE_S):
            nothing = [place for place in claimed if not self._sent[place]()]
            self.wrong.append(f"{after}: committed without an outcome: {nothing}")

    def _claimed(self) -> list[Place]:
        """Places of what was sent that are committed as finished by now."""
        consumer = Consumer(
            {
                "bootstrap.servers": self.stage.kafka.bootstrap,
                "group.id": self.stage.group,
                # At once, and what was decided before a transaction that is open.
                "isolation.level": "read_uncommitted",
                "log_level": 0,
            }
        )
        try:
            topics = (self.stage.tasks, self._drop_topic)
            asked = [TopicPartition(topic, number) for topic in topics for number in range(PARTITIONS)]
            answers = [answer for answer in _committed(consumer, asked) if answer.offset >= 0]
        finally:
            consumer.close()
        claimed: set[Place] = set()
        for answer in answers:
            above = {
                offset
                for run in decode(answer.metadata, answer.offset)
                for offset in range(run.start, run.end)
            }
            claimed |= {
                (topic, partition, offset)
                for topic, partition, offset in self._sent
                if (topic, partition) == (answer.topic, answer.partition)
                and (offset < answer.offset or offset in above)
            }
        return sorted(claimed)

    # --- what is sent ---------------------------------------------------------------------------

    async def _send(self, what: str, number: int, topics: _Topics, worker: Doomed) -> None:
        """Behind a slow one of the same partition, so that what ends before it is above the committed offset."""
        partition = number % PARTITIONS
        send: Mapping[str, Callable[[], Awaitable[object]]] = {
            "text": lambda: self._task(topics, partition),
            "file": lambda: self._file(topics, partition),
            "many": lambda: self._many(topics, partition),
            "large answer": lambda: self._task(topics, partition, big=LARGE),
            "refused answer": lambda: self._refused(topics, partition),
            "failing": lambda: self._task(topics, partition, status=400),
            "large and failing": lambda: self._task(topics, partition, "x" * LARGE, status=400),
            "failing once": lambda: self._task(topics, partition, status=500, times=1),
            "drop": lambda: self._drop(topics, partition),
            "stop": lambda: self._stop(topics, worker),
        }
        await self._task(topics, partition, delay=0.5)
        await send[what]()

    async def _task(self, topics: _Topics, partition: int, words: str = "", **behaviour: object) -> str:
        task_id = new_id()
        return await self._send_task(topics, partition, task_id, {"text": text(task_id, **behaviour) + words})

    async def _send_task(
        self, topics: _Topics, partition: int, task_id: str, body: Mapping[str, object]
    ) -> str:
        self.tasks[task_id] = "4" if "status=400" in str(body.get("text")) else "3"
        place = await topics.here.send(body, key=task_id, headers=HEADERS, partition=partition)
        self._sent[self.stage.tasks, *place] = lambda: topics.has_outcome(task_id)
        return task_id

    async def _many(self, topics: _Topics, partition: int) -> None:
        """More than may be started without a word of it."""
        await asyncio.gather(*(self._task(topics, partition, delay=0.3) for _ in range(10)))

    async def _file(self, topics: _Topics, partition: int) -> None:
        task_id = new_id()
        key = f"in/{task_id}.txt"
        await asyncio.to_thread(self.stage.put, key, text(task_id).encode())
        await self._send_task(topics, partition, task_id, {"storage_path": f"{self.stage.bucket}/{key}"})

    async def _refused(self, topics: _Topics, partition: int) -> None:
        await asyncio.to_thread(limit_messages, self.stage.kafka.bootstrap, self.stage.status, REFUSED_BYTES)
        await self._task(topics, partition, big=(REFUSED_BYTES + MESSAGE_BYTES) // 2)

    async def _drop(self, topics: _Topics, partition: int) -> None:
        key = f"in/{new_id()}.txt"
        await asyncio.to_thread(self.stage.put, key, b"A file.")
        self.drops.append(key)
        thing = {"key": quote_plus(key), "sequencer": f"{len(self.drops):016X}", "size": 7, "eTag": "e"}
        record = {
            "eventName": "s3:ObjectCreated:Put",
            "s3": {"bucket": {"name": self.stage.bucket}, "object": thing},
        }
        place = await topics.between.send({"Records": [record]}, key=key, partition=partition)
        self._sent[self._drop_topic, *place] = lambda: bool(topics.made_of(key))

    async def _stop(self, topics: _Topics, worker: Doomed) -> None:
        await _until(
            lambda: any(topics.here.by_key[task_id] for task_id in list(self.tasks)[-1:]), _VISIBLE_S
        )
        worker.signal(signal.SIGTERM)

    # --- what came of it ------------------------------------------------------------------------

    async def _finished(self, topics: _Topics, worker: Worker) -> None:
        """All that was sent has ended."""

        def is_finished() -> bool:
            made = [made for key in self.drops for made in topics.made_of(key)]
            wanted = {*self.tasks, *made}
            return len(set(made)) >= len(self.drops) and wanted <= topics.here.ended_keys

        if not await _until(is_finished, _REACHED_S):
            missing = self.tasks.keys() - topics.here.ended_keys
            lost = [key for key in self.drops if not topics.made_of(key)]
            self.wrong.append(f"not within {_REACHED_S:.0f} s by {worker.log.stem}: {missing} {lost}")
            # Said once, and not waited for by those that follow.
            self.tasks = {task_id: status for task_id, status in self.tasks.items() if task_id not in missing}
            self.drops = [key for key in self.drops if key not in lost]

    def _judge(self, topics: _Topics) -> None:
        for key in self.drops:
            made = topics.made_of(key)
            if len(set(made)) != 1 or (self.mode == EXACTLY_ONCE and len(made) != 1):
                self.wrong.append(f"{key} became {len(made)} tasks: {made}")
            self.tasks |= dict.fromkeys(made, "3")
        for task_id, status in self.tasks.items():
            self._judge_task(topics, task_id, status)

    def _judge_task(self, topics: _Topics, task_id: str, status: str) -> None:
        events = topics.here.terminal(task_id)
        # Of a run that the ledger knows there is one answer; a busy machine may make it stand aside.
        is_known = not self._ledger_stood_aside()
        counts = Counter((event.status, event.value if is_known else b"") for event in events)
        letters = topics.here.letters_of(task_id)
        wanted = int(status == "4")
        is_right = len(counts) == 1 and events[0].status == status and len(letters) >= wanted
        if self.mode == EXACTLY_ONCE:
            is_right = is_right and len(events) == 1 and len(letters) == wanted
        if not is_right:
            said = [(event.header("worker_id"), event.status, event.value[:200]) for event in events]
            self.wrong.append(f"{task_id} is to end once with {status}: {said}, {len(letters)} dead letters")

    def _ledger_stood_aside(self) -> bool:
        logs = (log.read_text("utf-8", "replace") for log in self.stage.folder.glob("*.log"))
        return any("connection_down component=ledger" in log for log in logs)


@dataclass(frozen=True, slots=True)
class _Topics:
    """All topics of a chain, as a ``read_committed`` reader finds them."""

    here: Platform
    between: Platform
    """Sends to the drop topic; its events are the tasks topic's messages, its letters those of the retry topic."""

    def has_outcome(self, task_id: str) -> bool:
        return bool(self.here.terminal(task_id) or self.between.letters_of(task_id))

    def made_of(self, key: str) -> list[str]:
        """Ids of the messages that were made of a file, as often as there are any."""
        return [
            (read.key or b"").decode()
            for read in self.between.events
            if str(read.body.get("storage_path", "")).endswith(f"/{key}") and read.header("status") == "1"
        ]


def _committed(consumer: Consumer, asked: list[TopicPartition]) -> list[TopicPartition]:
    """Asked again of a broker that has just become the group's coordinator."""
    for _ in range(int(_VISIBLE_S)):
        try:
            return consumer.committed(asked, 10)
        except KafkaException:
            time.sleep(1.0)
    return consumer.committed(asked, 10)


async def _until(true: Callable[[], bool], seconds: float) -> bool:
    for _ in range(int(seconds / _LOOK_S)):
        if true():
            return True
        await asyncio.sleep(_LOOK_S)
    return true()
