"""Which modules are broken, and which unit tests have to notice: those that are quick and about the module."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Module:
    """A file of the service and its tests, both from the root of the tree."""

    path: str
    tests: tuple[str, ...]


def _kafka(name: str, *tests: str) -> Module:
    return Module(f"llm_service/kafka/{name}.py", tuple(f"tests/unit/kafka/test_{test}.py" for test in tests))


MODULES = {
    "tracker": _kafka("tracker", "tracker", "tracker_limits"),
    "offset_map": _kafka("offset_map", "offset_map", "offset_map_bytes"),
    "suspects": _kafka("suspects", "suspects"),
    "settling": _kafka("settling", "settling"),
    "settling_loop": _kafka(
        "settling_loop", "settling_loop", "settling_pace", "settling_recovery", "parting"
    ),
    "grouping": _kafka("grouping", "grouping", "settling_loop"),
    "commits": _kafka("commits", "commits", "consumer"),
    "window": Module(
        "llm_service/tasks/window.py",
        ("tests/unit/tasks/test_window.py", "tests/unit/tasks/test_window_on_retry.py"),
    ),
}
