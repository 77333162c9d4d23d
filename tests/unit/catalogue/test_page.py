"""The page of the failover catalogue says what its record says, and that is all sixteen."""

from __future__ import annotations

from tests.catalogue.page import CASES, PAGE, page, recorded


def test_the_page_is_that_of_the_record() -> None:
    assert PAGE.read_text("utf-8") == page(recorded()), "./scripts/failover --record makes it anew"


def test_every_case_was_played_and_held() -> None:
    cases = recorded()["cases"]
    assert [case["number"] for case in cases] == sorted(CASES)
    assert all(case["passed"] and case["runs"] for case in cases)
    assert len(CASES) == 16
