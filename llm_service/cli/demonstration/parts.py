"""The embedded parts and the real worker on them: a broker in memory, a folder as object store, a log file."""

from __future__ import annotations

import asyncio
import gc
import random
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import TextIO

from llm_service import events
from llm_service.container.service import Service
from llm_service.errors import ConsumerFatal
from llm_service.files.work_folder import WorkFolder, usual_root
from llm_service.kafka.embedded import EmbeddedBroker
from llm_service.kafka.topics import DEFAULT_STATUS_TOPIC
from llm_service.observability import logging
from llm_service.observability.fan_out import fan_out
from llm_service.observability.log_observer import LogObserver
from llm_service.resilience.clock import Clock
from llm_service.settings import Settings

TASKS_TOPIC, STATUS_TOPIC, DEAD_LETTER_TOPIC = "tasks_llm", DEFAULT_STATUS_TOPIC, "tasks_llm_dlq"
BUCKET = "documents"
# The broker is in this process and answers in milliseconds. It does not know the request for a topic's settings,
# which costs the whole of this.
_SURVEY_S = 0.3
_JOIN_LIMIT_S = 30.0


class EmbeddedParts:
    """Made in steps, closed as a whole; whatever was made is gone after ``close``."""

    def __init__(self, clock: Clock, rng: random.Random) -> None:
        self._clock = clock
        self._rng = rng
        self._folder = WorkFolder(usual_root())
        self._broker: EmbeddedBroker | None = None
        self._log: TextIO | None = None
        self._written: logging.Log | None = None
        self._service: Service | None = None
        self._stop = asyncio.Event()
        self._running: asyncio.Task[None] | None = None
        self._assigned = asyncio.Event()

    async def open(self) -> None:
        """The folder and the broker. Raises WorkFolderUnavailable, DependencyUnavailable."""
        self.bucket_folder.mkdir(parents=True)
        self._broker = await asyncio.to_thread(_broker)

    async def start_worker(self, settings: Settings) -> None:
        """The worker of these settings, a member of its group when this returns.

        Raises SettingsInvalid, BootstrapFailed, ConsumerFatal.
        """
        self._log = self.log_path.open("w", encoding="utf-8")
        self._written = logging.configure(logging.LogPolicy(secrets=settings.secrets()), self._log)
        observe = fan_out(LogObserver(), self._on_event)
        self._service = Service(settings, self._clock, self._rng, observe, survey_s=_SURVEY_S)
        await self._service.start()
        self._running = asyncio.create_task(self._service.run(self._stop), name="worker")
        joining = asyncio.create_task(self._assigned.wait())
        try:
            await asyncio.wait(
                {joining, self._running}, timeout=_JOIN_LIMIT_S, return_when=asyncio.FIRST_COMPLETED
            )
        finally:
            joining.cancel()
        self.check()
        if not self._assigned.is_set():
            raise ConsumerFatal(f"the worker was given no partition in {_JOIN_LIMIT_S:.0f} s")

    def check(self) -> None:
        """Raises what ended the worker, if it has ended."""
        if self._running is not None and self._running.done():
            self._running.result()

    def fixed_settings(self) -> Mapping[str, str]:
        """Settings that point a worker at these parts."""
        return {
            "KAFKA_BOOTSTRAP_SERVERS": self.bootstrap,
            "KAFKA_TASKS_TOPIC": TASKS_TOPIC,
            "KAFKA_STATUS_TOPIC": STATUS_TOPIC,
            "KAFKA_DLQ_TOPIC": DEAD_LETTER_TOPIC,
            "KAFKA_RETRY_TOPIC": "none",
            # The embedded broker takes transactions and keeps none of their promises; now and then it even returns what
            # was written in one with a wrong checksum.
            "KAFKA_DELIVERY": "at_least_once",
            # KIP-848: assigned in 0.1 s; the embedded broker lets a classic group wait 3 s for more members.
            "KAFKA_GROUP_PROTOCOL": "consumer",
            # The consumer's thread ends after its poll: a second of waiting at the end that nobody needs.
            "KAFKA_CONSUMER_POLL_TIMEOUT": "0.1",
            # Its topics are as new as its broker, which does not know what would be asked of it.
            "KAFKA_ADOPT": "off",
            "STORAGE_FOLDER": str(self._objects),
            "MINIO_BUCKET_NAME": BUCKET,
            "FILE_TEMP_FOLDER": str(self.folder / "work"),
            # Nobody takes over from a demonstration: what runs at its end is cut.
            "WORKER_SHUTDOWN_TIMEOUT_SECONDS": "0.5",
        }

    @property
    def bootstrap(self) -> str:
        if self._broker is None:
            raise RuntimeError("open() comes first")
        return self._broker.bootstrap

    @property
    def folder(self) -> Path:
        return self._folder.open()

    @property
    def bucket_folder(self) -> Path:
        """Where the objects of the default bucket are."""
        return self._objects / BUCKET

    @property
    def log_path(self) -> Path:
        return self.folder / "worker.log"

    @property
    def _objects(self) -> Path:
        return self.folder / "objects"

    def keep_log(self) -> Path | None:
        """A copy of the worker's log outside of the folder; None when there is none yet."""
        if self._written is None:
            return None
        self._written.wait_written()
        made, name = tempfile.mkstemp(prefix="llm-service-demo-", suffix=".log")
        with open(made, "wb") as copy, self.log_path.open("rb") as log:  # noqa: PTH123 # a descriptor, not a path
            shutil.copyfileobj(log, copy)
        return Path(name)

    async def close(self) -> None:
        """Stop the worker and take everything away; each step has its limit."""
        try:
            await self._stop_worker()
        finally:
            if self._log is not None:
                logging.shutdown()
                self._log.close()
            # librdkafka's clients end when they are collected, and one that loses its broker before complains on the
            # terminal: the worker's are collected first.
            self._service = self._running = None
            gc.collect()
            self._broker = None
            self._folder.close()

    async def _stop_worker(self) -> None:
        self._stop.set()
        if self._running is not None:
            # Its error, if it had one, was raised by check().
            await asyncio.gather(self._running, return_exceptions=True)
        if self._service is not None:
            await self._service.stop()

    def _on_event(self, event: events.Event) -> None:
        if isinstance(event, events.PartitionsAssigned):
            self._assigned.set()


def _broker() -> EmbeddedBroker:
    broker = EmbeddedBroker()
    broker.create_topics((TASKS_TOPIC, STATUS_TOPIC, DEAD_LETTER_TOPIC))
    return broker
