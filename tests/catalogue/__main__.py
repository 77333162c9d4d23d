"""``./scripts/failover``."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from xml.etree import ElementTree as ET

import click

from scripts.benchmark.surroundings import surroundings
from tests.acceptance.worker import ROOT
from tests.catalogue.page import CASES, PAGE, RECORD, Record, page

_TESTS = "tests/acceptance/test_failover.py"


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--record", is_flag=True, help="Write docs/evidence/failover.json and docs/failover.md, too.")
def main(*, record: bool) -> None:
    """Play what a provider may do wrong, 16 cases in some three minutes, and show what came of each task."""
    with tempfile.TemporaryDirectory() as folder:
        results = Path(folder) / "results.xml"
        command = [sys.executable, "-m", "pytest", "-q", _TESTS, f"--junitxml={results}"]
        around = surroundings("Kafka", "./scripts/failover")
        ran = subprocess.run(command, cwd=ROOT, check=False)
        if not results.exists():
            raise SystemExit(ran.returncode)
        found: Record = {"around": dict(around), "cases": _cases(results)}
    text = page(found)
    if record:
        RECORD.write_text(json.dumps(found, indent=1, ensure_ascii=False) + "\n", "utf-8")
        PAGE.write_text(text, "utf-8")
    click.echo(text)
    raise SystemExit(ran.returncode)


def _cases(results: Path) -> list[Record]:
    """Of our own run's report."""
    cases: list[Record] = []
    for test in ET.parse(results).iter("testcase"):
        number = next(
            (one for one in CASES if f"_{one}_" in f"_{test.get('name', '').replace('[', '_')}"), None
        )
        if number is None:
            continue
        properties = {one.get("name"): one.get("value", "[]") for one in test.iter("property")}
        passed = test.find("failure") is None and test.find("error") is None
        runs = json.loads(properties.get("failover", "[]"))
        cases.append({"number": number, "passed": passed, "runs": runs})
    return sorted(cases, key=lambda case: str(case["number"]))


if __name__ == "__main__":
    main()
