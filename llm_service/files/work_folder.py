"""Where this process keeps files while it works on them; what dead processes left there is swept away.

Every process has its own folder inside the shared root and holds a lock on a file beside it. The kernel
drops the lock when the process dies, whatever way it dies, so a folder whose lock can be taken belongs to
nobody. A process id would not do: in containers everybody is number 1.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from llm_service.errors import WorkFolderUnavailable

_PREFIX = "llm-service-"
_LOCK = ".lock"


class WorkFolder:
    """This process's folder; made at its first use. Thread-safe."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._opening = threading.Lock()
        self._lock: int | None = None
        self._path: Path | None = None
        self._is_closed = False

    def open(self) -> Path:
        """Sweep what dead processes left, make the folder; again: the same. Raises WorkFolderUnavailable."""
        with self._opening, work_folder_errors():
            if self._is_closed:
                raise WorkFolderUnavailable("the service is stopping and takes no more files")
            if self._path is None:
                self._root.mkdir(parents=True, exist_ok=True)
                sweep(self._root)
                self._lock, self._path = _claim(self._root)
            # A cleaner of temporary folders may have taken it away since.
            self._path.mkdir(mode=0o700, exist_ok=True)
            return self._path

    def close(self) -> None:
        """Delete the folder with all that is in it, for good: a thread that comes late makes no new one."""
        with self._opening:
            self._is_closed = True
            if self._path is not None and self._lock is not None:
                _delete(self._path)
                os.close(self._lock)
            self._path = self._lock = None


@contextmanager
def work_folder_errors() -> Iterator[None]:
    """Name what the operating system says about writing here. Trying again can help: space comes back."""
    try:
        yield
    except OSError as error:
        raise WorkFolderUnavailable(
            f"the service's work folder can't take the file: {error.strerror or type(error).__name__}; "
            "free space there, or set FILE_TEMP_FOLDER to another folder"
        ) from error


def usual_root() -> Path:
    """The machine's temporary folder. Raises WorkFolderUnavailable where there is none to write to: a read-only root."""
    with work_folder_errors():
        return Path(tempfile.gettempdir())


def sweep(root: Path) -> None:
    """Delete the folders whose process is dead."""
    for lock_path in root.glob(f"{_PREFIX}*{_LOCK}"):
        lock = _locked(lock_path)
        if lock is not None:
            _delete(lock_path.with_name(lock_path.name.removesuffix(_LOCK)))
            os.close(lock)


def _claim(root: Path) -> tuple[int, Path]:
    """A new folder and the lock that says it is ours."""
    while True:
        made, name = tempfile.mkstemp(prefix=_PREFIX, suffix=_LOCK, dir=root)
        os.close(made)
        lock = _locked(Path(name))
        # None when another process's sweep came between the two lines: its file is gone, ours is to be made
        # anew.
        if lock is not None:
            return lock, Path(name.removesuffix(_LOCK))


def _locked(path: Path) -> int | None:
    """The locked file's descriptor; None when another process holds it, or deleted it meanwhile."""
    try:
        lock = os.open(path, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if path.stat().st_ino == os.fstat(lock).st_ino:
            return lock
    except OSError:
        pass
    os.close(lock)
    return None


def _delete(folder: Path) -> None:
    """The folder first, its lock file last: a sweep cut short is finished by the next."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.with_name(folder.name + _LOCK).unlink(missing_ok=True)
