"""Things built once and kept: each in a folder named by what it is and by the recipe that made it."""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path


class Cache:
    """A folder of finished builds. A build appears whole or not at all, and parallel runs build once."""

    def __init__(self, root: Path, say: Callable[[str], None]) -> None:
        self._root = root
        self._say = say

    def get(self, name: str, recipe: str, build: Callable[[Path], None]) -> Path:
        """The folder of ``name`` made by ``recipe``; ``build`` fills an empty folder when there is none yet.

        The recipe's digest is part of the folder's name: a changed version or flag is another build. What
        ``build`` raises passes through and leaves nothing behind.
        """
        digest = hashlib.sha256(recipe.encode()).hexdigest()[:8]
        final = self._root / f"{name}-{digest}"
        if final.is_dir():
            return final
        self._root.mkdir(parents=True, exist_ok=True)
        with self._lock(name):
            if not final.is_dir():
                self._build(name, final, build)
        return final

    def _build(self, name: str, final: Path, build: Callable[[Path], None]) -> None:
        self._say(f"{name}: building once into {self._root}")
        began = time.monotonic()
        draft = Path(tempfile.mkdtemp(prefix=f".{name}-", dir=self._root))
        try:
            build(draft)
            draft.chmod(0o755)  # mkdtemp's 0700 would hide it from the user that Postgres runs as
            draft.rename(final)
        finally:
            shutil.rmtree(draft, ignore_errors=True)
        self._say(f"{name}: built in {time.monotonic() - began:.0f} s")

    @contextmanager
    def _lock(self, name: str) -> Iterator[None]:
        """Held by the kernel for an open file: it ends with its holder, whatever way that ends."""
        descriptor = os.open(self._root / f".{name}.lock", os.O_RDWR | os.O_CREAT, 0o644)
        try:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                self._say(f"{name}: waiting for another run that builds it")
                fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)
