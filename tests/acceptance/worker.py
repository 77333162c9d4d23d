"""The real worker as its own process: ``python main.py`` with an environment and nothing else."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.services.ports import free_port

ROOT = Path(__file__).resolve().parents[2]
START_S = 40.0


class Worker:
    """One worker that can be started again under the same settings."""

    def __init__(self, environment: Mapping[str, str], log: Path) -> None:
        self.port = free_port()
        self.root = ROOT
        """Whose ``main.py`` it runs: another version's, for one."""
        self.log = log
        self.environment = {
            "PATH": os.environ["PATH"],
            "HTTP_PORT": str(self.port),
            "PYTHONWARNINGS": "default",
            **environment,
        }
        self.process: subprocess.Popen[bytes] | None = None

    def start(self, *, wait: bool = True) -> Worker:
        """Start it; with ``wait`` return when /ready says so."""
        with self.log.open("ab") as log:
            # In a folder of its own: no .env of the checkout is read.
            self.process = subprocess.Popen(
                [sys.executable, str(self.root / "main.py")],
                env=self.environment,
                cwd=self.log.parent,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        if wait:
            self.wait_ready()
        return self

    def wait_ready(self, seconds: float = START_S) -> None:
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if not self.running:
                raise AssertionError(f"the worker ended with {self.returncode}:\n{self.output()[-3000:]}")
            if self.get("/ready")[0] == 200:
                return
            time.sleep(0.05)
        raise AssertionError(
            f"not ready within {seconds:.0f} s: {self.get('/ready')}\n{self.output()[-3000:]}"
        )

    def get(self, path: str) -> tuple[int, Any]:
        """Status and JSON body (text for /metrics); status 0 when nobody answers."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=2) as answer:
                return answer.status, _decoded(answer.read())
        except urllib.error.HTTPError as refused:
            return refused.code, _decoded(refused.read())
        except OSError:
            return 0, None

    def metric(self, name: str, **labels: str) -> float:
        """The value of a series; 0 when it is not there."""
        total = 0.0
        for line in str(self.get("/metrics")[1]).splitlines():
            if line.startswith(name) and all(f'{key}="{value}"' in line for key, value in labels.items()):
                total += float(line.rpartition(" ")[2])
        return total

    def signal(self, number: signal.Signals) -> None:
        assert self.process is not None
        self.process.send_signal(number)

    def kill(self) -> None:
        """SIGKILL, and gone when this returns."""
        self.signal(signal.SIGKILL)
        self.wait(5)

    def terminate(self, seconds: float = 45.0) -> int:
        """SIGTERM; the exit code."""
        self.signal(signal.SIGTERM)
        return self.wait(seconds)

    def wait(self, seconds: float) -> int:
        assert self.process is not None
        return self.process.wait(seconds)

    @property
    def running(self) -> bool:
        return self.process is not None and self.process.poll() is None

    @property
    def returncode(self) -> int | None:
        """None while it runs."""
        return self.process.poll() if self.process is not None else None

    def output(self) -> str:
        return self.log.read_text("utf-8", "replace")


@contextmanager
def workers(*all_of_them: Worker) -> Iterator[None]:
    """Whatever happens to the test, none of them is left."""
    try:
        yield
    finally:
        for worker in all_of_them:
            if worker.running:
                worker.kill()


def _decoded(body: bytes) -> Any:
    try:
        return json.loads(body)
    except ValueError:
        return body.decode()
