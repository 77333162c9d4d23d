"""The buckets of the settings: there, readable, and the default one writable, shown by a probe object."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from llm_service.cli.checking.collection import Collection
from llm_service.files.bucket_probe import BucketProbe, S3Refused, S3Silent
from llm_service.resilience.clock import Clock
from llm_service.settings import MinioSettings

_VALUE = b"written by llm-service check\n"
_KEYS: dict[str, tuple[str, str]] = {
    "InvalidAccessKeyId": (
        "the store knows no such access key",
        "Correct MINIO_ACCESS_KEY, or have the user made.",
    ),
    "SignatureDoesNotMatch": (
        "the secret does not fit the access key",
        "Correct MINIO_SECRET_KEY (for AWS also MINIO_REGION).",
    ),
    "RequestTimeTooSkewed": (
        "the clocks of this machine and of the store are more than 15 minutes apart",
        "Set the clocks (NTP) on both.",
    ),
    "AuthorizationHeaderMalformed": ("the store is of another region", "Correct MINIO_REGION."),
    "ExpiredToken": ("the keys have expired", "Set fresh MINIO_ACCESS_KEY and MINIO_SECRET_KEY."),
    "InvalidToken": (
        "the store does not take these keys",
        "Set fresh MINIO_ACCESS_KEY and MINIO_SECRET_KEY.",
    ),
}
"""Refusals of whoever asks, whatever is asked."""


class Buckets:
    """Looks at the default bucket first: what is wrong with the keys is told once."""

    def __init__(
        self, store: BucketProbe, minio: MinioSettings, key: str, clock: Clock, found: Collection
    ) -> None:
        self._store = store
        self._minio = minio
        self._key = key
        self._clock = clock
        self._found = found

    async def look(self) -> None:
        """Add what is found."""
        default = self._minio.bucket_name
        if not await self._is_there(default, "MINIO_BUCKET_NAME"):
            return
        await self._is_writable(default)
        for bucket in sorted(self._minio.readable_buckets - {default}):
            await self._is_readable(bucket, "MINIO_ALLOWED_BUCKETS")

    async def _is_there(self, bucket: str, setting: str) -> bool:
        """Whether looking on makes sense."""
        try:
            await self._ask(self._store.list, bucket, self._key)
        except S3Refused as error:
            self._refused(error, bucket, setting, "ListBucket")
            return error.code == "AccessDenied"
        except S3Silent as error:
            self._silent(error)
            return False
        return True

    async def _is_writable(self, bucket: str) -> None:
        """Put, read and delete a probe object."""
        subject = f"bucket {bucket}"
        began = self._clock.monotonic()
        try:
            await self._ask(self._store.put, bucket, self._key, _VALUE)
        except S3Refused as error:
            self._found.failed(
                subject,
                f"a probe object can't be written ({error.code}): results too large for a message would be lost",
                f"Grant these keys s3:PutObject on {bucket}/*.",
            )
            await self._is_readable(bucket, "MINIO_BUCKET_NAME")
            return
        except S3Silent as error:
            self._silent(error)
            return
        try:
            await self._ask(self._store.read, bucket, self._key)
        except S3Refused as error:
            self._refused(error, bucket, "MINIO_BUCKET_NAME", "GetObject")
        except S3Silent as error:
            self._silent(error)
        else:
            seconds = self._clock.monotonic() - began
            self._found.ok(subject, f"a probe object was written, {await self._left(bucket)}", seconds)
            return
        await self._left(bucket)

    async def _left(self, bucket: str) -> str:
        """Delete the probe object; what is to be said of it. The worker deletes nothing, so these keys need not."""
        try:
            await self._ask(self._store.delete, bucket, self._key)
        except (S3Refused, S3Silent):
            return f"read; these keys may not delete it, so {self._key} stays: {len(_VALUE)} bytes, harmless"
        return "read and deleted"

    async def _is_readable(self, bucket: str, setting: str) -> None:
        """Ask for an object that is not there: who may not read is told so instead."""
        try:
            await self._ask(self._store.read, bucket, f"{self._key}-is-not-here")
        except S3Refused as error:
            if error.code == "NoSuchKey":
                self._found.ok(f"bucket {bucket}", "can be read")
            else:
                self._refused(error, bucket, setting, "GetObject")
        except S3Silent as error:
            self._silent(error)

    def _refused(self, error: S3Refused, bucket: str, setting: str, operation: str) -> None:
        if error.code in _KEYS:
            self._found.failed("keys", *_KEYS[error.code])
            return
        if error.code == "NoSuchBucket":
            self._found.failed(
                f"bucket {bucket}", "there is no such bucket", f"Create it, or correct {setting}."
            )
            return
        if error.code == "InvalidBucketName":
            self._found.failed(
                f"bucket {bucket}",
                "no bucket can be called so: 3 to 63 small letters, digits, dots and hyphens",
                f"Correct {setting}.",
            )
            return
        scope = f"{bucket}" if operation == "ListBucket" else f"{bucket}/*"
        self._found.failed(
            f"bucket {bucket}",
            f"{operation} is refused ({error.code})",
            f"Grant these keys s3:{operation} on {scope}, or correct {setting}.",
        )

    def _silent(self, error: S3Silent) -> None:
        self._found.failed(
            "connection",
            f"it broke off ({error})",
            "Look at the store's log and the network between; check again.",
        )

    @staticmethod
    async def _ask(request: Callable[..., object], *arguments: object) -> None:
        await asyncio.to_thread(request, *arguments)
