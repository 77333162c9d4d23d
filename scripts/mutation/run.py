"""One module under mutmut, in a copy of the tree: what it does to the code stays out of the tree and of the index."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from scripts.mutation.module import Module
from scripts.mutation.mutant import Mutant, mutant

ROOT = Path(__file__).parents[2]
_PROFILE = "mutation_profile"
_PROGRESS = re.compile(r"(\d+)/(\d+) ")
# What mutmut calls the end of a mutant. Where the interpreter itself fell over, that was noticed too.
_KILLED = ("killed", "segfault")
_SURVIVED = ("survived", "no tests")
_LAST_LINES = 15
# What ``mutmut show`` does, for many at once: it takes a second to start.
_SHOW = """
import json, sys
from mutmut.mutation.diff_apply import get_diff_for_mutant
json.dump({name: get_diff_for_mutant(name) for name in sys.argv[1:]}, sys.stdout)
"""


class MutationFailed(Exception):
    """mutmut came to no result."""


@dataclass(frozen=True, slots=True)
class Survivor:
    """A mutant under which all tests passed, or that none of them reaches."""

    mutant: Mutant
    reached: bool


@dataclass(frozen=True, slots=True)
class Mutated:
    """What came of a module."""

    mutants: int
    timeouts: int
    """Noticed in that the tests did not end: a loop, or a wait for what never comes."""
    survivors: tuple[Survivor, ...]
    seconds: float

    @property
    def found(self) -> int:
        """Timeouts among them."""
        return self.mutants - len(self.survivors)

    @property
    def share(self) -> float:
        """Of all mutants, in percent."""
        return 100 * self.found / self.mutants


def mutate(module: Module, processes: int, progress: Callable[[str], None]) -> Mutated:
    """Every mutant of it, against its tests. Raises MutationFailed."""
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="mutation-") as folder:
        tree = Path(folder)
        _copy(module, tree)
        _run(tree, processes, progress)
        ends = _ends(_python(tree, "-m", "mutmut", "results", "--all", "true"))
        strange = {name: end for name, end in ends.items() if end not in (*_KILLED, *_SURVIVED, "timeout")}
        if strange or not ends:
            raise MutationFailed(f"mutmut came to no result for {strange or module.path}")
        names = [name for name, end in ends.items() if end in _SURVIVED]
        diffs: dict[str, str] = json.loads(_python(tree, "-c", _SHOW, *names))
    survivors = tuple(
        Survivor(mutant(name, diff), reached=ends[name] == "survived") for name, diff in diffs.items()
    )
    timeouts = sum(end == "timeout" for end in ends.values())
    return Mutated(len(ends), timeouts, survivors, time.monotonic() - began)


def _copy(module: Module, tree: Path) -> None:
    for name in ("llm_service", "tests"):
        shutil.copytree(ROOT / name, tree / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(Path(__file__).with_name("profile.py"), tree / f"{_PROFILE}.py")
    options = {
        "source_paths": ["llm_service"],
        "only_mutate": [module.path],
        "pytest_add_cli_args_test_selection": list(module.tests),
        "pytest_add_cli_args": ["-p", _PROFILE, "-p", "no:cacheprovider"],
        "also_copy": [f"{_PROFILE}.py"],
    }
    lines = ["[tool.mutmut]", *(f"{name} = {json.dumps(value)}" for name, value in options.items())]
    project = (ROOT / "pyproject.toml").read_text("utf-8")
    (tree / "pyproject.toml").write_text(project + "\n" + "\n".join(lines) + "\n", "utf-8")


def _run(tree: Path, processes: int, progress: Callable[[str], None]) -> None:
    command = [sys.executable, "-m", "mutmut", "run", "--max-children", str(processes)]
    last: list[str] = []
    with subprocess.Popen(
        command, cwd=tree, env=_environment(tree), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        if process.stdout is None:
            raise MutationFailed("mutmut has no output")
        for (
            line
        ) in process.stdout:  # it begins each line of its progress anew, which universal newlines make a line
            last = [*last[1 - _LAST_LINES :], line.rstrip()]
            if (found := _PROGRESS.search(line)) is not None:
                progress(f"{found[1]} of {found[2]}")
    if process.returncode:
        raise MutationFailed("\n".join(["mutmut ended with an error:", *last]))


def _python(tree: Path, *arguments: str) -> str:
    command = [sys.executable, *arguments]
    done = subprocess.run(
        command, cwd=tree, env=_environment(tree), capture_output=True, text=True, check=False, timeout=300
    )
    if done.returncode:
        raise MutationFailed(f"what mutmut has found can't be read: {done.stderr.strip()}")
    return done.stdout


def _environment(tree: Path) -> Mapping[str, str]:
    """With the copy in front of what is installed: where the tree itself is, mutants would never run."""
    return {**os.environ, "PYTHONPATH": str(tree), "PYTHONIOENCODING": "utf-8"}


def _ends(results: str) -> dict[str, str]:
    """How each mutant ended, from lines like ``llm_service.kafka.tracker.x_map_bytes__mutmut_1: survived``."""
    lines = [line.strip().rpartition(": ") for line in results.splitlines() if "__mutmut_" in line]
    return {name: end for name, _, end in lines}
