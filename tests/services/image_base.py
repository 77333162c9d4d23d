"""What the Dockerfile's base image holds, as far as the Dockerfile leans on it, made from Debian's own packages."""

from __future__ import annotations

import re
import shutil
import tarfile
from pathlib import Path

from tests.services.cache import Cache
from tests.services.commands import run
from tests.services.runtime import Unavailable

# python:3.13-slim-trixie: Debian trixie with Python 3.13 in /usr/local/bin, pip, the certificates of public authorities.
_TAG = re.compile(r"^ARG PYTHON_IMAGE=(python:(?P<version>\d+\.\d+)-slim-(?P<suite>\w+))$", re.MULTILINE)
_PACKAGES = "ca-certificates,python3,python3-venv"
# Debian's pip refuses to work outside of environments, and its python is not where the image has it.
_AS_THE_IMAGE_HAS_IT = """
set -e
rm /usr/lib/python3*/EXTERNALLY-MANAGED
for wheel in /usr/share/python-wheels/pip-*.whl; do
    PIP_CONFIG_FILE=/dev/null python3 "$wheel/pip" install -q --root-user-action ignore --no-index "$wheel"
done
ln -s /usr/bin/python3 /usr/local/bin/python3
ln -s /usr/bin/python3 /usr/local/bin/python
apt-get clean
rm -rf /var/lib/apt/lists/*
"""


def name_of_base(dockerfile: str) -> str:
    """The base image that a Dockerfile names: ``python:3.13-slim-trixie``. Raises Unavailable."""
    return _tag(dockerfile)[1]


def archive_of_base(cache: Cache, dockerfile: str) -> Path:
    """A tar of the base's root file system. Raises Unavailable."""
    tag = _tag(dockerfile)
    recipe = f"{tag[1]} {_PACKAGES} {_AS_THE_IMAGE_HAS_IT}"
    folder = cache.get("image-base", recipe, lambda draft: _build(draft, tag["suite"], tag["version"]))
    return folder / "base.tar"


def file_of_base(archive: Path, name: str) -> bytes:
    """A file's content as the base has it."""
    with tarfile.open(archive) as base:
        content = base.extractfile(f"./{name}")
        assert content is not None
        return content.read()


def _tag(dockerfile: str) -> re.Match[str]:
    found = _TAG.search(dockerfile)
    if found is None:
        raise Unavailable(
            "the Dockerfile's base is no python:X.Y-slim-SUITE, and only such a one can be stood in for"
        )
    return found


def _build(draft: Path, suite: str, version: str) -> None:
    root = draft / "root"
    # In a mount namespace of its own: what debootstrap mounts is gone with it, whatever way it ends.
    own_mounts = ["unshare", "--mount", "--propagation", "private"]
    run([*own_mounts, "debootstrap", "--variant=minbase", f"--include={_PACKAGES}", suite, str(root)])
    run(
        ["chroot", str(root), "sh", "-c", _AS_THE_IMAGE_HAS_IT], {"PATH": "/usr/local/bin:/usr/sbin:/usr/bin"}
    )
    says = run(["chroot", str(root), "/usr/local/bin/python", "--version"])
    if f"Python {version}." not in says:
        raise Unavailable(f"Debian {suite} has {says.strip()}, and the Dockerfile's base has {version}")
    run(["tar", "-C", str(root), "-cf", str(draft / "base.tar"), "."])
    shutil.rmtree(root)
