"""Files at GigaChat for as long as one request lasts."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress

from llm_service.errors import ProviderError
from llm_service.events import FilesLeft, Observer
from llm_service.providers.gigachat_client import GigaChatClient
from llm_service.providers.gigachat_request import Attachment, vendor_type
from llm_service.providers.gigachat_sweep import marked
from llm_service.providers.protocol import Document
from llm_service.resilience.clock import Clock

CLEANUP_S = 10.0
"""For deleting the files of one request, tries and waits together. What is left then is told by its id."""

DELETE_WAITS_S = (0.0, 0.5, 2.0)
"""Before each try to delete a file: the vendor's storage is limited and nobody else ever deletes there."""


class StoredFiles:
    """Uploads documents and deletes them whatever way the request ends."""

    def __init__(self, client: GigaChatClient, clock: Clock, observe: Observer) -> None:
        self._client = client
        self._clock = clock
        self._observe = observe
        self._cleanups: set[asyncio.Task[None]] = set()

    @asynccontextmanager
    async def stored(self, documents: Sequence[Document]) -> AsyncIterator[list[Attachment]]:
        """The documents as the vendor's files; deleted on leaving, also by an error or a cancellation."""
        uploads: list[asyncio.Task[str]] = []
        try:
            attachments = []
            for document in documents:
                # A task of its own: when we are cancelled while the vendor stores the file, its id is
                # still learned, and the file deleted.
                uploads.append(asyncio.create_task(self._upload(document), name="gigachat-upload"))
                attachments.append(Attachment(await asyncio.shield(uploads[-1]), document))
            yield attachments
        finally:
            if uploads:
                await self._cleaned(uploads)

    async def close(self) -> None:
        """Wait for deletions that outlived their callers; each has its limit."""
        await asyncio.gather(*self._cleanups, return_exceptions=True)

    async def _upload(self, document: Document) -> str:
        kind = vendor_type(document)
        if kind is None or document.path is None:
            raise ValueError(document.name)
        name = "".join(char for char in document.name if char.isprintable()) or "document"
        return await self._client.upload(document.path, name, marked(name), kind, document.size)

    async def _cleaned(self, uploads: list[asyncio.Task[str]]) -> None:
        """Delete, even when the caller is being cancelled: the task goes on, and close() waits for it."""
        cleanup = asyncio.create_task(self._delete_within_limit(uploads), name="gigachat-delete")
        self._cleanups.add(cleanup)
        cleanup.add_done_callback(self._cleanups.discard)
        await asyncio.shield(cleanup)

    async def _delete_within_limit(self, uploads: list[asyncio.Task[str]]) -> None:
        try:
            async with asyncio.timeout(CLEANUP_S):
                await asyncio.gather(*(self._delete(upload) for upload in uploads))
        except TimeoutError:
            ids = [str(task.result()) for task in uploads if _has_result(task)]
            self._observe(FilesLeft("gigachat", ids))
        finally:
            for upload in uploads:
                upload.cancel()
            await asyncio.gather(*uploads, return_exceptions=True)

    async def _delete(self, upload: asyncio.Task[str]) -> None:
        try:
            file_id = await asyncio.shield(upload)
        except (ProviderError, OSError):
            return  # it was never stored, and its error is the request's
        for wait in DELETE_WAITS_S:
            await self._clock.sleep(wait)
            with suppress(ProviderError):
                await self._client.delete(file_id)
                return
        self._observe(FilesLeft("gigachat", [file_id]))


def _has_result(task: asyncio.Task[str]) -> bool:
    return task.done() and not task.cancelled() and task.exception() is None
