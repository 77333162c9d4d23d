"""Running an image's commands as a strict platform would: read-only root, no capabilities, its own user and process tree."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tests.services.image import Image

_RUN_LIMIT_S = 60.0
_OWN_NAMESPACES = ("--unshare-pid", "--unshare-ipc", "--unshare-uts", "--unshare-cgroup-try", "--new-session")
# setpriv makes it a real user and not one of a user namespace: who may write to a mounted folder is as it is in Docker.
_NO_RIGHTS = (
    "--clear-groups",
    "--inh-caps=-all",
    "--ambient-caps=-all",
    "--bounding-set=-all",
    "--no-new-privs",
)


@dataclass(frozen=True, slots=True)
class Container:
    """Settings and mounts for an image. Its network is this machine's: the test bed listens on 127.0.0.1."""

    image: Image
    env: Mapping[str, str] = field(default_factory=dict)
    mounts: Mapping[Path, str] = field(default_factory=dict)
    """Folders and files of this machine by their place inside; those of ``/app/logs`` are writable, others not."""
    user: tuple[int, int] | None = None
    """None: the image's own."""

    def argv(self, *arguments: str, entrypoint: Sequence[str] | None = None) -> list[str]:
        """Without arguments the image's own command, else those behind its entrypoint, as ``docker run`` has it."""
        config = self.image.config
        chosen = self.image.entrypoint if entrypoint is None else list(entrypoint)
        given = list(arguments) or (self.image.command if entrypoint is None else [])
        uid, gid = self.user or self.image.user
        return [
            *("bwrap", *self._root(), "--proc", "/proc", "--dev", "/dev"),
            *("--perms", "1777", "--tmpfs", "/tmp"),
            *self._mounts(),
            *("--remount-ro", "/"),
            *(*_OWN_NAMESPACES, "--as-pid-1", "--die-with-parent", "--chdir", str(config["WorkingDir"])),
            *("--clearenv", *self._env()),
            *("setpriv", f"--reuid={uid}", f"--regid={gid}", *_NO_RIGHTS, "--"),
            *chosen,
            *given,
        ]

    def run(
        self, *arguments: str, entrypoint: Sequence[str] | None = None, limit_s: float = _RUN_LIMIT_S
    ) -> subprocess.CompletedProcess[str]:
        """Run to its end; its exit code and what it said."""
        return subprocess.run(
            self.argv(*arguments, entrypoint=entrypoint),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=limit_s,
            check=False,
        )

    def python(self, code: str) -> str:
        """What a piece of Python prints in there. Raises AssertionError when it fails."""
        done = self.run("-c", code, entrypoint=["python"])
        assert done.returncode == 0, done.stderr[-2000:]
        return done.stdout.strip()

    def _root(self) -> list[str]:
        """The root's entries one by one on an empty folder: a place to mount to need not be in the image, as in Docker."""
        words = ["--perms", "0755", "--tmpfs", "/"]
        for path in sorted(self.image.root.iterdir()):
            inside = f"/{path.name}"
            words += (
                ["--symlink", str(path.readlink()), inside]
                if path.is_symlink()
                else ["--ro-bind", str(path), inside]
            )
        return words

    def _mounts(self) -> list[str]:
        words = []
        for source, target in self.mounts.items():
            words += ["--bind" if target == "/app/logs" else "--ro-bind", str(source), target]
        return words

    def _env(self) -> list[str]:
        pairs = {**self.image.env, **self.env}
        return [word for name, value in pairs.items() for word in ("--setenv", name, value)]
