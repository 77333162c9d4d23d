"""The page of the guarantee says what the records say, and these hold what is claimed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.chaos.page import EVIDENCE, PAGE, numbers, page

RUNS = sorted(path.stem for path in EVIDENCE.glob("*.json") if '"invariants"' in path.read_text("utf-8"))


def recorded(name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((EVIDENCE / f"{name}.json").read_text("utf-8"))
    return found


def test_the_page_is_that_of_the_records() -> None:
    assert PAGE.read_text("utf-8") == page(), "./scripts/chaos --page makes it anew"


def test_a_number_that_changes_in_a_record_changes_on_the_page(tmp_path: Path) -> None:
    found = recorded("storm")
    (tmp_path / "storm.json").write_text(json.dumps(found))
    before = page(tmp_path)
    numbers(found, "I1")["lost"] = 1
    (tmp_path / "storm.json").write_text(json.dumps(found))
    assert page(tmp_path) != before


def test_the_recorded_run_is_as_large_as_it_is_said_to_be() -> None:
    found = recorded("storm")
    signals = found["signals"]
    assert found["plan"]["mode"] == "exactly_once"
    assert not found["plan"]["patch"]
    assert numbers(found, "I1")["tasks"] + numbers(found, "I5")["skipped"] >= 100_000
    assert signals["SIGKILL"] >= 100
    assert signals["SIGTERM"] + signals["SIGINT"] >= 128
    assert signals["SIGSTOP"] >= 30
    assert found["faults"]["F9"] >= 5
    assert found["faults"]["F13"] >= 1
    assert numbers(found, "I1")["lost"] == 0
    assert numbers(found, "I2")["events beyond one a message"] == 0


@pytest.mark.parametrize("name", RUNS)
def test_what_did_not_hold_has_a_note(name: str) -> None:
    found = recorded(name)
    broken = {one["name"] for one in found["invariants"] if not one["holds"]}
    assert broken == set(found.get("notes", {}))
    assert not broken & {"I1", "I2", "I3", "I4", "I5", "I9", "I11", "I16"}, "what the promise is made of"


@pytest.mark.parametrize("protocol", ["classic", "consumer"])
def test_both_ways_of_going_on_are_recorded(protocol: str) -> None:
    found = recorded(f"kills-{protocol}")
    assert found["plan"]["protocol"] == protocol
    kills = numbers(found, "kills")
    assert kills["same instance back, s"]["count"] >= 5
    assert kills["another member, s"]["count"] >= 5


def test_the_soak_is_an_hour_in_which_nothing_was_lost_and_what_grew_has_a_note() -> None:
    found = recorded("soak")
    assert found["plan"]["seconds"] >= 3600
    assert len(found["soak"]["minutes"]) >= 59
    assert numbers(found, "I1")["lost"] == 0
    assert numbers(found, "I2")["events beyond one a message"] == 0
    grown = {one["measure"] for one in found["soak"]["growth"] if not one["holds"]}
    assert grown == set(found["soak"].get("notes", {}))


def test_an_upgrade_under_load_loses_nothing() -> None:
    found = recorded("upgrade")
    assert found["holds"]
    assert all(course["numbers"]["tasks"] > 500 for course in found["courses"])
    assert all(course["numbers"]["lost"] == course["numbers"]["wrong"] == 0 for course in found["courses"])
