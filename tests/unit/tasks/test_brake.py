"""The brake: a run and a share of dead letters, each with its limit, each switched off by 0."""

from __future__ import annotations

import pytest

from llm_service.tasks.brake import BrakePolicy, LetterBrake


def first_stop(policy: BrakePolicy, outcomes: list[bool]) -> int | None:
    """After how many outcomes it is too much."""
    brake = LetterBrake(policy)
    for number, is_letter in enumerate(outcomes, 1):
        if brake.count(is_letter=is_letter) is not None:
            return number
    return None


@pytest.mark.parametrize(
    ("policy", "outcomes", "stop"),
    [
        (BrakePolicy(3, 0, 10), [True, True, False, True, True, True], 6),
        (BrakePolicy(3, 0, 10), [True, True, False] * 50, None),
        (BrakePolicy(0, 0.5, 10), [True, False] * 20, 10),
        (BrakePolicy(0, 0.5, 10), [True] * 9, None),
        (BrakePolicy(0, 0.5, 10), [True, False, False] * 50, None),
        (BrakePolicy(0, 0.5, 10), [False] * 100 + [True] * 5, 105),
        (BrakePolicy(0, 1, 10), [True] * 10, 10),
        (BrakePolicy(0, 0, 10), [True] * 1000, None),
        (BrakePolicy(1, 0, 10), [False, True], 2),
    ],
)
def test_it_stops_at_its_limit_and_not_before(
    policy: BrakePolicy, outcomes: list[bool], stop: int | None
) -> None:
    assert first_stop(policy, outcomes) == stop


def test_after_a_reset_it_counts_anew() -> None:
    brake = LetterBrake(BrakePolicy(3, 0.5, 10))
    for _ in range(2):
        assert brake.count(is_letter=True) is None
    brake.reset()
    assert brake.count(is_letter=True) is None
    assert brake.count(is_letter=True) is None
    said = brake.count(is_letter=True)
    assert said is not None
    assert "DLQ_STOP_RUN" in said
