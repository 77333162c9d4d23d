from __future__ import annotations

import pytest

from llm_service.cli.watching.arrival import Arrival
from llm_service.cli.watching.fates import Fates
from llm_service.contract.status import Status


def _fates(*statuses: int) -> Fates:
    fates = Fates(["a", "b"])
    for number, status in enumerate(statuses):
        fates.place(Arrival("a", Status(status), {"n": number}, float(number)))
    return fates


@pytest.mark.parametrize(
    ("statuses", "end"),
    [
        ((2,), None),
        ((2, 3), 1),
        ((2, 4), 1),
        ((2, 3, 2, 3), 1),  # a repeat
        ((2, 3, 4), 1),  # a repeat that says otherwise
        ((2, 4, 2), None),  # sent again, and under way
        ((2, 4, 2, 3), 3),  # sent again, and well
    ],
)
def test_the_end_of_a_task_is_its_success_or_the_last_of_its_failures(
    statuses: tuple[int, ...], end: int | None
) -> None:
    found = _fates(*statuses).end_of("a")
    assert (found.fields["n"] if found is not None else None) == end


def test_what_is_missing_and_what_is_unfinished_is_named_in_order() -> None:
    fates = _fates(2)
    assert (fates.task_ids, fates.missing, fates.unfinished) == (("a", "b"), ["b"], ["a", "b"])
    fates.place(Arrival("b", Status.FAILED, {}, 0))
    assert (fates.missing, fates.unfinished, fates.all_succeeded) == ([], ["a"], False)


def test_all_succeeded_means_all() -> None:
    fates = _fates(3)
    assert not fates.all_succeeded
    fates.place(Arrival("b", Status.SUCCESS, {}, 0))
    assert fates.all_succeeded


def test_other_tasks_are_of_no_interest() -> None:
    fates = _fates()
    fates.place(Arrival("c", Status.SUCCESS, {}, 0))
    assert fates.end_of("c") is None
    assert fates.missing == ["a", "b"]
