"""The locked requirements are those of pyproject.toml, and fit for any machine."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

_PROJECT = Path(__file__).parents[3]
_LINE = re.compile(r"^([A-Za-z0-9._-]+)(?:\[.*\])?==([^ ;\\]+)")


def locked(name: str) -> Mapping[str, set[str]]:
    """Versions by package; more than one where platforms or Pythons differ."""
    versions: dict[str, set[str]] = {}
    for line in (_PROJECT / name).read_text().splitlines():
        found = _LINE.match(line)
        if found:
            versions.setdefault(canonicalize_name(found.group(1)), set()).add(found.group(2))
    return versions


def wanted(*, dev: bool) -> Iterator[Requirement]:
    project = tomllib.loads((_PROJECT / "pyproject.toml").read_text())
    named = [*project["build-system"]["requires"], *project["project"]["dependencies"]]
    named += project["project"]["optional-dependencies"]["documents"]
    if dev:
        named += project["dependency-groups"]["dev"]
    return map(Requirement, named)


@pytest.mark.parametrize(("name", "dev"), [("requirements.txt", False), ("requirements-dev.txt", True)])
def test_every_direct_dependency_is_locked_within_its_range(name: str, dev: bool) -> None:
    versions = locked(name)
    for requirement in wanted(dev=dev):
        found = versions.get(canonicalize_name(requirement.name))
        assert found, f"{requirement} is not in {name}; ./scripts/lock"
        assert all(map(requirement.specifier.contains, found)), (
            f"{requirement} is locked as {found}; ./scripts/lock"
        )


def test_tests_run_on_the_versions_that_users_get() -> None:
    runtime, dev = locked("requirements.txt"), locked("requirements-dev.txt")
    assert {name: dev.get(name) for name in runtime} == runtime


@pytest.mark.parametrize("name", ["requirements.txt", "requirements-dev.txt"])
def test_the_lock_names_no_address_and_every_line_has_a_hash(name: str) -> None:
    text = (_PROJECT / name).read_text()
    assert not re.search(r"://|--index|--find-links|(?<![#.])/\w+/", text)
    entries = [entry for entry in re.split(r"\n(?=[A-Za-z0-9])", text) if _LINE.match(entry)]
    assert len(entries) > 50
    assert all("--hash=sha256:" in entry for entry in entries)
