"""Who is measured: the real worker or the plain loop, each as a process of its own."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil

from scripts.benchmark.topics import Topics
from tests.services.process import OwnProcess
from tests.services.reaper import Reaper

ROOT = Path(__file__).resolve().parents[2]
_INSTANT = Path(__file__).with_name("instant")
_MB = 1_000_000


@dataclass(frozen=True, slots=True)
class Setup:
    """How a contender is set up; what is not here is at its default."""

    slots: int = 10
    seconds: float = 0.0
    """How long an answer takes."""
    calls: Path | None = None
    """Where the times of all calls go."""
    deployed: bool = False
    """With an object store and GigaChat configured, so that all of a deployment's code is in memory."""


@dataclass(frozen=True, slots=True)
class Contender:
    """One of the two."""

    name: str
    command: Sequence[str]


WORKER = Contender("worker", (sys.executable, str(ROOT / "main.py")))
PLAIN = Contender("plain loop", (sys.executable, str(ROOT / "scripts/benchmark/plain_loop.py")))


class Running:
    """A started contender, as the operating system sees it."""

    def __init__(self, process: OwnProcess) -> None:
        self._own = process
        self._process = psutil.Process(process.pid)

    def cpu_s(self) -> float:
        """Seconds of CPU of the process itself: its threads, not its children."""
        self._require()
        times = self._process.cpu_times()
        return times.user + times.system

    def rss_mb(self) -> float:
        self._require()
        return float(self._process.memory_info().rss) / _MB

    def pss_mb(self) -> float:
        """Shared pages are counted by their part; slow to ask."""
        return float(self._process.memory_full_info().pss) / _MB

    def children_pss_mb(self) -> float:
        return sum(child.memory_full_info().pss for child in self._process.children(recursive=True)) / _MB

    def until(self, true: Callable[[], bool], limit_s: float, what: str, pause_s: float = 0.1) -> None:
        """Ask again after each pause. Raises RuntimeError with the log's end."""
        deadline = time.monotonic() + limit_s
        while not true():
            self._require()
            if time.monotonic() > deadline:
                raise RuntimeError(f"not within {limit_s:.0f} s: {what}\n{self._own.log_tail()}")
            time.sleep(pause_s)

    def _require(self) -> None:
        if not self._own.is_running:
            raise RuntimeError(f"it ended by itself:\n{self._own.log_tail()}")


@contextmanager
def running(
    contender: Contender, topics: Topics, setup: Setup, folder: Path, reaper: Reaper
) -> Iterator[Running]:
    """Started on entering; told to end, and ended, on leaving."""
    process = OwnProcess(contender.command, folder, reaper, _environment(topics, setup, folder))
    process.start()
    try:
        yield Running(process)
    finally:
        process.stop()


def _environment(topics: Topics, setup: Setup, folder: Path) -> Mapping[str, str]:
    calls = {} if setup.calls is None else {"INSTANT_CALLS": str(setup.calls)}
    store = folder / "store"
    deployed = {"STORAGE_FOLDER": str(store), "MINIO_BUCKET_NAME": "bench", "GIGACHAT_ACCESS_TOKEN": "bench"}
    if setup.deployed:
        (store / "bench").mkdir(parents=True, exist_ok=True)
    return {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": str(_INSTANT),
        "LLM_PROVIDER": "instant",
        "INSTANT_SECONDS": str(setup.seconds),
        "HTTP_PORT": "0",
        "KAFKA_BOOTSTRAP_SERVERS": topics.bootstrap,
        "KAFKA_TASKS_TOPIC": topics.tasks,
        "KAFKA_STATUS_TOPIC": topics.status,
        "KAFKA_DLQ_TOPIC": topics.dead_letters,
        "KAFKA_RETRY_TOPIC": "none",
        "KAFKA_GROUP_ID": topics.group,
        "WORKER_MAX_CONCURRENT_TASKS": str(setup.slots),
        **calls,
        **(deployed if setup.deployed else {}),
    }
