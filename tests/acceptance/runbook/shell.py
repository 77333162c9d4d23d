"""A command of the page, run as a reader runs it: by a shell, with the worker's settings in the environment."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from tests.acceptance.runbook.page import Row, not_shown
from tests.services.commands import install_debian

COMMAND_S = 60.0


def run(command: str, environment: Mapping[str, str], folder: Path, limit_s: float = COMMAND_S) -> str:
    """All that it says."""
    done = subprocess.run(
        ["bash", "-c", command],
        env=_surroundings(environment),
        cwd=folder,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=limit_s,
        check=False,
    )
    return done.stdout


def shows(row: Row, environment: Mapping[str, str], folder: Path) -> str:
    """Run the row's command; what the page says it shows, it shows."""
    output = run(row.command, environment, folder)
    missing = not_shown(row.seen, output)
    assert not missing, f"{row.command}\nshowed\n{output}\nand not\n" + "\n".join(missing)
    assert "Traceback" not in output, output
    return output


def has_curl() -> None:
    """The page uses it; a bare machine has none."""
    if shutil.which("curl") is None:
        install_debian("curl")


def _surroundings(environment: Mapping[str, str]) -> dict[str, str]:
    here = os.environ
    kept = {name: here[name] for name in ("HOME", "PYTHONPATH") if name in here}
    path = f"{Path(sys.executable).parent}{os.pathsep}{here['PATH']}"
    return {**kept, "LANG": "C.UTF-8", **environment, "PATH": path}
