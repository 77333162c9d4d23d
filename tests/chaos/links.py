"""The proxy's process as the run has it: told what the weather is, and ended with the run."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass

from tests.acceptance.worker import ROOT
from tests.chaos.proxy import Weather
from tests.services.reaper import Reaper

_END_S = 5.0


@dataclass(frozen=True, slots=True)
class Links:
    """By the dependency's name, the port that leads to it."""

    ports: Mapping[str, int]
    process: subprocess.Popen[bytes]

    def change(self, name: str, weather: Weather | None = None) -> None:
        """Without a weather it is fine again."""
        assert self.process.stdin is not None
        line = {"link": name, **asdict(weather or Weather())}
        self.process.stdin.write(json.dumps(line).encode() + b"\n")
        self.process.stdin.flush()


@contextmanager
def linked(targets: Mapping[str, tuple[int, int]], reaper: Reaper) -> Iterator[Links]:
    """By name, the port to listen on and the port that it leads to."""
    arguments = [f"{name}:{port}:{target}" for name, (port, target) in targets.items()]
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.chaos.proxy", *arguments],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        process_group=0,
    )
    reaper.watch_group(process.pid)
    with process:
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            assert process.stdout.readline() == b"ready\n", "the proxy did not start"
            yield Links({name: port for name, (port, _) in targets.items()}, process)
        finally:
            process.stdin.close()
            try:
                process.wait(_END_S)
            except subprocess.TimeoutExpired:
                process.kill()
            reaper.forget_group(process.pid)
