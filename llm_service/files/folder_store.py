"""A folder as object store, for a first run without MinIO: a bucket is a subfolder, a key a file."""

from __future__ import annotations

import errno
import io
import os
import shutil
import stat
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from hashlib import sha256
from pathlib import Path
from typing import BinaryIO

from llm_service.errors import (
    FileAccessDenied,
    FileError,
    FileIncomplete,
    FileNotFound,
    FilePathRefused,
    StoreUnavailable,
)
from llm_service.files.store import ObjectInfo

_CHUNK_BYTES = 256 * 1024
# O_NOFOLLOW at every step: a symbolic link is never followed, so no key leads out of its bucket, also when
# the folder is changed between two steps. O_NONBLOCK: opening a named pipe returns instead of waiting for
# its writer.
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


class FolderStore:
    """An ``ObjectStore`` over a folder. ``root`` may be a symbolic link; none below it is followed."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def stat(self, bucket: str, key: str) -> ObjectInfo:
        with self._opened(bucket, key) as (_, info):
            return info

    @contextmanager
    def open(self, info: ObjectInfo) -> Iterator[Iterator[bytes]]:
        with self._opened(info.bucket, info.key) as (file, now):
            if now.etag != info.etag:
                raise FileIncomplete(f"{_what(info.bucket, info.key)} was replaced while it was being read")
            yield _chunks(file)

    def put(self, bucket: str, key: str, value: bytes, content_type: str) -> None:
        self.upload(bucket, key, io.BytesIO(value), len(value), content_type)

    def upload(self, bucket: str, key: str, source: BinaryIO, size: int, content_type: str) -> None:
        """A folder keeps no types: ``content_type`` is dropped."""
        *folders, name = _parts(bucket, key)
        # Written beside and renamed: a reader sees the old object or the new one. The name is this thread's
        # own.
        part = f".{sha256(name.encode()).hexdigest()[:16]}.{os.getpid()}.{threading.get_ident()}.part"
        with _translated(bucket, key), self._folder(folders, create=True) as folder:
            try:
                if (written := _write(part, folder, source)) != size:
                    raise FileIncomplete(f"{_what(bucket, key)} is {written} bytes, not {size}")
                os.rename(part, name, src_dir_fd=folder, dst_dir_fd=folder)
            except BaseException:
                _remove(part, folder)
                raise

    def check(self, bucket: str) -> None:
        with _translated(bucket, None), self._folder([*_parts(bucket)], create=False):
            pass

    def close(self) -> None:
        """Nothing is held between calls."""

    @contextmanager
    def _opened(self, bucket: str, key: str) -> Iterator[tuple[int, ObjectInfo]]:
        *folders, name = _parts(bucket, key)
        with _translated(bucket, key), self._folder(folders, create=False) as folder:
            file = os.open(name, _FILE, dir_fd=folder)
        try:
            found = os.fstat(file)
            if not stat.S_ISREG(found.st_mode):
                raise FileNotFound(f"there is no {_what(bucket, key)}: that name is no file")
            yield file, ObjectInfo(bucket, key, found.st_size, f"{found.st_ino:x}-{found.st_mtime_ns:x}")
        finally:
            os.close(file)

    @contextmanager
    def _folder(self, names: list[str], *, create: bool) -> Iterator[int]:
        """The folder reached from the root by ``names``, each step opened inside the one before."""
        try:
            here = os.open(self._root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except OSError as error:
            raise StoreUnavailable(f"the object store's folder can't be opened: {error.strerror}") from error
        try:
            for name in names:
                here = _step(here, name, create=create)
            yield here
        finally:
            os.close(here)


def _step(here: int, name: str, *, create: bool) -> int:
    if create:
        with suppress(FileExistsError):
            os.mkdir(name, 0o755, dir_fd=here)
    inner = os.open(name, _FOLDER, dir_fd=here)
    os.close(here)
    return inner


def _parts(bucket: str, key: str | None = None) -> list[str]:
    """The names from the root down. ``paths`` has judged the key already; a store trusts nobody."""
    parts = [bucket, *([] if key is None else key.split("/"))]
    if "/" in bucket or any(part in {"", ".", ".."} or "\0" in part for part in parts):
        raise FilePathRefused(f"{_what(bucket, key)} is refused: it holds an empty part, '.', '..' or a NUL")
    return parts


def _chunks(file: int) -> Iterator[bytes]:
    while chunk := os.read(file, _CHUNK_BYTES):
        yield chunk


def _write(name: str, folder: int, source: BinaryIO) -> int:
    file = os.open(
        name, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, 0o644, dir_fd=folder
    )
    with os.fdopen(file, "wb") as target:
        shutil.copyfileobj(source, target, _CHUNK_BYTES)
        return target.tell()


def _remove(name: str, folder: int) -> None:
    with suppress(FileNotFoundError):
        os.unlink(name, dir_fd=folder)


@contextmanager
def _translated(bucket: str, key: str | None) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise _of_errno(error.errno, bucket, key) from error
    except UnicodeEncodeError as error:
        raise FilePathRefused(f"{_what(bucket, key)} is refused: it is not valid Unicode") from error


def _of_errno(code: int | None, bucket: str, key: str | None) -> FileError:
    what = _what(bucket, key)
    reason = os.strerror(code or 0)
    if code == errno.ELOOP:
        return FilePathRefused(f"{what} is refused: a symbolic link is not followed")
    if code in {errno.ENOENT, errno.ENOTDIR, errno.ENAMETOOLONG, errno.EISDIR, errno.ENXIO}:
        return FileNotFound(f"there is no {what} ({reason})")
    if code in {errno.EACCES, errno.EPERM, errno.EROFS}:
        return FileAccessDenied(f"the folder denies access to {what} ({reason})")
    return StoreUnavailable(f"the folder fails for {what} ({reason})")


def _what(bucket: str, key: str | None) -> str:
    return f"bucket {bucket!r}" if key is None else f"object {key!r} in bucket {bucket!r}"
