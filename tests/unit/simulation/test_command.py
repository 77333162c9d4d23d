"""The command: what it says and how it ends."""

from __future__ import annotations

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
