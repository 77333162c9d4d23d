"""``llm-service`` as a process, with an environment and nothing else."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_LIMIT_S = 60


@dataclass(frozen=True, slots=True)
class Ran:
    """How it ended and what it said."""

    code: int
    out: str
    err: str

    @property
    def lines(self) -> list[dict[str, Any]]:
        """stdout as JSON, an object a line."""
        return [json.loads(line) for line in self.out.splitlines()]


def run(folder: Path, environment: Mapping[str, str], *arguments: str) -> Ran:
    """Run it in ``folder``, so that no .env of the checkout is read."""
    ended = subprocess.run(
        [str(Path(sys.executable).with_name("llm-service")), *arguments],
        env=_surroundings(environment),
        cwd=folder,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=_LIMIT_S,
        check=False,
    )
    ran = Ran(ended.returncode, ended.stdout.decode(), ended.stderr.decode())
    assert "Traceback" not in ran.err, ran.err
    return ran


def start(folder: Path, environment: Mapping[str, str], *arguments: str) -> subprocess.Popen[str]:
    """The same, still running when this returns."""
    return subprocess.Popen(
        [str(Path(sys.executable).with_name("llm-service")), *arguments],
        env=_surroundings(environment),
        cwd=folder,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def _surroundings(environment: Mapping[str, str]) -> dict[str, str]:
    """``PYTHONPATH`` where these tests have one: the package that they are beside, not the one that is installed."""
    ours = {name: os.environ[name] for name in ("PATH", "PYTHONPATH") if name in os.environ}
    return {**ours, "PYTHONWARNINGS": "error", "LANG": "C.UTF-8", **environment}
