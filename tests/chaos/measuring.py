"""What the kernel and the workers' own pages say of them, now and then: for I12, I15 and the soak."""

from __future__ import annotations

import asyncio
import contextlib
import os
import time
import urllib.request
from pathlib import Path

import psutil

from tests.chaos.crew import Crew, Member
from tests.chaos.recording import Lines


class Meter:
    """Writes a line for each living worker, until it is closed."""

    def __init__(self, crew: Crew, folder: Path, every_s: float) -> None:
        self._crew = crew
        self._every_s = every_s
        self._resources = Lines(folder / "resources.jsonl")
        self._metrics = Lines(folder / "metrics.jsonl")

    async def run(self) -> None:
        while True:
            await self.take()
            await asyncio.sleep(self._every_s)

    async def take(self, note: str = "") -> None:
        await asyncio.gather(*(asyncio.to_thread(self._one, member, note) for member in self._crew.running))

    def close(self) -> None:
        self._resources.close()
        self._metrics.close()

    def _one(self, member: Member, note: str) -> None:
        worker, process = member.worker_id, member.process
        about = {"at": time.time(), "worker": worker, "note": note}
        with contextlib.suppress(psutil.Error):
            kernel = psutil.Process(process.pid if process is not None else 0)
            times = kernel.cpu_times()
            line = {
                "rss": kernel.memory_info().rss,
                "fds": kernel.num_fds(),
                "threads": kernel.num_threads(),
                "cpu": times.user + times.system,
                "load": os.getloadavg()[0],
            }
            self._resources.write(about | line)
        with contextlib.suppress(OSError):
            page = urllib.request.urlopen(f"http://127.0.0.1:{member.port}/metrics", timeout=2).read()
            self._metrics.write(about | {"series": _series(page.decode())})


def _series(page: str) -> dict[str, float]:
    """Of the service's own, but for the histograms' buckets."""
    found = {}
    for line in page.splitlines():
        name, _, value = line.rpartition(" ")
        if name.startswith("llm_service_") and "_bucket" not in name:
            found[name] = float(value)
    return found
