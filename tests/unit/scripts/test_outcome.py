"""What a check run says at its end."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from scripts.lib.outcome import Counts, Outcome, read_report, seeds_note
from scripts.lib.pytest_run import PytestRun
from scripts.lib.summary import show

_REPORT = """<testsuites><testsuite>
<testcase classname="tests.unit.files.test_paths" name="test_a" time="1.5"/>
<testcase classname="tests.unit.files.test_paths.TestB" name="test_b" time="0.5"><failure message="x"/></testcase>
<testcase classname="tests.contract.test_store" name="test_c[minio]" time="2"><skipped message="x"/></testcase>
<testcase classname="" name="tests.integration.test_broken" time="0"><error message="x"/></testcase>
</testsuite></testsuites>"""


def test_a_simulation_that_ended_early_is_said(tmp_path: Path) -> None:
    totals = tmp_path / "simulation.json"
    assert seeds_note(totals, 2_000, 300) == "ONLY 0 of 2,000 seeds within 300 s"
    totals.write_text('{"seeds": 1204}')
    assert seeds_note(totals, 2_000, 300) == "ONLY 1,204 of 2,000 seeds within 300 s"
    totals.write_text('{"seeds": 2000}')
    assert seeds_note(totals, 2_000, 300) == "2,000 seeds"


def test_tests_are_counted_by_folder(tmp_path: Path) -> None:
    (tmp_path / "report.xml").write_text(_REPORT)
    assert read_report(tmp_path / "report.xml") == {
        "unit": Counts(passed=1, failed=1, seconds=2.0),
        "contract": Counts(skipped=1, seconds=2.0),
        "integration": Counts(failed=1),
    }


def test_a_run_without_a_report_has_no_counts(tmp_path: Path) -> None:
    assert read_report(tmp_path / "report.xml") == {}


def test_a_pytest_that_broke_is_a_failure(tmp_path: Path) -> None:
    (outcome,) = PytestRun([], tmp_path).outcomes(3, 1.0, services=False)
    assert outcome == Outcome("pytest", "FAILED", 1.0, "ended with code 3", Counts(failed=1))


@pytest.mark.parametrize(("arguments", "result"), [([], "FAILED"), (["-k", "nothing"], "passed")])
def test_no_tests_is_a_failure_unless_the_caller_chose(
    tmp_path: Path, arguments: list[str], result: str
) -> None:
    (outcome,) = PytestRun(arguments, tmp_path).outcomes(5, 1.0, services=True)
    assert outcome.result == result


def test_the_callers_paths_replace_the_folders(tmp_path: Path) -> None:
    command = PytestRun([f"{__file__}::test_x", "-x"], tmp_path).command(services=False)
    assert command[-2:] == ["-x", f"{__file__}::test_x"]
    assert "tests/unit" not in command


def test_the_last_line_is_the_plain_one(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "services.json").write_text(json.dumps({"kafka": "Kafka 4.2.0, own process"}))
    outcomes = [
        Outcome("lint", "FAILED", 1.0),
        Outcome("unit", "passed", 2.0, "5 passed, 0 failed", Counts(passed=5, skipped=1)),
        Outcome("contract", "passed", 2.0, "", Counts(passed=3)),
    ]
    show(outcomes, PytestRun([], tmp_path).services(), 75.0, quick=True)
    lines = capsys.readouterr().out.splitlines()
    assert lines[-2:] == ["FAILED: lint", "8 passed, 0 failed, 1 skipped"]
    assert "=== summary, 1 min 15 s" in lines
    assert any(line.split() == ["kafka", "Kafka", "4.2.0,", "own", "process"] for line in lines)
    assert any("--quick left out" in line for line in lines)
