"""What the image's environment keeps: the closure of the extras asked for, and no more."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.unit.deploy.compose_file import PROJECT

SLIM = PROJECT / "deploy/image/slim.py"


def install(site: Path, name: str, *requires: str, extras: tuple[str, ...] = ()) -> None:
    """A package of one module, as pip leaves it."""
    module, info = site / f"{name.replace('-', '_')}", site / f"{name.replace('-', '_')}-1.0.dist-info"
    module.mkdir()
    info.mkdir()
    (module / "__init__.py").touch()
    lines = [f"Name: {name}", "Version: 1.0", *(f"Provides-Extra: {extra}" for extra in extras)]
    lines += [f"Requires-Dist: {line}" for line in requires]
    (info / "METADATA").write_text("Metadata-Version: 2.1\n" + "\n".join(lines) + "\n")
    files = [f"{module.name}/__init__.py", f"{info.name}/METADATA", f"{info.name}/RECORD"]
    (info / "RECORD").write_text("".join(f"{file},,\n" for file in files))


@pytest.fixture
def environment(tmp_path: Path) -> Path:
    site = tmp_path / "lib/python3.13/site-packages"
    site.mkdir(parents=True)
    install(site, "llm-service", "Click>=8", 'reader[deep]; extra == "documents"', extras=("documents",))
    install(site, "click", 'old-thing; python_version < "3"')
    install(site, "reader", "onnxruntime", 'diver; extra == "deep"', 'flyer; extra == "high"')
    install(site, "onnxruntime", "sympy", "click")
    for name in ("diver", "flyer", "sympy", "setuptools", "old-thing"):
        install(site, name)
    (site / "pandas/tests").mkdir(parents=True)
    (tmp_path / "bin").mkdir()
    for name in ("python", "python3.13", "llm-service", "click", "activate"):
        (tmp_path / "bin" / name).touch()
    return tmp_path


def slim(environment: Path, *extras: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, SLIM, environment, *extras], capture_output=True, text=True, check=False
    )


def left(environment: Path) -> set[str]:
    return {path.name for path in environment.glob("lib/python3.13/site-packages/*")}


def both(*names: str) -> set[str]:
    return {name for package in names for name in (package, f"{package}-1.0.dist-info")}


def test_an_extra_brings_what_it_needs_but_for_what_is_known_to_be_unused(environment: Path) -> None:
    assert slim(environment, "documents").returncode == 0
    assert left(environment) == both("llm_service", "click", "reader", "onnxruntime", "diver") | {"pandas"}
    assert not (environment / "lib/python3.13/site-packages/pandas/tests").exists()


def test_without_extras_the_core_is_left(environment: Path) -> None:
    assert slim(environment).returncode == 0
    assert left(environment) == both("llm_service", "click") | {"pandas"}


def test_no_command_is_left_but_ours_and_python(environment: Path) -> None:
    slim(environment)
    assert {path.name for path in (environment / "bin").iterdir()} == {"python", "python3.13", "llm-service"}


def test_an_extra_that_does_not_exist_ends_the_build(environment: Path) -> None:
    done = slim(environment, "document")
    assert done.returncode == 1
    assert "EXTRAS names what llm-service does not have: document" in done.stderr
    assert left(environment) >= both("setuptools", "sympy")
