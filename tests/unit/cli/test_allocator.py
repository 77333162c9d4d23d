"""What a worker does not use it does not keep: few arenas, whose free pages go back. In processes of their own."""

from __future__ import annotations

import asyncio
import ctypes
import platform
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from llm_service.cli.running.allocator import ARENAS, give_back_regularly, use_few_arenas
from tests.manual_clock import ManualClock

ROOT = Path(__file__).resolve().parents[3]
THREADS = 24
"""More than glibc's own limit on one core, which is eight."""
PIECES, PIECE_BYTES = 40_000, 1_000
KEPT_OF = 100
"""One of so many stays: by itself it holds a page of 4 kB, and of its share of 100 kB the rest is free."""

pytestmark = pytest.mark.skipif(
    platform.libc_ver()[0] != "glibc", reason="arenas are glibc's; elsewhere nothing is asked for"
)


def arenas_of_many_threads(report: Path) -> None:
    """Write how many arenas there are once many threads have allocated at the same time."""
    together = threading.Barrier(THREADS)

    def hold() -> None:
        held = bytearray(10_000)
        together.wait()
        held.clear()

    threads = [threading.Thread(target=hold) for _ in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    libc = ctypes.CDLL(None)
    libc.fopen.restype = ctypes.c_void_p
    stream = ctypes.c_void_p(libc.fopen(str(report).encode(), b"w"))
    libc.malloc_info(0, stream)
    libc.fclose(stream)
    sys.stdout.write(str(report.read_text("utf-8").count("<heap nr=")))


def few_arenas_of_many_threads(report: Path) -> None:
    use_few_arenas()
    arenas_of_many_threads(report)


def memory_given_back() -> None:
    """Write by how many bytes the process is smaller after one turn of the regular upkeep."""
    pieces = [bytes(PIECE_BYTES) for _ in range(PIECES)]
    kept = pieces[::KEPT_OF]
    pieces.clear()
    before = anonymous_bytes()
    asyncio.run(one_turn())
    sys.stdout.write(str(before - anonymous_bytes()))
    kept.clear()


async def one_turn() -> None:
    clock = ManualClock()
    upkeep = asyncio.create_task(give_back_regularly(clock))
    await clock.settle()
    assert clock.next_due is not None
    await clock.advance(clock.next_due - clock.monotonic())
    # A thread does it.
    await asyncio.get_running_loop().shutdown_default_executor()
    upkeep.cancel()


def anonymous_bytes() -> int:
    lines = Path("/proc/self/status").read_text("utf-8").splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("RssAnon:"))


def said_by(call: str) -> int:
    """What a process of its own writes that calls so."""
    source = f"from pathlib import Path; from {__name__} import *; {call}"
    found = subprocess.run(
        [sys.executable, "-c", source], cwd=ROOT, capture_output=True, text=True, check=True, timeout=60
    )
    return int(found.stdout)


def test_many_threads_share_two_arenas(tmp_path: Path) -> None:
    assert said_by(f"few_arenas_of_many_threads(Path({str(tmp_path / 'few')!r}))") <= ARENAS
    assert said_by(f"arenas_of_many_threads(Path({str(tmp_path / 'many')!r}))") > ARENAS


def test_free_pages_between_what_is_kept_go_back_to_the_machine() -> None:
    # At most every fourth page holds a kept piece or the end of one; half leaves room for what else the process does.
    assert said_by("memory_given_back()") > PIECES * PIECE_BYTES / 2
