"""From the storage path of a task to the objects it may mean. Pure: no request is made here.

The rules, in order:

1. ``s3://<bucket>/<key>`` names its bucket outright. A bucket that is neither the default one nor an
   allowed one is
   refused (``BucketNotAllowed``); there is one candidate.
2. Anything else is a key in the **default** bucket, whatever its first segment is: producers write
   ``<bucket>/<uuid>/<name>`` and mean that whole string as the key.
3. If it begins with the name of a readable bucket and a slash, the rest of it in that bucket is the second
   candidate:
   documentation shows ``<bucket>/file.pdf`` for the key ``file.pdf``.

So a path that begins with the name of a bucket this service may not read can't reach that bucket: it is a
key that is not there. Refused before any request (``FilePathRefused``): what climbs, is absolute on any
system, or that an object store and a file system would read differently.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass

from llm_service.errors import BucketNotAllowed, FilePathRefused

# The S3 API's limit for a key in UTF-8.
MAX_KEY_BYTES = 1024
_EXPLICIT = "s3://"
_DRIVE = re.compile(r"[A-Za-z]:(?:/|$)")
# How much of a refused path is shown: enough to recognise it, too little to fill a log.
_SHOWN_CHARS = 120


@dataclass(frozen=True, slots=True)
class Place:
    """One object that a storage path may mean."""

    bucket: str
    key: str


@dataclass(frozen=True, slots=True)
class Buckets:
    """Where tasks may read: the default bucket, and others that a path may name."""

    default: str
    allowed: frozenset[str] = frozenset()

    @property
    def readable(self) -> frozenset[str]:
        return self.allowed | {self.default}


def candidates(storage_path: str, buckets: Buckets) -> tuple[Place, ...]:
    """The objects the path may mean, in the order in which they are to be tried.

    Raises FilePathRefused, BucketNotAllowed.
    """
    if storage_path.startswith(_EXPLICIT):
        return (_explicit(storage_path, buckets),)
    key = _checked(storage_path.removeprefix("/"), storage_path)
    places = [Place(buckets.default, key)]
    first, slash, rest = key.partition("/")
    if slash and first in buckets.readable:
        places.append(Place(first, rest))
    return tuple(places)


def file_name(key: str, name: str | None) -> str:
    """A name to show and to hand to vendors: the task's own, else the key's last part; never a path.

    At most 255 characters, what file systems take; the end is kept, because it holds the extension.
    """
    for text in (name, key):
        last = re.split(r"[/\\]", text or "")[-1]
        clean = "".join(char for char in last if not _is_control(char)).strip()
        if clean not in {"", ".", ".."}:
            return clean[-255:]
    return "file"


def _explicit(storage_path: str, buckets: Buckets) -> Place:
    bucket, _, key = storage_path.removeprefix(_EXPLICIT).partition("/")
    if bucket not in buckets.readable:
        readable = ", ".join(sorted(buckets.readable))
        raise BucketNotAllowed(
            f"storage_path {_shown(storage_path)} names the bucket {_shown(bucket)}, which this service "
            f"may not read; it reads {readable} (MINIO_BUCKET_NAME, MINIO_ALLOWED_BUCKETS)"
        )
    return Place(bucket, _checked(key, storage_path))


def _checked(key: str, storage_path: str) -> str:
    reason = _objection(key)
    if reason is not None:
        raise FilePathRefused(f"storage_path {_shown(storage_path)} is refused: {reason}")
    return key


def _objection(key: str) -> str | None:
    """Why the key is refused, or None."""
    if any(_is_control(char) for char in key):
        return "it holds a NUL or another control character"
    if any("\ud800" <= char <= "\udfff" for char in key):
        return "it is not valid Unicode"
    if len(key.encode()) > MAX_KEY_BYTES:
        return f"it is longer than {MAX_KEY_BYTES} bytes, the limit of object keys"
    if key.startswith("/") or _DRIVE.match(key):
        return "it is an absolute path; give the object's key"
    if "\\" in key:
        return "it holds a backslash; object keys use '/'"
    return _segment_objection(key)


def _segment_objection(key: str) -> str | None:
    # NFKC: one-dot leaders, full-width dots and slashes are judged as what another system may fold them into.
    folded = unicodedata.normalize("NFKC", key).replace("\\", "/").split("/")
    if any(part in {".", ".."} for part in folded):
        return "it holds '.' or '..' as a part"
    if "" in folded:
        return "it holds no name in some part (nothing at all, '//' or a '/' at its end)"
    return None


def _is_control(char: str) -> bool:
    return unicodedata.category(char) == "Cc"


def _shown(text: str) -> str:
    """Bounded, and free of what could break a line or a terminal: repr escapes what can't be printed."""
    return repr(text) if len(text) <= _SHOWN_CHARS else f"{text[:_SHOWN_CHARS]!r}…"
