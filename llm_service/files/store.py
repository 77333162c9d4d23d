"""What an object store is, and what the service keeps of an object while it works on it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Protocol


@dataclass(frozen=True, slots=True)
class ObjectInfo:
    """What the store says of an object before its bytes are read."""

    bucket: str
    key: str
    size: int
    etag: str


@dataclass(frozen=True, slots=True)
class LocalFile:
    """An object's bytes on this machine, whole and checked against its length."""

    name: str
    """The file's name for people and vendors: the last part of the key, or the task's own name for it."""
    path: Path
    size: int
    content_type: str
    """By content, not by name."""


class ObjectStore(Protocol):
    """A synchronous store, called from the bounded executor of file work.

    Errors raised are of ``errors.FileError``; ``StoreUnavailable`` where trying later can help.
    """

    def stat(self, bucket: str, key: str) -> ObjectInfo:
        """Raises FileNotFound, FileAccessDenied, StoreUnavailable."""
        ...

    def open(self, info: ObjectInfo) -> AbstractContextManager[Iterator[bytes]]:
        """The object's bytes in chunks; leaving the context gives the connection back."""
        ...

    def put(self, bucket: str, key: str, value: bytes, content_type: str) -> None:
        """Store a small object whole, replacing what is there."""
        ...

    def upload(self, bucket: str, key: str, source: BinaryIO, size: int, content_type: str) -> None:
        """Store ``size`` bytes of ``source`` as they are read: all of them, or no object."""
        ...

    def check(self, bucket: str) -> None:
        """Return when the bucket is there and can be read; else raise a FileError."""
        ...

    def close(self) -> None: ...
