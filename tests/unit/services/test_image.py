"""The test bed's image: what it stands in for, and how a container is asked for."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.services.image import PROJECT, Image, context_files, ensure_tools
from tests.services.image_base import name_of_base
from tests.services.image_run import Container
from tests.services.runtime import Unavailable

CONFIG = {
    "Env": ["PATH=/opt/venv/bin:/bin", "LOG_DIR=/app/logs"],
    "Entrypoint": ["llm-service"],
    "Cmd": ["run"],
    "User": "10001:10002",
    "WorkingDir": "/app",
}


@pytest.fixture
def laid_out(tmp_path: Path) -> Image:
    root = tmp_path / "root"
    (root / "usr/bin").mkdir(parents=True)
    (root / "bin").symlink_to("usr/bin")
    return Image(root, CONFIG, tmp_path / "base.tar")


def behind(words: list[str], word: str) -> list[str]:
    return words[words.index(word) + 1 :]


def test_without_root_the_reason_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(Unavailable, match="needs root"):
        ensure_tools()


def test_the_base_is_the_one_that_the_dockerfile_names() -> None:
    assert name_of_base("ARG PYTHON_IMAGE=python:3.13-slim-trixie\nFROM x\n") == "python:3.13-slim-trixie"
    assert name_of_base((PROJECT / "Dockerfile").read_text()).startswith("python:3.")
    with pytest.raises(Unavailable, match="Dockerfile"):
        name_of_base("ARG PYTHON_IMAGE=alpine:3\n")


def test_a_change_of_anything_that_goes_in_is_another_build() -> None:
    names = {str(path.relative_to(PROJECT)) for path in context_files()}
    assert {
        "Dockerfile",
        ".dockerignore",
        "requirements.txt",
        "deploy/image/slim.py",
        "llm_service/errors.py",
    } <= names
    assert not any("__pycache__" in name for name in names)


def test_a_container_runs_the_image_s_command_as_docker_run_does(laid_out: Image) -> None:
    container = Container(laid_out)
    assert behind(container.argv(), "--")[-2:] == ["llm-service", "run"]
    assert behind(container.argv("check", "--live"), "--") == ["llm-service", "check", "--live"]
    assert behind(container.argv("x.py", entrypoint=["python"]), "--") == ["python", "x.py"]
    assert behind(container.argv(entrypoint=["id"]), "--") == ["id"]


def test_a_container_has_nothing_that_it_was_not_given(laid_out: Image) -> None:
    words = Container(
        laid_out, {"LOG_DIR": "", "A": "b"}, {Path("/x"): "/app/logs", Path("/y"): "/files"}
    ).argv()
    assert " ".join(behind(words, "--clearenv")).startswith(
        "--setenv PATH /opt/venv/bin:/bin --setenv LOG_DIR  --setenv A b setpriv --reuid=10001 --regid=10002 "
    )
    joined = " ".join(words)
    assert "--bind /x /app/logs --ro-bind /y /files --remount-ro /" in joined
    assert f"--symlink usr/bin /bin --ro-bind {laid_out.root}/usr /usr" in joined
    assert {"--as-pid-1", "--unshare-pid", "--bounding-set=-all", "--no-new-privs"} <= set(words)
