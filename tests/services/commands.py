"""Running the machine's own tools, and getting those that are missing."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.services.runtime import Unavailable

_TAIL_CHARACTERS = 1_500
# Three times the slowest build measured (Ollama, 145 s on two idle cores), and twice that for cores shared
# with other work.
BUILD_LIMIT_S = 900


def run(
    command: Sequence[str],
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    limit_s: float = BUILD_LIMIT_S,
) -> str:
    """Its output. Raises Unavailable with the end of what it said when it fails or takes too long."""
    try:
        done = subprocess.run(
            command,
            env={**os.environ, **(env or {})},
            cwd=cwd,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            timeout=limit_s,
            check=False,
        )
    except FileNotFoundError as error:
        raise Unavailable(f"{command[0]} is not installed") from error
    except subprocess.TimeoutExpired as error:
        raise Unavailable(f"`{' '.join(command)}` took longer than {limit_s:.0f} s") from error
    if done.returncode:
        raise Unavailable(
            f"`{' '.join(command)}` failed ({done.returncode}): {done.stdout[-_TAIL_CHARACTERS:].strip()}"
        )
    return done.stdout


def install_debian(*packages: str) -> None:
    """Install Debian packages. Raises Unavailable naming the command when this is not root or Debian."""
    command = f"apt-get install {' '.join(packages)}"
    if os.geteuid() != 0 or shutil.which("apt-get") is None:
        raise Unavailable(f"missing here; as root: {command}")
    quiet = {"DEBIAN_FRONTEND": "noninteractive"}
    install = ["apt-get", "install", "-y", "-q", "--no-install-recommends", *packages]
    try:
        run(install, quiet)
    except Unavailable:
        run(["apt-get", "update", "-q"], quiet)  # a fresh machine has no package lists yet
        run(install, quiet)


def version_of(command: Sequence[str], pattern: str) -> tuple[int, ...] | None:
    """The numbers of the pattern's first group in what the command prints; None when it cannot be run."""
    try:
        found = re.search(pattern, run(command, limit_s=20))
    except Unavailable:
        return None
    return tuple(int(part) for part in found.group(1).split(".")) if found else None


def pip_install(folder: Path, *packages: str) -> None:
    run([sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--target", str(folder), *packages])
