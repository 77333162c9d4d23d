"""A build appears whole or not at all, once, and under the name of what made it."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from tests.services.cache import Cache
from tests.services.runtime import Unavailable


@pytest.fixture
def said() -> list[str]:
    return []


@pytest.fixture
def cache(tmp_path: Path, said: list[str]) -> Cache:
    return Cache(tmp_path / "testbed", said.append)


def test_a_build_is_made_once(cache: Cache) -> None:
    builds: list[Path] = []

    def build(draft: Path) -> None:
        builds.append(draft)
        (draft / "binary").write_text("done")

    first, second = (cache.get("tool", "tool 1", build) for _ in range(2))
    assert first == second
    assert (first / "binary").read_text() == "done"
    assert len(builds) == 1


def test_another_recipe_is_another_build(cache: Cache) -> None:
    folders = {
        cache.get("tool", recipe, lambda draft: (draft / "x").touch())
        for recipe in ("tool 1", "tool 2", "tool 1")
    }
    assert len(folders) == 2


def test_a_failed_build_leaves_nothing_and_is_tried_again(cache: Cache, tmp_path: Path) -> None:
    def fail(draft: Path) -> None:
        (draft / "half").touch()
        raise Unavailable("no compiler")

    with pytest.raises(Unavailable, match="no compiler"):
        cache.get("tool", "tool 1", fail)
    assert [path for path in (tmp_path / "testbed").iterdir() if path.is_dir()] == []
    assert cache.get("tool", "tool 1", lambda draft: (draft / "binary").touch()).is_dir()


def test_two_runs_at_once_build_once(tmp_path: Path, said: list[str]) -> None:
    builds: list[Path] = []
    building, go_on = threading.Event(), threading.Event()

    def build(draft: Path) -> None:
        builds.append(draft)
        building.set()
        assert go_on.wait(10)

    def get() -> None:
        Cache(tmp_path / "testbed", said.append).get("tool", "tool 1", build)

    first = threading.Thread(target=get)
    first.start()
    assert building.wait(10)
    second = threading.Thread(target=get)
    second.start()
    while not any("waiting for another run" in line for line in said):
        second.join(0.01)
    go_on.set()
    first.join(10)
    second.join(10)
    assert len(builds) == 1
