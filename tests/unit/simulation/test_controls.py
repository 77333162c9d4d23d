"""The judge finds what it is there for: the product broken on purpose fails a seed soon."""

from __future__ import annotations

import pytest

from tests.simulation.controls import CONTROLS
from tests.simulation.run import Wish, run_seed

_WITHIN_SEEDS = 300


@pytest.mark.parametrize("name", CONTROLS)
def test_a_product_that_is_broken_on_purpose_is_found(name: str) -> None:
    control, mode, *features = CONTROLS[name]
    wish = Wish(mode=mode, features=tuple(features))
    with control():
        found = next((seed for seed in range(_WITHIN_SEEDS) if run_seed(seed, wish).failures), None)
    assert found is not None, f"{_WITHIN_SEEDS} seeds did not find it"
    assert run_seed(found, wish).failures == [], "unbroken, the same seed passes"
