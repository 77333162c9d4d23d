"""What this machine, or the container around the process, has to give."""

from __future__ import annotations

import os
from pathlib import Path

# cgroup v2: what a container may have.
_MEMORY_MAX = Path("/sys/fs/cgroup/memory.max")
_CPU_MAX = Path("/sys/fs/cgroup/cpu.max")
# The rest is the service's own, the system's and its file cache's.
_SHARE = 0.75


def memory_for_models() -> int:
    """Bytes: three quarters of what there is."""
    total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    limit = _first_number(_MEMORY_MAX)
    return int(_SHARE * (total if limit is None else min(total, limit)))


def threads_for_models() -> int:
    """All cores: the engine's process is nicer than the service, and its threads sleep while they wait."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    quota, period = _first_number(_CPU_MAX), _number_at(_CPU_MAX, 1)
    if quota is not None and period:
        cores = min(cores, max(1, quota // period))
    return cores


def _first_number(path: Path) -> int | None:
    return _number_at(path, 0)


def _number_at(path: Path, place: int) -> int | None:
    try:
        return int(path.read_text().split()[place])
    except (OSError, ValueError, IndexError):  # no cgroup, or "max"
        return None
