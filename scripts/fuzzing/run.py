"""Fuzzes one target from outside: starts the engine, follows it, and reads what it says in the end."""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

_COUNT = re.compile(r"#(\d+)\s")
_STATISTIC = re.compile(r"stat::(\w+):\s+(\d+)")
_COVERAGE = re.compile(r"cov: (\d+)")
# The traceback and libFuzzer's own lines behind it.
_TAIL_LINES = 40


@dataclass(frozen=True, slots=True)
class Fuzzed:
    """What came of it."""

    target: str
    inputs: int
    seed: int
    seconds: float
    edges: int
    """Branches of the parser that were reached."""
    finding: bytes | None
    """The first input that broke a promise; None where none did."""
    said: str
    """The traceback of a finding, or why the engine ended; empty where all is well."""

    @property
    def failed(self) -> bool:
        return bool(self.said)


def fuzz(target: str, inputs: int, seed: int, progress: Callable[[int], None]) -> Fuzzed:
    """Try so many inputs, until one breaks a promise; ``progress`` hears how many were tried."""
    began = time.monotonic()
    tail: deque[str] = deque(maxlen=_TAIL_LINES)
    tried = edges = 0
    with tempfile.TemporaryDirectory(prefix="llm-service-fuzz-") as folder:
        command = [sys.executable, "-m", "scripts.fuzzing.engine", target, folder, str(inputs), str(seed)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as child:
            try:
                for line in child.stdout or ():
                    tail.append(line)
                    if found := _COUNT.match(line):
                        tried = int(found[1])
                        progress(tried)
                    if covered := _COVERAGE.search(line):
                        edges = int(covered[1])
                    if (told := _STATISTIC.match(line)) and told[1] == "number_of_executed_units":
                        tried = int(told[2])
            finally:
                child.terminate()
        artifacts = [path for path in Path(folder).iterdir() if path.is_file() and path.name != "words"]
        finding = artifacts[0].read_bytes() if artifacts else None
    said = "".join(tail) if child.returncode or finding is not None else ""
    return Fuzzed(target, tried, seed, time.monotonic() - began, edges, finding, said)
