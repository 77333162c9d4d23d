"""A MinIO server: an S3 store on one disk."""

from __future__ import annotations

import uuid
from urllib.parse import urlsplit

import urllib3
from minio import Minio
from minio.error import MinioException

from tests.services.runtime import Runtime
from tests.services.service import Service

# The last tag of the community's source, as the Go module proxy names it.
VERSION = "RELEASE.2026-02-12T20-08-48Z"


class MinioServer(Service):
    """A real object store."""

    def __init__(self, url: str, access_key: str, secret_key: str, runtime: Runtime, how: str) -> None:
        super().__init__(how, runtime)
        self.url = url
        """With its scheme: ``http://127.0.0.1:9000``."""
        self.endpoint = urlsplit(url).netloc
        """Without it: ``127.0.0.1:9000``, as MinIO's client and MINIO_ENDPOINT want it."""
        self.secure = url.startswith("https:")
        self.access_key = access_key
        self.secret_key = secret_key

    def client(self, pool: urllib3.PoolManager | None = None) -> Minio:
        """A new client as root; ``pool`` for other time limits and retries than MinIO's own."""
        return Minio(
            endpoint=self.endpoint,
            access_key=self.access_key,
            secret_key=self.secret_key,
            secure=self.secure,
            http_client=pool,
        )

    def bucket(self, name: str | None = None) -> str:
        """Make the bucket when it is not there; without a name, one that no other test has."""
        name = name or f"bucket-{uuid.uuid4().hex[:12]}"
        client = self.client()
        if not client.bucket_exists(bucket_name=name):
            client.make_bucket(bucket_name=name)
        return name

    def _serves(self) -> bool:
        """By a real call, without retries.

        The health page is early: it is well while the first call still gets 503 with ``Retry-After: 60``, which
        urllib3's retries obey for a minute.
        """
        with urllib3.PoolManager(retries=False, timeout=urllib3.Timeout(2)) as pool:
            try:
                self.client(pool).list_buckets()
            except (urllib3.exceptions.HTTPError, MinioException, ValueError):
                return False
            return True
