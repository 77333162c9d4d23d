"""What one document costs the child process that reads it, as the kernel counts it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil

from llm_service.files.conversion.converter import Converter


@dataclass(slots=True)
class Cost:
    """Above what the child had used when it began."""

    cpu_s: float = 0.0
    memory_bytes: int = 0


def child_of(converter: Converter) -> psutil.Process:
    """The one child of a converter that has converted something."""
    starting = converter._all[0]._starting
    assert starting is not None
    return psutil.Process(starting.result().pid)


@contextmanager
def measured(child: psutil.Process) -> Iterator[Cost]:
    """Fails where the child does not live to the end: a limit that kills is no refusal."""
    folder = Path(f"/proc/{child.pid}")
    # Documented in proc(5): the peak starts anew from what is resident now.
    (folder / "clear_refs").write_text("5")
    cpu, base = _cpu_s(child), child.memory_info().rss
    cost = Cost()
    yield cost
    cost.cpu_s = _cpu_s(child) - cpu
    cost.memory_bytes = _peak(folder) - base


def _cpu_s(child: psutil.Process) -> float:
    times = child.cpu_times()
    return float(times.user + times.system)


def _peak(folder: Path) -> int:
    (line,) = (line for line in (folder / "status").read_text().splitlines() if line.startswith("VmHWM:"))
    return int(line.split()[1]) * 1024
