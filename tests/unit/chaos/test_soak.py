"""The soak's verdict on growth, on recordings whose growth is known."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.chaos.checker.book import Book
from tests.chaos.plan import Plan
from tests.chaos.recording import write_lines
from tests.chaos.soak.drawing import drawing
from tests.chaos.soak.measures import soak
from tests.unit.chaos.synthetic import BEGAN, WORKER, healthy

# The synthetic run sends for 30 s; its warm-up is five.
WARM_UP_S = 5.0
TASKS = 24
_LOOKS = 30

Grown = Callable[[int], dict[str, float]]


def measured(folder: Path, grown: Grown) -> dict[str, Any]:
    """Of a run whose looks are as they were at first, and what ``grown`` says of each by its second."""
    recording = healthy(TASKS)
    recording.plan = Plan(seed=1, tasks=TASKS, seconds=30.0, partitions=1, workers=1, pool=20)
    resources, pages = [], []
    for second in range(_LOOKS):
        at = {"at": BEGAN + second, "worker": WORKER, "note": ""}
        usual = {"rss": 90e6, "fds": 60, "threads": 18, "cpu": second * 0.05, "load": 1.0, "tasks": 12.0}
        look = usual | grown(second)
        pages.append(at | {"series": {"llm_service_loop_tasks": look.pop("tasks"), "llm_service_lag{}": 3.0}})
        resources.append(at | look)
    recording.metrics += pages
    recording.write(folder)
    write_lines(folder / "resources.jsonl", resources)
    return soak(Book(folder), WARM_UP_S)


def broken(found: dict[str, Any]) -> list[str]:
    return [one["measure"] for one in found["growth"] if not one["holds"]]


def test_a_run_in_which_nothing_grows_holds(tmp_path: Path) -> None:
    found = measured(tmp_path / "run", lambda second: {"fds": 60 + second % 3})
    assert found["holds"]
    assert broken(found) == []


@pytest.mark.parametrize(
    ("measure", "grown"),
    [
        # One a second is 25 of them in the run's 25 s beyond its warm-up, for some 20 tasks.
        pytest.param("memory", lambda second: {"rss": 90e6 + 100 * second}, id="memory, 100 bytes a task"),
        pytest.param("descriptors", lambda second: {"fds": 60 + second}, id="descriptors"),
        pytest.param("threads", lambda second: {"threads": 18 + second}, id="threads"),
        pytest.param("loop tasks", lambda second: {"tasks": 12 + second}, id="tasks of the loop"),
    ],
)
def test_what_grows_with_the_work_is_found(tmp_path: Path, measure: str, grown: Grown) -> None:
    found = measured(tmp_path / "run", grown)
    assert not found["holds"]
    assert broken(found) == [measure]


def test_what_grows_in_the_warm_up_alone_is_no_leak(tmp_path: Path) -> None:
    found = measured(tmp_path / "run", lambda second: {"rss": 90e6 + 1e6 * min(second, WARM_UP_S)})
    assert found["holds"]


def test_a_recording_that_says_nothing_of_memory_does_not_hold(tmp_path: Path) -> None:
    folder = healthy(TASKS).write(tmp_path / "run")
    assert not soak(Book(folder), WARM_UP_S)["holds"]


def test_the_picture_has_a_line_for_each_worker_and_stands_alone(tmp_path: Path) -> None:
    svg = drawing(measured(tmp_path / "run", lambda _: {}), "half load & more")
    assert svg.startswith("<svg")
    assert "half load &amp; more" in svg
    assert WORKER in svg
    assert "href" not in svg
