"""Negative controls: workers broken on purpose, each of which the checker catches in a short run on real services."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from tests.chaos.checker.book import Book
from tests.chaos.checker.judging import judge
from tests.chaos.plan import Plan
from tests.chaos.progress import Progress
from tests.chaos.run import run
from tests.chaos.stage import Services, served

# Two kills and zombies enough for each kind of breakage to show, and tasks slow enough to be in flight then.
PLAN = Plan(
    seed=5,
    tasks=300,
    seconds=12.0,
    faults=("F1",),
    workers=2,
    pool=20,
    slowest_s=2.0,
    session_s=3.0,
    intensity=4.0,
    ends_within_s=10.0,
)
_AT_ONCE = 3


@dataclass(frozen=True, slots=True)
class Control:
    """What is broken, and what must be found; nothing for a patch that does no harm."""

    patch: str
    caught: frozenset[str]
    faults: tuple[str, ...] = ("F1",)


CONTROLS = (
    Control("commit-before-work", frozenset({"I4"})),
    Control("highest-offset", frozenset({"I4"})),
    Control("no-dedup", frozenset({"I2"})),
    Control("offset-outside", frozenset({"I2"})),
    Control("plain-commit-beside", frozenset({"I2"})),
    Control("lost-replies", frozenset()),
    Control("lost-replies+settle-unknown-again", frozenset({"I2"})),
    Control("publish-after-revoke", frozenset({"I2"}), ("F4",)),
    Control("map-claims-too-much", frozenset({"I4"})),
    Control("event-dropped", frozenset({"I1"}), ()),
    Control("event-doubled", frozenset({"I2"}), ()),
    Control("event-altered", frozenset({"I1"}), ()),
    Control("leaked-secret", frozenset({"I16"}), ()),
)


@pytest.mark.timeout(900)
async def test_every_control_is_caught(tmp_path: Path) -> None:
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
    (tmp_path / "kafka").mkdir()
    room = asyncio.Semaphore(_AT_ONCE)
    with served(tmp_path / "kafka", lambda _: None) as services:
        found = await asyncio.gather(
            *(
                _played(control, services, tmp_path / str(number), room)
                for number, control in enumerate(CONTROLS)
            )
        )
    missed = {
        control.patch: sorted(control.caught - broken) if control.caught else sorted(broken)
        for control, broken in zip(CONTROLS, found, strict=True)
        if (control.caught - broken if control.caught else broken)
    }
    assert missed == {}


async def _played(control: Control, services: Services, folder: Path, room: asyncio.Semaphore) -> set[str]:
    """The names of the invariants that did not hold."""
    await asyncio.to_thread(folder.mkdir)
    plan = replace(PLAN, patch=control.patch, faults=control.faults)
    if not control.faults:
        plan = replace(plan, tasks=150, seconds=4.0)
    if not control.caught:
        plan = replace(plan, ends_within_s=90.0, patience=4.0)
    async with room:
        await run(plan, services, folder, {}, Progress())
    found = await asyncio.to_thread(lambda: judge(Book(folder)))
    return {finding.name for finding in found if not finding.holds}
