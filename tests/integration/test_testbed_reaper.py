"""What a run started ends with it, also when the run is killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

# A run that was started in the background of a script has SIGINT ignored, and hands that down.
_RUN = """
import signal, subprocess, sys, time
signal.signal(signal.SIGINT, signal.default_int_handler)
from pathlib import Path
from tests.services.process import OwnProcess
from tests.services.reaper import Reaper

folder = Path(sys.argv[1])
reaper = Reaper()
reaper.watch_folder(folder)
service = OwnProcess(["sh", "-c", "sleep 300 & wait"], folder, reaper)
service.start()
print(service.pid, reaper.pid, flush=True)
time.sleep(300)
"""


@pytest.mark.parametrize("ending", [signal.SIGKILL, signal.SIGINT, signal.SIGTERM])
def test_processes_and_folders_go_with_the_run(tmp_path: Path, ending: signal.Signals) -> None:
    folder = tmp_path / "service"
    folder.mkdir()
    with subprocess.Popen(
        [sys.executable, "-c", _RUN, str(folder)],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        start_new_session=True,
    ) as run:
        assert run.stdout is not None
        service, reaper = (psutil.Process(int(pid)) for pid in run.stdout.readline().split())
        grandchildren = _children(service)
        assert folder.exists()
        os.killpg(run.pid, ending)
    gone, alive = psutil.wait_procs([service, reaper, *grandchildren], timeout=10)
    assert len(gone) == 3
    assert alive == []
    assert not folder.exists()


def _children(process: psutil.Process) -> list[psutil.Process]:
    """Once there is one: the shell has to start it first."""
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        if children := process.children():
            return children
    raise TimeoutError(f"process {process.pid} started nothing")
