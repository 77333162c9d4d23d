"""What ``./scripts/mutate`` makes of mutmut's words: mutants by what they change, and the page."""

from __future__ import annotations

from pathlib import Path

import pytest

from scripts.mutation import record
from scripts.mutation.module import MODULES
from scripts.mutation.mutant import Mutant, accepted, mutant
from scripts.mutation.page import page
from scripts.mutation.record import Row

ROOT = Path(__file__).parents[3]
DIFF = """--- llm_service/kafka/tracker.py
+++ llm_service/kafka/tracker.py
@@ -1,4 +1,4 @@
 def take(self, offset):
     with self._lock:
-        self._pass(offset)
+        self._pass(None)
"""


@pytest.mark.parametrize(
    ("name", "place"),
    [
        ("llm_service.kafka.tracker.xǁPartitionTrackerǁ_pass__mutmut_12", "PartitionTracker._pass"),
        ("llm_service.kafka.suspects.x__joined__mutmut_3", "_joined"),
        ("llm_service.kafka.tracker.x_map_bytes__mutmut_1", "map_bytes"),
    ],
)
def test_a_mutant_is_known_by_its_place_and_its_change(name: str, place: str) -> None:
    assert mutant(name, DIFF) == Mutant(place, "self._pass(offset)", "self._pass(None)")


def test_a_name_of_another_form_is_refused() -> None:
    with pytest.raises(ValueError, match="upgraded"):
        mutant("llm_service.kafka.tracker.PartitionTracker#3", DIFF)


def test_every_file_that_is_broken_and_every_test_of_it_is_there() -> None:
    named = [path for module in MODULES.values() for path in (module.path, *module.tests)]
    assert [path for path in named if not (ROOT / path).is_file()] == []


def test_whatever_is_accepted_has_a_reason_and_a_module() -> None:
    assert accepted().keys() <= MODULES.keys()
    assert all(why.strip() for known in accepted().values() for why in known.values())


def row(why: str | None, module: str = "grouping") -> Row:
    survivor = {"in": "Grouping.halve", "was": "a // 2", "became": "a / 2", "reached": True, "why": why}
    return {
        "module": module,
        "path": f"llm_service/kafka/{module}.py",
        "commit": "abc1234",
        "date": "2026-01-02",
        "machine": "2 shared cores",
        "mutants": 40,
        "found": 39,
        "timeouts": 2,
        "survived": 1,
        "survivors": [survivor],
    }


def test_the_page_has_the_numbers_and_each_survivor_with_its_reason() -> None:
    text = page([row("sizes are whole"), row("sizes are whole")])
    named = (
        "| `llm_service/kafka/grouping.py` | abc1234, 2026-01-02, 2 shared cores | 40 | 39 | 2 | 1 | 97.5 |"
    )
    assert named in text
    assert "| All | | 80 | 78 | 4 | 2 | 97.5 |" in text
    assert "- `Grouping.halve`: `a // 2` became `a / 2`. sizes are whole\n" in text


def test_what_nobody_has_explained_is_said_so() -> None:
    assert "**Not explained yet.**" in page([row(None)])


def test_the_page_is_that_of_the_record() -> None:
    rows = record.read()
    assert rows.keys() == MODULES.keys()
    assert record.PAGE.read_text("utf-8") == page(list(rows.values())), (
        "./scripts/mutate --page makes it anew"
    )
    for kept in rows.values():
        assert kept["found"] >= 0.9 * kept["mutants"], kept["module"]
        assert all(one["why"] for one in kept["survivors"]), kept["module"]


def test_what_was_recorded_of_other_code_is_not_current() -> None:
    module = MODULES["grouping"]
    assert not record.is_current(None, module)
    assert not record.is_current(row("the commit is not there"), module)
