"""The code of an earlier commit, in a folder of its own."""

from __future__ import annotations

import io
import subprocess
import tarfile
import tomllib
from configparser import ConfigParser
from dataclasses import dataclass
from pathlib import Path

from tests.acceptance.worker import ROOT


class NoSuchVersion(Exception):
    """The commit is not in this clone."""


@dataclass(frozen=True, slots=True)
class Version:
    """An earlier state of the code, so that a reader of a record knows what was replaced."""

    commit: str
    date: str
    subject: str
    commits_since: int
    """How many commits lie between it and the code that replaces it."""


def described(commit: str) -> Version:
    """Raises NoSuchVersion."""
    name, date, subject = _git(
        "log", "-1", "--format=%h%n%cd%n%s", "--date=format:%Y-%m-%d %H:%M", commit
    ).split("\n", 2)
    return Version(name, date, subject.strip(), int(_git("rev-list", "--count", f"{commit}..HEAD")))


def _git(*arguments: str) -> str:
    ran = subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=False)
    if ran.returncode:
        raise NoSuchVersion(f"git {arguments[0]}: {ran.stderr.strip()}: is this a shallow clone?")
    return ran.stdout


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
    _name_entry_points(place)
    return place


def _name_entry_points(place: Path) -> None:
    """Lay the version's own metadata beside its main.py.

    What is installed names the providers of today, which an earlier version can't load; Python takes the
    distribution of a name that comes first on its path, and that is the folder of main.py.
    """
    project = tomllib.loads((place / "pyproject.toml").read_text("utf-8"))["project"]
    metadata = place / f"{project['name'].replace('-', '_')}-{project['version']}.dist-info"
    metadata.mkdir()
    head = f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {project['version']}\n"
    (metadata / "METADATA").write_text(head, "utf-8")
    groups = ConfigParser(delimiters=("=",))
    groups.optionxform = str  # type: ignore[assignment,method-assign]
    groups.read_dict(project.get("entry-points", {}))
    with (metadata / "entry_points.txt").open("w", encoding="utf-8") as out:
        groups.write(out)
