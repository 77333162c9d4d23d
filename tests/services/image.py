"""The image of the Dockerfile, built by buildah without a daemon and laid out as a folder."""

from __future__ import annotations

import ast
import hashlib
import json
import os
import shutil
import stat
import sys
import tarfile
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from configparser import ConfigParser
from dataclasses import dataclass
from pathlib import Path

from tests.services.cache import Cache
from tests.services.commands import install_debian, run
from tests.services.image_base import archive_of_base, name_of_base
from tests.services.runtime import Unavailable

PROJECT = Path(__file__).resolve().parents[2]
_TOOLS = {"buildah": "buildah", "podman": "podman", "debootstrap": "debootstrap", "bwrap": "bubblewrap"}
_CONTEXT = ("Dockerfile", ".dockerignore", "README.md", "main.py", "pyproject.toml", "requirements.txt")
_CONTEXT_FOLDERS = ("deploy/image", "llm_service")
_NAME = "localhost/llm-service"
# How this machine reaches its package registry is no matter of the Dockerfile: lent to pip for the build.
_PIP_KEYS = {"cert", "extra-index-url", "index-url", "proxy", "retries", "timeout", "trusted-host"}
_CERTIFICATES = "/etc/ssl/certs/ca-certificates.crt"
# Another run may have the image of another tree in use, for as long as a run takes.
_FORGOTTEN_AFTER_S = 3600


@dataclass(frozen=True, slots=True)
class Image:
    """A built image."""

    root: Path
    """Its root file system, as it is: never write to it."""
    config: Mapping[str, object]
    """Docker's image config: Env, Entrypoint, Cmd, User, WorkingDir, Healthcheck, Labels, StopSignal."""
    base: Path
    """A tar of the base's root file system."""

    @property
    def bytes_above_base(self) -> int:
        """What the Dockerfile adds to its base, uncompressed."""
        with tarfile.open(self.base) as archive:
            of_base = sum(member.size for member in archive if member.isfile())
        files = (path.lstat() for path in self.root.rglob("*"))
        return sum(file.st_size for file in files if stat.S_ISREG(file.st_mode)) - of_base

    @property
    def env(self) -> dict[str, str]:
        """What ENV says."""
        return dict(pair.split("=", 1) for pair in self._words("Env"))

    @property
    def entrypoint(self) -> list[str]:
        """What ENTRYPOINT says."""
        return self._words("Entrypoint")

    @property
    def command(self) -> list[str]:
        """What CMD says."""
        return self._words("Cmd")

    @property
    def user(self) -> tuple[int, int]:
        """What USER says: uid and gid as numbers, as a platform that forbids root wants them."""
        uid, gid = str(self.config["User"]).split(":")
        return int(uid), int(gid)

    def _words(self, name: str) -> list[str]:
        words = self.config[name]
        assert isinstance(words, list)
        return words


def build(cache: Cache, extras: str | None = None) -> Image:
    """The image of the checkout as it is now, built when there is none; ``extras`` as the build argument.

    Keeps one build of each kind: an image is half a gigabyte, and each change of the code is another. Raises Unavailable.
    """
    ensure_tools()
    dockerfile = (PROJECT / "Dockerfile").read_text()
    archive = archive_of_base(cache, dockerfile)
    kind = "image" if extras is None else f"image-with-{extras or 'nothing'}"
    recipe = f"{archive} {extras} {_digest()}"
    folder = cache.get(kind, recipe, lambda draft: _build(draft, archive, name_of_base(dockerfile), extras))
    _forget_others(folder)
    config = json.loads((folder / "config.json").read_text())
    return Image(folder / "root", config, archive)


def ensure_tools() -> None:
    """Raises Unavailable where an image can't be built or run."""
    if os.geteuid() != 0:
        raise Unavailable("building and running an image without Docker needs root here")
    missing = [package for tool, package in _TOOLS.items() if shutil.which(tool) is None]
    if missing:
        install_debian(*missing)
    run(
        ["bwrap", "--ro-bind", "/", "/", "--unshare-pid", "--unshare-ipc", "--unshare-uts", "true"],
        limit_s=20,
    )


def context_files() -> Iterator[Path]:
    """What the build may read, by the names in .dockerignore."""
    yield from (PROJECT / name for name in _CONTEXT)
    for folder in _CONTEXT_FOLDERS:
        for path in sorted((PROJECT / folder).rglob("*")):
            if path.is_file() and "__pycache__" not in path.parts:
                yield path


def _digest() -> str:
    digest = hashlib.sha256()
    for path in context_files():
        digest.update(
            f"{path.relative_to(PROJECT)}\0{hashlib.sha256(path.read_bytes()).hexdigest()}\n".encode()
        )
    return digest.hexdigest()


def _build(draft: Path, archive: Path, base: str, extras: str | None) -> None:
    # podman refuses a run folder of more than 50 characters, which the cache's may have.
    with tempfile.TemporaryDirectory(prefix="image-", dir="/tmp") as run_folder:
        # vfs works in any sandbox, at the price of whole copies; without --layers there is one a stage.
        store = ["--root", str(draft / "store"), "--runroot", run_folder, "--storage-driver", "vfs"]
        scratch = {"TMPDIR": str(draft)}
        run(["podman", *store, "import", str(archive), f"docker.io/library/{base}"], scratch)
        lent = _lend_pip(draft)
        arguments = [] if extras is None else ["--build-arg", f"EXTRAS={extras}"]
        how = ["--pull=never", "--isolation", "chroot", "--format", "docker", *arguments, *lent]
        run(["buildah", *store, "build", *how, "--tag", _NAME, str(PROJECT)], scratch)
        described = json.loads(run(["buildah", *store, "inspect", "--type", "image", _NAME]))
        layer = Path(run(["podman", *store, "image", "mount", _NAME]).strip())
        layer.rename(draft / "root")
    (draft / "config.json").write_text(json.dumps(described["Docker"]["config"]))
    shutil.rmtree(draft / "store")
    (draft / "pip.conf").unlink()


def _lend_pip(draft: Path) -> Sequence[str]:
    """Arguments that show this machine's configuration of pip to the build, and leave nothing of it in the image."""
    wanted: dict[str, str] = {}
    for line in run([sys.executable, "-m", "pip", "config", "list"]).splitlines():
        name, _, value = line.partition("=")
        key = name.rpartition(".")[2]
        if key in _PIP_KEYS:
            wanted[key] = str(ast.literal_eval(value))
    shown = {str(draft / "pip.conf"): "/etc/pip.conf"}
    if "cert" in wanted:
        shown[wanted["cert"]] = wanted["cert"] = _CERTIFICATES
    parser = ConfigParser(interpolation=None)
    parser["global"] = wanted
    with (draft / "pip.conf").open("w") as file:
        parser.write(file)
    return [word for source, target in shown.items() for word in ("--volume", f"{source}:{target}:ro")]


def _forget_others(kept: Path) -> None:
    kind = kept.name.rpartition("-")[0]
    for other in kept.parent.glob(f"{kind}-????????"):
        if other != kept and time.time() - other.stat().st_mtime > _FORGOTTEN_AFTER_S:
            shutil.rmtree(other, ignore_errors=True)
