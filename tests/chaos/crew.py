"""The workers: real processes, each started again when it ends, as an orchestrator would."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tests.acceptance.worker import ROOT, Worker
from tests.chaos.recording import Life
from tests.services.reaper import Reaper

_LOOK_S = 0.02
# A worker that can't start, as while the broker is away, is started again after so long.
_PAUSE_S = 0.3


@dataclass(slots=True)
class Member:
    """One place in the crew; its processes come and go."""

    slot: str
    environment: Mapping[str, str]
    log: Path
    command: Sequence[str]
    reaper: Reaper
    ended: Callable[[Life], None]
    away_s: float = 0.0
    """How long it stays away after its next end."""
    wanted: bool = True
    busy: asyncio.Lock = field(default_factory=asyncio.Lock)
    """Held by the fault that is at it."""
    life: Life | None = None
    process: subprocess.Popen[bytes] | None = None
    port: int = 0
    count: int = 0

    @property
    def running(self) -> bool:
        return self.process is not None and self.process.poll() is None

    @property
    def killed(self) -> bool:
        """Whether the process that runs, or ran last, was sent SIGKILL."""
        return self.life is not None and any(name == "SIGKILL" for _, name in self.life.signals)

    @property
    def worker_id(self) -> str:
        return self.life.worker if self.life is not None else ""

    def signal(self, number: signal.Signals) -> float:
        """Send it; when, in seconds since the epoch."""
        assert self.process is not None
        assert self.life is not None
        at = time.time()
        self.process.send_signal(number)
        self.life.signals.append((at, number.name))
        return at

    def start(self) -> None:
        self.count += 1
        worker_id = f"LLM_{self.slot}.{self.count}"
        worker = Worker({**self.environment, "WORKER_ID": worker_id}, self.log)
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                list(self.command),
                env=worker.environment,
                cwd=self.log.parent,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                process_group=0,
            )
        self.reaper.watch_group(self.process.pid)
        self.port = worker.port
        self.life = Life(worker_id, self.slot, time.time())

    def is_ready(self) -> bool:
        """Whether its page says so."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/ready", timeout=2) as answer:
                return bool(answer.status == 200)
        except OSError:
            return False

    async def keep(self) -> None:
        """Start it whenever it is not there, until it is no longer wanted."""
        while self.wanted:
            self.start()
            await self.gone(None)
            self._note_end()
            away, self.away_s = self.away_s, 0.0
            if self.wanted:
                await asyncio.sleep(away or (_PAUSE_S if self._failed else 0.0))

    async def gone(self, seconds: float | None) -> bool:
        """Whether the process that runs now ends within so long; None for as long as it takes."""
        process, began = self.process, time.monotonic()
        while process is not None and process.poll() is None:
            if seconds is not None and time.monotonic() - began > seconds:
                return False
            await asyncio.sleep(_LOOK_S)
        return True

    @property
    def _failed(self) -> bool:
        return self.life is not None and self.life.code not in {0, -signal.SIGKILL}

    def _note_end(self) -> None:
        assert self.life is not None
        assert self.process is not None
        self.reaper.forget_group(self.process.pid)
        self.life.ended, self.life.code = time.time(), self.process.returncode
        self.ended(self.life)


@dataclass(slots=True)
class Crew:
    """All members, and those that come for a while."""

    members: list[Member]
    hire: Callable[[str, bool], Member]
    """Makes a member of this name; with True one of static membership."""
    keepers: list[asyncio.Task[None]] = field(default_factory=list)

    def begin(self, member: Member) -> None:
        if member not in self.members:
            self.members.append(member)
        self.keepers.append(asyncio.create_task(member.keep()))

    @property
    def running(self) -> list[Member]:
        return [member for member in self.members if member.running]

    async def dismiss(self, seconds: float) -> list[str]:
        """SIGTERM to all and their ends; the names of those that did not end within so long."""
        for member in self.members:
            member.wanted = False
            if member.running:
                member.signal(signal.SIGTERM)
        late = [member.slot for member in self.members if not await member.gone(seconds)]
        self.kill()
        await asyncio.gather(*self.keepers)
        return late

    def kill(self) -> None:
        """Whatever happens, none is left."""
        for member in self.members:
            member.wanted = False
            if member.running and member.process is not None:
                os.killpg(member.process.pid, signal.SIGKILL)


def command_of(patch: str) -> list[str]:
    """How a worker is started; with a patch, through the module that applies it."""
    if patch:
        return [sys.executable, "-m", "tests.chaos.patched", patch]
    return [sys.executable, str(ROOT / "main.py")]
