"""Half a minute of faults: every task has its answer, and exactly one of it."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.worker import ROOT


def chaos(folder: Path, *options: str) -> dict[str, Any]:
    """The report of ``./scripts/chaos``, which is this module."""
    command = [sys.executable, "-m", "tests.chaos", "--out", str(folder), "--json", *options]
    ran = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=False)
    if ran.returncode == 69:
        pytest.skip("a service can't be had")
    assert (folder / "report.txt").exists(), f"it ended with {ran.returncode}"
    text = (folder / "report.txt").read_text()
    logging.getLogger(__name__).warning("%s", text)
    assert ran.returncode == 0, text
    found: dict[str, Any] = json.loads(ran.stdout)
    return found


@pytest.mark.timeout(600)
def test_half_a_minute_with_tasks_and_statuses_on_one_topic(tmp_path: Path) -> None:
    chaos(tmp_path / "run", "--minutes", "0.5", "--seed", "7", "--faults", "F1,F4,F5,F9", "--shared")
