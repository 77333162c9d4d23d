"""The status topic, read while it is written: who is at work on what. For the faults' aim and the progress alone."""

from __future__ import annotations

import threading
import time
from collections import Counter, defaultdict

from confluent_kafka import OFFSET_BEGINNING, Consumer, Message, TopicPartition

from tests.chaos.dump import headers_of


class Watcher:
    """Follows it from its beginning on a thread of its own, aborted transactions included."""

    def __init__(self, bootstrap: str, topic: str, partitions: int) -> None:
        self.ended: Counter[str] = Counter()
        """Terminal events by task."""
        self.done = 0
        self.in_flight: dict[str, set[str]] = defaultdict(set)
        """Runs that were begun and not ended, by the worker that began them last."""
        self.holders: dict[str, str] = {}
        """By task, the worker that began it last, until it is ended."""
        self.last_end = time.monotonic()
        self._at_work: dict[str, str] = {}
        self._stop = threading.Event()
        self._consumer = Consumer(
            {
                "bootstrap.servers": bootstrap,
                "group.id": "chaos-watcher",
                "isolation.level": "read_uncommitted",
                "enable.auto.commit": False,
                "log_level": 0,
            }
        )
        self._consumer.assign([TopicPartition(topic, p, OFFSET_BEGINNING) for p in range(partitions)])
        self._thread = threading.Thread(target=self._run, name="watcher", daemon=True)
        self._thread.start()

    def busy(self, worker_id: str) -> int:
        """Tasks that this worker has begun and not ended."""
        return len(self.in_flight.get(worker_id, ()))

    def close(self) -> None:
        self._stop.set()
        self._thread.join(10)
        self._consumer.close()

    def _run(self) -> None:
        while not self._stop.is_set():
            for message in self._consumer.consume(500, 0.1):
                if message.error() is None:
                    self._see(message)

    def _see(self, message: Message) -> None:
        headers = dict(headers_of(message))
        if "event_id" not in headers:
            return
        run, worker = headers["run"].decode(), headers["worker_id"].decode()
        if before := self._at_work.pop(run, ""):
            self.in_flight[before].discard(run)
        key = message.key()
        task_id = key.decode("utf-8", "replace") if isinstance(key, bytes) else str(key)
        if headers["status"] == b"2":
            self._at_work[run] = self.holders[task_id] = worker
            self.in_flight[worker].add(run)
        else:
            self.holders.pop(task_id, None)
            self.ended[task_id] += 1
            self.done += 1
            self.last_end = time.monotonic()
