"""Takes out of the image's virtual environment what the service does not run: ``python slim.py /opt/venv [EXTRA ...]``.

requirements.txt locks everything, every extra and the build tool included. What stays is what llm-service with the
extras asked for needs, found by following the installed packages' own requirements. Runs in the builder stage.
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterable, Iterator
from importlib.metadata import Distribution, distributions
from pathlib import Path

# The builder has pip's copy for sure; the environment has packaging only while some package needs it.
from pip._vendor.packaging.requirements import Requirement
from pip._vendor.packaging.utils import canonicalize_name

ROOT = "llm-service"
# onnxruntime names sympy for a tool that rewrites models (onnxruntime.tools.symbolic_shape_infer); importing and
# running a model touch neither it nor mpmath below it, 86 MB together. tests/acceptance/test_image.py converts a
# document of each kind without it.
UNUSED = {("onnxruntime", "sympy")}
# Suites that lie inside of packages, never imported by them; pandas' alone is 35 MB.
TEST_FOLDERS = ("pandas/tests", "numpy/**/tests")
# Of all commands that packages bring (magika's alone is 32 MB) the service starts none but its own.
COMMANDS = ("python*", "llm-service")


def needed(installed: dict[str, Distribution], extras: Iterable[str]) -> set[str]:
    """The names of all that llm-service with these extras needs, itself included."""
    seen: set[tuple[str, str]] = set()
    waiting = [(ROOT, extra) for extra in ("", *extras)]
    while waiting:
        name, extra = waiting.pop()
        if (name, extra) not in seen and name in installed:
            seen.add((name, extra))
            waiting += requirements(name, installed[name], extra)
    return {name for name, _ in seen}


def requirements(name: str, package: Distribution, extra: str) -> Iterator[tuple[str, str]]:
    """What a package with an extra needs, by name and extra."""
    for line in package.requires or ():
        wanted = Requirement(line)
        other = canonicalize_name(wanted.name)
        holds = wanted.marker is None or wanted.marker.evaluate({"extra": extra})
        if holds and (name, other) not in UNUSED:
            yield from ((other, asked) for asked in ("", *wanted.extras))


def remove(package: Distribution, site: Path) -> None:
    """Delete a package's files, and the folders that are empty then."""
    folders: set[Path] = set()
    for file in package.files or ():
        path = Path(str(package.locate_file(file)))
        path.unlink(missing_ok=True)
        folders |= {parent for parent in path.parents if site in parent.parents}
    for folder in sorted(folders, reverse=True):
        if folder.is_dir() and not any(folder.iterdir()):
            folder.rmdir()


def main(environment: Path, extras: list[str]) -> None:
    (site,) = environment.glob("lib/python*/site-packages")
    installed = {str(canonicalize_name(package.name)): package for package in distributions(path=[str(site)])}
    unknown = set(extras) - set(installed[ROOT].metadata.get_all("Provides-Extra", ()))
    if unknown:
        sys.exit(f"EXTRAS names what llm-service does not have: {', '.join(sorted(unknown))}")
    dropped = set(installed) - needed(installed, extras)
    for name in dropped:
        remove(installed[name], site)
    for pattern in TEST_FOLDERS:
        for folder in list(site.glob(pattern)):
            shutil.rmtree(folder)
    for command in (environment / "bin").iterdir():
        if not any(command.match(pattern) for pattern in COMMANDS):
            command.unlink()
    sys.stdout.write(f"left out: {', '.join(sorted(dropped)) or 'nothing'}\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])
