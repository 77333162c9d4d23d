"""Seeds at which the judge once cried without cause: what they do is right, and is to be taken as that."""

from __future__ import annotations

import pytest

from tests.simulation.run import run_seed


@pytest.mark.parametrize(
    "seed",
    [
        pytest.param(9086, id="a repeat of a task that waits is worked on before that one is due"),
        pytest.param(12388, id="the workers are stopped before the notifications of drops are committed"),
        pytest.param(13217, id="two members that join in the same moment find each other"),
        pytest.param(
            30470, id="a worker that stood still says again what another has said, before all are stopped"
        ),
    ],
)
def test_what_is_right_is_no_failure(seed: int) -> None:
    assert run_seed(seed).failures == []
