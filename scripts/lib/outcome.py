"""What a stage came to, and what pytest's report says of the tests by their folder."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ET
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Counts:
    passed: int = 0
    failed: int = 0
    skipped: int = 0
    seconds: float = 0.0

    def __add__(self, other: Counts) -> Counts:
        return Counts(
            self.passed + other.passed,
            self.failed + other.failed,
            self.skipped + other.skipped,
            self.seconds + other.seconds,
        )

    def __str__(self) -> str:
        skipped = f", {self.skipped} skipped" if self.skipped else ""
        return f"{self.passed} passed, {self.failed} failed{skipped}"


@dataclass(frozen=True, slots=True)
class Outcome:
    """One line of the closing summary."""

    stage: str
    result: str
    """``passed``, ``FAILED`` or ``left out``."""
    seconds: float
    note: str = ""
    counts: Counts = Counts()

    @property
    def failed(self) -> bool:
        return self.result == "FAILED"


def seeds_note(totals: Path, wanted: int, seconds: int) -> str:
    """How much of the simulation was run, by the totals that it left; an end before its end is said."""
    ran = json.loads(totals.read_text())["seeds"] if totals.exists() else 0
    return f"{ran:,} seeds" if ran >= wanted else f"ONLY {ran:,} of {wanted:,} seeds within {seconds} s"


def read_report(path: Path) -> Mapping[str, Counts]:
    """The counts of a JUnit report by the tests' folder: unit, contract, integration, acceptance.

    Empty when pytest did not get so far as to write one.
    """
    if not path.exists() or not path.stat().st_size:
        return {}
    counts: dict[str, Counts] = {}
    for case in ET.parse(path).iter("testcase"):
        folder = _folder(case.get("classname") or case.get("name") or "")
        counts[folder] = counts.get(folder, Counts()) + _count(case)
    return counts


def _folder(name: str) -> str:
    """Of ``tests.unit.files.test_paths``; a module that could not be collected is named likewise."""
    parts = name.replace("/", ".").split(".")
    return parts[1] if len(parts) > 1 and parts[0] == "tests" else "other"


def _count(case: ET.Element) -> Counts:
    seconds = float(case.get("time") or 0)
    kinds = {child.tag for child in case}
    if kinds & {"failure", "error"}:
        return Counts(failed=1, seconds=seconds)
    if "skipped" in kinds:
        return Counts(skipped=1, seconds=seconds)
    return Counts(passed=1, seconds=seconds)
