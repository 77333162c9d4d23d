"""A process of its own that ends what a run started when the run ends, whatever way it ends.

It holds the reading end of a pipe. When the run's process is gone, SIGKILL included, the pipe closes, and the
reaper kills the process groups and removes the folders it was told of. Linux's parent-death signal would be
shorter, but it follows the thread that forked: a service started from ``asyncio.to_thread`` would die with it.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path


class Reaper:
    """The run's end of the pipe."""

    def __init__(self) -> None:
        # A session of its own: Ctrl-C reaches the run, not its reaper.
        self._process = subprocess.Popen(
            [sys.executable, "-I", "-S", __file__], stdin=subprocess.PIPE, start_new_session=True, text=True
        )

    @property
    def pid(self) -> int:
        return self._process.pid

    def watch_group(self, group: int) -> None:
        self._tell(f"+group {group}")

    def forget_group(self, group: int) -> None:
        """Must follow a group's end: its number may be given to a stranger."""
        self._tell(f"-group {group}")

    def watch_folder(self, folder: Path) -> None:
        self._tell(f"+folder {folder}")

    def close(self, limit_s: float = 120) -> None:
        """Let it do its work now and wait for it: a store's folder of ten thousand objects is not gone in an instant."""
        if self._process.stdin is not None:
            with contextlib.suppress(BrokenPipeError):
                self._process.stdin.close()
        self._process.wait(limit_s)

    def _tell(self, line: str) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(line + "\n")
        self._process.stdin.flush()


def reap(lines: Iterable[str]) -> None:
    """Keep the list that the lines tell; when they end, kill the groups and remove the folders."""
    watched: dict[str, None] = {}
    for line in lines:
        what = line.rstrip("\n")
        if what.startswith("+"):
            watched[what[1:]] = None
        else:
            watched.pop(what[1:], None)
    for what in watched:
        kind, _, name = what.partition(" ")
        if kind == "group":
            with contextlib.suppress(ProcessLookupError):
                os.killpg(int(name), signal.SIGKILL)
    for what in watched:
        kind, _, name = what.partition(" ")
        if kind == "folder":
            shutil.rmtree(name, ignore_errors=True)


if __name__ == "__main__":
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    reap(sys.stdin)
