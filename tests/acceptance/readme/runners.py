"""What is done with a block: by the name in its marker, else by its language. What nobody knows is a failure.

- no marker: shell blocks are run (see ``backdrop``), ``env`` blocks are read as settings, ``toml``, ``yaml`` and ``json``
  are parsed, a ``toml`` block with entry points must be that of the third-party provider of the tests;
- ``<!-- test: NAME -->``: the runner of that name below, or a client's part (``go produce.go``, ``go commands`` …), which
  ``test_readme_clients.py`` runs;
- ``<!-- checked by: tests/….py::test_… -->``: that test must exist. It is for what can be run nowhere but there;
- the pages of ``_WHOLE_PAGES`` have a test of their own that runs all of their blocks, and which must exist.
"""

from __future__ import annotations

import ast
import json
import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from types import MappingProxyType
from typing import TypeAlias

import yaml
from dotenv import dotenv_values

from llm_service.settings import Settings, load
from llm_service.settings.tree import names_in
from tests.acceptance.readme.backdrop import Backdrop
from tests.acceptance.readme.blocks import ROOT, Block
from tests.acceptance.readme.clients import TOOLS
from tests.acceptance.readme.messages import shown_statuses, shown_task
from tests.acceptance.stage import Stage
from tests.acceptance.worker import workers
from tests.services.cache import Cache

_THIRD_PARTY = ROOT / "tests" / "fixtures" / "thirdparty_provider" / "pyproject.toml"
# The runbook's commands are run where the symptom is that they find the cause of.
_WHOLE_PAGES: Mapping[str, str] = MappingProxyType(
    {
        "docs/runbook.md": "acceptance/test_runbook*.py",
        "docs/runbook.ru.md": "acceptance/test_runbook*.py",
        "docs/adding-a-provider.md": "integration/test_adding_a_provider.py",
    }
)
# Assignments that a command stands behind are a command.
_ASSIGNMENT = re.compile(r"\s*(#.*|[A-Z][A-Z0-9_]*=(?!.* (llm-service|python3?|\./|\.venv/|[a-z]+ -)).*)?")


@dataclass(frozen=True)
class Surroundings:
    """Where blocks are run; made only when a block needs it."""

    make_stage: Callable[[], Stage]
    cache: Cache
    folder: Path

    @cached_property
    def stage(self) -> Stage:
        return self.make_stage()

    @cached_property
    def backdrop(self) -> Backdrop:
        return Backdrop(self.stage, self.cache, self.folder)


Runner: TypeAlias = Callable[[Block, Surroundings], object]


def runner_of(block: Block) -> Runner:
    """Raises AssertionError for a block that no test executes."""
    if block.page in _WHOLE_PAGES:
        return _is_on_a_page_with_a_test
    if block.how == "checked by":
        return _is_checked_elsewhere
    if block.how == "test":
        if block.name.partition(" ")[0] in TOOLS:
            return _is_a_client
        found = _BY_NAME.get(block.name)
    else:
        found = _BY_LANGUAGE.get(block.language)
    if found is None:
        known = ", ".join(sorted({*_BY_NAME, *_BY_LANGUAGE}))
        raise AssertionError(
            f"{block}: this block is not executed by any test; there are runners for {known}"
        )
    return found


def _run(block: Block, around: Surroundings) -> None:
    """A block of assignments alone is a file of settings that wears the shell's name, as pages often have it."""
    if all(_ASSIGNMENT.fullmatch(line) for line in block.text.splitlines()):
        _read_as_settings(block, around)
    else:
        around.backdrop.run(block)


def _run_beside_a_worker(block: Block, around: Surroundings) -> None:
    """With a service at work, whose HTTP address stands for the documentation's."""
    worker = around.stage.worker()
    own = f"127.0.0.1:{worker.port}"
    with workers(worker):
        worker.start()
        around.backdrop.run(block, {"127.0.0.1:8081": own, "localhost:8081": own})
        assert worker.terminate() == 0


def _read_as_settings(block: Block, around: Surroundings) -> None:
    file = around.folder / ".env"
    file.write_text(block.text)
    load(file, {})
    known = names_in(Settings)
    unknown = [name for name in dotenv_values(file) if name.removesuffix("_FILE") not in known]
    assert not unknown, f"{block}: no settings of the service: {', '.join(unknown)}"


def _is_what_refused_settings_say(block: Block, around: Surroundings) -> None:
    """The message of a start with three mistakes, one of each kind."""
    (around.folder / ".env").write_text(
        "KAFKA_CONSUMER_EXTRA=fetch.min=1\nMINIO_ENDPOINT=localhost:9000\nMINIO_ACCESS_KEY=a\n"
    )
    said = subprocess.run(
        [sys.executable, "-P", "-c", "from llm_service.cli.main import main; main()", "config"],
        cwd=around.folder,
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), "HTTP_PORT": "99999"},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert (said.returncode, said.stderr) == (78, block.text), f"{block}: it says {said.stderr}"


def _read_as_toml(block: Block, _around: Surroundings) -> None:
    shown = tomllib.loads(block.text)
    points = shown.get("project", {}).get("entry-points", {})
    real = tomllib.loads(_THIRD_PARTY.read_text("utf-8"))["project"]["entry-points"]
    assert points.keys() <= real.keys(), f"{block}: the service looks for {', '.join(real)}"
    for group in points.values():
        assert all(target.count(":") == 1 for target in group.values())


def _lists_what_exists(block: Block, _around: Surroundings) -> None:
    """Each line begins with a path of the repository; a second one may follow a semicolon."""
    paths = [
        part.split()[0].rstrip(":")
        for line in block.text.splitlines()
        for part in line.split(";")
        if part.strip()
    ]
    paths = [path for path in paths if "/" in path or "." in path]
    missing = [path for path in paths if not (ROOT / path).exists()]
    assert paths, f"{block}: it names no path"
    assert not missing, f"{block}: not in the repository: {', '.join(missing)}"


def _is_a_client(block: Block, _around: Surroundings) -> None:
    """Run by test_readme_clients.py, which takes all parts of a language together from README.md.

    README.ru.md has the very same blocks, which another test holds.
    """
    assert block.page.startswith("README"), "only the clients of the READMEs are run"


def _is_checked_elsewhere(block: Block, _around: Surroundings) -> None:
    path, _, name = block.name.partition("::")
    assert (ROOT / path).is_file(), f"{block}: there is no {path}"
    tree = ast.parse((ROOT / path).read_text("utf-8"))
    tests = {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}
    assert name.startswith("test_"), f"{block}: it names no test"
    assert name in tests, f"{block}: {path} has no {name}"


def _is_on_a_page_with_a_test(block: Block, _around: Surroundings) -> None:
    tests = _WHOLE_PAGES[block.page]
    assert list((ROOT / "tests").glob(tests)), f"{block}: there is no {tests}"


_BY_NAME: Mapping[str, Runner] = MappingProxyType(
    {
        "beside a worker": _run_beside_a_worker,
        "settings": _read_as_settings,
        "refused settings": _is_what_refused_settings_say,
        "paths": _lists_what_exists,
        "task message": lambda block, _: shown_task(block.text),
        "status messages": lambda block, _: shown_statuses(block.text),
    }
)
_BY_LANGUAGE: Mapping[str, Runner] = MappingProxyType(
    {
        "bash": _run,
        "sh": _run,
        "env": _read_as_settings,
        "dotenv": _read_as_settings,
        "toml": _read_as_toml,
        "yaml": lambda block, _: yaml.safe_load(block.text),
        "json": lambda block, _: json.loads(block.text),
    }
)
