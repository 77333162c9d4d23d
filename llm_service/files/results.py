"""The claim check: what is too large for a message goes to the object store, a reference into the message."""

from __future__ import annotations

import asyncio
import re
from concurrent.futures import Executor
from hashlib import sha256

from llm_service.files.store import ObjectStore

RESULTS = "results/"
LETTERS = "dead-letters/"
_PLAIN_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")


class ClaimCheck:
    """Puts large values under keys that hold their content's hash.

    A rerun with another answer gets another key, so what an earlier event points to is never overwritten;
    the same answer lands on the same key. Drop rules must not match ``RESULTS`` and ``LETTERS``.
    """

    def __init__(self, store: ObjectStore, bucket: str, executor: Executor) -> None:
        self._store = store
        self._bucket = bucket
        self._executor = executor

    async def put_result(self, task_id: str, payload: bytes) -> str:
        """Store a result as JSON; the reference is ``<bucket>/<key>``. Raises FileError, some retryable."""
        return await self._put(RESULTS, task_id, payload, "application/json")

    async def put_letter(self, task_id: str, payload: bytes) -> str:
        """Store a dead letter's value as it came; the reference is ``<bucket>/<key>``. Raises FileError."""
        return await self._put(LETTERS, task_id, payload, "application/octet-stream")

    async def _put(self, prefix: str, task_id: str, payload: bytes, content_type: str) -> str:
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(
            self._executor, self._put_now, prefix, task_id, payload, content_type
        )

    def _put_now(self, prefix: str, task_id: str, payload: bytes, content_type: str) -> str:
        key = f"{prefix}{_segment(task_id)}/{sha256(payload).hexdigest()}"
        self._store.put(self._bucket, key, payload, content_type)
        return f"{self._bucket}/{key}"


def _segment(task_id: str) -> str:
    """The id where it is plain; else its hash: an id may be any text, and a key must not climb or break."""
    if _PLAIN_ID.fullmatch(task_id):
        return task_id
    return sha256(task_id.encode(errors="surrogatepass")).hexdigest()[:32]
