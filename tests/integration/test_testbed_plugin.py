"""How a test that needs a service is marked, skipped and failed."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

_PROJECT = Path(__file__).parents[2]
_TESTS = """
import pytest
from tests.services.runtime import Foreign

@pytest.fixture(params=["folder", "minio"])
def store(request):
    return request.getfixturevalue("minio") if request.param == "minio" else request.param

def test_by_fixture(minio): pass
def test_by_parameter(store): pass
@pytest.mark.parametrize("make", [pytest.param(1, id="here"), pytest.param(2, id="there-kafka")])
def test_by_id(make): pass
def test_alone(): pass
def test_stops_what_is_not_ours(): Foreign("kafka:9092").kill()
"""
# An address that is refused before anything is called.
_WITHOUT_MINIO = {"TEST_S3": "http://no-keys:9000"}


def run(folder: Path, *arguments: str, **env: str) -> str:
    """What pytest says of the tests above, with the plugin and without this project's own settings."""
    (folder / "test_sample.py").write_text(_TESTS)
    (folder / "pytest.ini").write_text("[pytest]\naddopts = -rA -p no:cacheprovider\n")
    command = [sys.executable, "-m", "pytest", "-p", "tests.services.plugin", "-c", "pytest.ini", *arguments]
    kept = {name: value for name, value in os.environ.items() if name != "REQUIRE_REAL_SERVICES"}
    path = {"PYTHONPATH": str(_PROJECT)}
    done = subprocess.run(
        command, cwd=folder, env=kept | path | env, capture_output=True, text=True, timeout=60, check=False
    )
    return done.stdout + done.stderr


def test_tests_are_marked_by_what_they_ask_for_and_by_their_folder(tmp_path: Path) -> None:
    for folder in ("integration", "acceptance", "other"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / f"test_{folder}.py").write_text("def test_there(): pass\n")
    listed = run(tmp_path, "--collect-only", "-q", "-m", "needs_service")
    assert {line for line in listed.splitlines() if "::" in line} == {
        "test_sample.py::test_by_fixture",
        "test_sample.py::test_by_parameter[minio]",
        "test_sample.py::test_by_id[there-kafka]",
        "integration/test_integration.py::test_there",
        "acceptance/test_acceptance.py::test_there",
    }


def test_a_missing_service_skips_with_its_reason(tmp_path: Path) -> None:
    said = run(tmp_path, "-k", "not kafka", **_WITHOUT_MINIO)
    assert "minio: TEST_S3 must look like" in said
    assert "kafka:9092 was given by its address and is not ours to stop" in said
    assert "minio: not available: TEST_S3" in said
    assert "3 passed, 3 skipped, 1 deselected" in said


def test_a_missing_service_fails_where_services_are_required(tmp_path: Path) -> None:
    said = run(tmp_path, "-k", "by_fixture", REQUIRE_REAL_SERVICES="1", **_WITHOUT_MINIO)
    assert "REQUIRE_REAL_SERVICES is set, and minio: TEST_S3 must look like" in said
    assert "1 error" in said
