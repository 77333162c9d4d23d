"""The object store and the way from an object to a local file and its text."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager

from llm_service.errors import FileError
from llm_service.files.conversion.converter import Converter
from llm_service.files.conversion.policy import ConversionPolicy
from llm_service.files.fetch import Fetcher, FetchPolicy
from llm_service.files.folder_store import FolderStore
from llm_service.files.minio_store import MinioConnection, MinioStore
from llm_service.files.pictures import redrawn
from llm_service.files.store import LocalFile, ObjectStore
from llm_service.files.work_folder import usual_root
from llm_service.resilience.clock import Clock
from llm_service.settings import Settings


def build_store(settings: Settings) -> ObjectStore | None:
    """The store that is configured: a folder, MinIO, or none."""
    minio = settings.minio
    if minio.folder is not None:
        return FolderStore(minio.folder)
    connection = minio_connection(settings)
    return MinioStore(connection) if connection is not None else None


def minio_connection(settings: Settings) -> MinioConnection | None:
    """How the settings reach an S3 store; None where they name none, or a folder instead."""
    minio = settings.minio
    if not minio.configured or minio.endpoint is None or minio.access_key is None or minio.secret_key is None:
        return None
    return MinioConnection(
        endpoint=minio.endpoint,
        access_key=minio.access_key.get_secret_value(),
        secret_key=minio.secret_key.get_secret_value(),
        secure=minio.use_ssl,
        region=minio.region,
        ca_bundle=minio.ca_bundle,
        connect_timeout_s=minio.connect_timeout_s,
        read_timeout_s=minio.read_timeout_s,
        max_connections=settings.worker.executor_max_workers,
    )


def build_converter(settings: Settings) -> Converter:
    """What turns documents into text, within the limits of the settings; not started yet."""
    files = settings.files
    return Converter(
        ConversionPolicy(
            processes=files.conversion_processes,
            timeout_s=files.conversion_timeout_s,
            memory_bytes=files.conversion_memory_mb * 1024 * 1024,
            cpu_s=files.conversion_cpu_s,
            max_output_chars=files.conversion_max_chars,
            max_pages=files.conversion_max_pages,
            ocr_languages=files.ocr_languages,
            ocr_folder=files.ocr_data_folder,
        )
    )


class TaskFiles:
    """The files of tasks, over whatever store there is."""

    def __init__(
        self, settings: Settings, store: ObjectStore | None, executor: ThreadPoolExecutor, clock: Clock
    ) -> None:
        files = settings.files
        self._fetcher = (
            Fetcher(
                store,
                FetchPolicy(
                    default_bucket=settings.minio.bucket_name,
                    allowed_buckets=settings.minio.readable_buckets,
                    max_bytes=files.max_bytes,
                    total_timeout_s=files.download_timeout_s,
                ),
                executor,
                files.temp_folder or usual_root(),
                clock,
            )
            if store is not None
            else None
        )
        self._converter = build_converter(settings)

    async def start(self) -> None:
        if self._fetcher is not None:
            await self._fetcher.start()
            await self._converter.start()

    @asynccontextmanager
    async def fetch(self, path: str, name: str | None) -> AsyncIterator[LocalFile]:
        if self._fetcher is None:
            raise FileError(
                "the task names a file, and this service has no object store: set MINIO_ENDPOINT and its keys, "
                "or STORAGE_FOLDER"
            )
        async with self._fetcher.fetch(path, name) as file:
            yield file

    @asynccontextmanager
    async def to_pictures(self, file: LocalFile) -> AsyncIterator[Sequence[LocalFile]]:
        async with redrawn(file, self._converter, file.path.parent) as pages:
            yield pages

    async def to_text(self, file: LocalFile) -> str:
        return await self._converter.to_text(file)

    async def close(self) -> None:
        await self._converter.close()
        if self._fetcher is not None:
            await self._fetcher.close()
