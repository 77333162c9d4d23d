"""The code of an earlier commit, in a folder of its own."""

from __future__ import annotations

import io
import subprocess
import tarfile
from pathlib import Path

from tests.acceptance.worker import ROOT


class NoSuchVersion(Exception):
    """The commit is not in this clone."""


def unpacked(commit: str, folder: Path) -> Path:
    """Its files below ``folder``. Raises NoSuchVersion."""
    ran = subprocess.run(["git", "archive", commit], cwd=ROOT, capture_output=True, check=False)
    if ran.returncode:
        reason = ran.stderr.decode("utf-8", "replace").strip()
        raise NoSuchVersion(
            f"commit {commit} can't be had ({reason}): is this a shallow clone? git fetch --unshallow"
        )
    place = folder / commit
    with tarfile.open(fileobj=io.BytesIO(ran.stdout)) as archive:
        archive.extractall(place, filter="data")
    return place
