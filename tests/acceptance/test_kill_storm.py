"""Exactly one terminal event for each task, whatever is killed and whatever comes back from the dead."""

from __future__ import annotations

import logging

import pytest

from tests.acceptance.kill_storm import KillStorm, play
from tests.acceptance.stage import Stage


@pytest.mark.timeout(300)
async def test_each_task_has_one_terminal_event_under_a_storm_of_kills(stage: Stage) -> None:
    exactly_once = {"KAFKA_DELIVERY": "exactly_once"}
    storm = KillStorm(tasks=1_500, kills=12, stops=3, seed=20261121, environment=exactly_once)
    verdict = await play(stage, storm)
    logging.getLogger(__name__).warning("storm: %s", dict(verdict.counts))
    assert verdict.wrong == [], dict(verdict.counts)
    assert verdict.differing == {}
    assert (verdict.counts["too few"], verdict.counts["too many"]) == (0, 0)
    assert (verdict.counts["kill"], verdict.counts["stop"]) == (12, 3)
