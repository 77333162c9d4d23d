"""A folder as object store: there, readable, writable, with room."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from llm_service.cli.checking.collection import Collection
from llm_service.errors import FileError
from llm_service.files.folder_store import FolderStore
from llm_service.settings import MinioSettings

# What the service's own requirements ask of a disk.
_ROOM_BYTES = 1_000_000_000
_PROBE = ".llm-service-check"


def look_at_folder(root: Path, minio: MinioSettings, found: Collection) -> None:
    """Add what is found about it; blocks. Leaves nothing behind."""
    subject = f"folder {root}"
    if not root.is_dir():
        found.failed(subject, "there is no such folder", "Make it, mount it, or correct STORAGE_FOLDER.")
        return
    free = shutil.disk_usage(root).free
    if free < _ROOM_BYTES:
        found.warning(subject, f"{free / 1e6:,.0f} MB are free", "Make room: results and uploads go here.")
    else:
        found.ok(subject, f"{free / 1e9:,.0f} GB are free")
    for bucket in sorted(minio.readable_buckets):
        _look_at_bucket(root, bucket, found, writes=bucket == minio.bucket_name)


def _look_at_bucket(root: Path, bucket: str, found: Collection, *, writes: bool) -> None:
    subject, store = f"bucket {bucket}", FolderStore(root)
    try:
        store.check(bucket)
        if writes:
            _write(store, root, bucket)
    except FileError as error:
        remedy = f"Make the folder {root / bucket}, and let user {os.getuid()} read and write it."
        found.failed(subject, error.message, remedy)
        return
    if not os.access(root / bucket, os.R_OK | os.X_OK):
        found.failed(
            subject,
            "it can't be read",
            f"Let user {os.getuid()} read the folder {root / bucket} (chmod, chown).",
        )
        return
    found.ok(subject, "a probe file was written and read" if writes else "can be read")


def _write(store: FolderStore, root: Path, bucket: str) -> None:
    """Raises FileError."""
    try:
        store.put(bucket, _PROBE, b"written by llm-service check\n", "text/plain")
        store.stat(bucket, _PROBE)
    finally:
        (root / bucket / _PROBE).unlink(missing_ok=True)
