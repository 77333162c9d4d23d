"""Samples of the group's committed offsets, read from the broker by a consumer that never joins the group."""

from __future__ import annotations

import threading
import time
from pathlib import Path

from confluent_kafka import Consumer, KafkaException, TopicPartition

from tests.chaos.recording import Lines

EVERY_S = 0.1
_ASK_S = 5.0


class Sampler:
    """Writes what has changed, on a thread of its own, until it is closed."""

    def __init__(self, bootstrap: str, group: str, topic: str, partitions: int, path: Path) -> None:
        self._places = [TopicPartition(topic, partition) for partition in range(partitions)]
        # read_uncommitted: it answers at once with the last stable offsets, where read_committed waits for
        # transactions that are under way, and some always are.
        self._consumer = Consumer(
            {
                "bootstrap.servers": bootstrap,
                "group.id": group,
                "isolation.level": "read_uncommitted",
                "log_level": 0,
            }
        )
        self._lines = Lines(path)
        self._before: dict[int, tuple[int, str]] = {}
        self._stop = threading.Event()
        self.count = 0
        self._thread = threading.Thread(target=self._run, name="sampler", daemon=True)
        self._thread.start()

    @property
    def committed(self) -> dict[int, int]:
        """The committed offsets by partition, as sampled last."""
        return {partition: offset for partition, (offset, _) in self._before.items()}

    def close(self) -> None:
        self._stop.set()
        self._thread.join(2 * _ASK_S)
        self._consumer.close()
        self._lines.close()

    def _run(self) -> None:
        while not self._stop.wait(EVERY_S):
            try:
                answers = self._consumer.committed(self._places, _ASK_S)
            except KafkaException:
                continue  # the broker is away: there is nothing to see
            at = time.time()
            found = {
                answer.partition: (answer.offset, answer.metadata or "")
                for answer in answers
                if answer.error is None and answer.offset >= 0
            }
            changed = {place: value for place, value in found.items() if self._before.get(place) != value}
            self.count += 1
            if changed:
                self._before |= changed
                self._lines.write({"at": at, "committed": changed})
