"""Five minutes of faults: every task has its answer, and exactly one of it."""

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
    """The report of ``./scripts/chaos``, which is this module; what takes time may take four times as long here."""
    command = [
        sys.executable,
        "-m",
        "tests.chaos",
        "--out",
        str(folder),
        "--json",
        "--patience",
        "4",
        *options,
    ]
    ran = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=False)
    if ran.returncode == 69:
        pytest.skip("a service can't be had")
    assert (folder / "report.txt").exists(), f"it ended with {ran.returncode}"
    text = (folder / "report.txt").read_text()
    logging.getLogger(__name__).warning("%s", text)
    assert ran.returncode == 0, text
    found: dict[str, Any] = json.loads(ran.stdout)
    return found


def numbers(found: dict[str, Any], name: str) -> dict[str, Any]:
    values: dict[str, Any] = next(one for one in found["invariants"] if one["name"] == name)["numbers"]
    return values


# All but the network's own (F10 to F13), which `./scripts/chaos` does unless told otherwise.
FAULTS = "F1,F3,F4,F5,F6,F7,F8,F9,F14,F15,F17,F18,F20,F21,F26,F28"


@pytest.mark.timeout(1200)
def test_five_minutes_of_all_faults(tmp_path: Path) -> None:
    options = ["--minutes", "5", "--tasks", "10000", "--seed", "20261121", "--faults", FAULTS]
    found = chaos(tmp_path / "run", *options)
    assert numbers(found, "I1")["tasks"] >= 9_800  # some of the 10,000 messages are no tasks
    kills = numbers(found, "kills")
    assert kills["on busy workers"] >= 30
    assert found["signals"]["SIGSTOP"] >= 5
    assert found["signals"]["SIGTERM"] >= 20
    assert found["faults"]["F9"] >= 1
    assert numbers(found, "I1")["lost"] == 0
    assert numbers(found, "I2")["events beyond one a message"] == 0


@pytest.mark.timeout(700)
@pytest.mark.parametrize(
    "options",
    [
        ["--mode", "exactly_once", "--shared"],
        ["--mode", "at_least_once", "--protocol", "consumer"],
    ],
    ids=["tasks and statuses on one topic", "at least once, KIP-848"],
)
def test_half_a_minute_of(options: list[str], tmp_path: Path) -> None:
    chaos(tmp_path / "run", "--minutes", "0.5", "--seed", "7", "--faults", "F1,F4,F5,F9", *options)
