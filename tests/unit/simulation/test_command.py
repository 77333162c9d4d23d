"""The command: what it says and how it ends."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.simulation.__main__ import main


def test_fewer_seeds_than_the_least_are_a_failure(capsys: pytest.CaptureFixture[str]) -> None:
    few = ["--seeds", "2", "--tasks", "5", "--processes", "1"]
    assert main([*few, "--least", "2"]) == 0
    assert main([*few, "--least", "3"]) == 1
    assert "only 2 seeds were run: 3 are the least" in capsys.readouterr().err


def test_a_long_run_is_taken_up_where_it_ended(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = ["--seeds", "3", "--tasks", "5", "--processes", "1", "--resume", str(tmp_path / "long.json")]
    assert main([*run, "--parts", "2"]) == 0
    assert "2 seeds, 10 messages" in capsys.readouterr().out
    assert main(run) == 0
    assert "3 seeds, 15 messages" in capsys.readouterr().out
    kept = json.loads((tmp_path / "long.json").read_text())
    assert [(part["first"], part["seeds"]) for part in kept["parts"]] == [(0, 2), (2, 1)]
    assert all(part["around"].keys() >= {"commit", "machine", "date", "command"} for part in kept["parts"])


def test_a_seed_that_failed_and_passes_now_is_kept_with_both_commits(tmp_path: Path) -> None:
    record = tmp_path / "long.json"
    run = ["--seeds", "1", "--tasks", "5", "--processes", "1", "--resume", str(record)]
    assert main(run) == 0
    kept = json.loads(record.read_text())
    kept["failed"] = {"0": ["I1: something is lost"]}
    kept["parts"][0]["around"]["commit"] = "before"
    record.write_text(json.dumps(kept))
    assert main(run) == 1, "one that failed stays so until it is run again"
    assert main([*run, "--again"]) == 0
    mended = json.loads(record.read_text())["mended"]["0"]
    assert (mended["failures"], mended["failed_on"]) == (["I1: something is lost"], "before")
    assert mended["passed_on"] not in ("", "before")
