"""The object store, and what is done with a file out of it."""

from __future__ import annotations

from collections.abc import Iterator, Set
from pathlib import Path

from pydantic import Field, SecretStr

from llm_service.settings.group import CommaList, Group
from llm_service.settings.problem import Problem


class MinioSettings(Group):
    """Object store (MinIO or any S3, or a folder)."""

    enabled: bool = Field(
        default=True,
        validation_alias="MINIO_ENABLED",
        description="Whether the object store at MINIO_ENDPOINT is used.",
    )
    endpoint: str | None = Field(
        default=None,
        validation_alias="MINIO_ENDPOINT",
        pattern=r"^[^\s/]+$",
        description="Address of MinIO or another S3 service; unset: none, and tasks with files fail.",
        json_schema_extra={"expected": "host:port, without http://"},
    )
    access_key: SecretStr | None = Field(
        default=None, validation_alias="MINIO_ACCESS_KEY", description="Access key."
    )
    secret_key: SecretStr | None = Field(
        default=None, validation_alias="MINIO_SECRET_KEY", description="Secret key."
    )
    bucket_name: str = Field(
        default="documents",
        validation_alias="MINIO_BUCKET_NAME",
        min_length=3,
        max_length=63,
        description="Bucket that files are read from where a task names none, and that large results go to.",
    )
    allowed_buckets: CommaList = Field(
        default=(),
        validation_alias="MINIO_ALLOWED_BUCKETS",
        description="Further buckets that tasks may read from; MINIO_BUCKET_NAME always may be.",
        json_schema_extra={"expected": "names with commas between them"},
    )
    use_ssl: bool = Field(
        default=False, validation_alias="MINIO_USE_SSL", description="Whether the endpoint speaks TLS."
    )
    region: str = Field(
        default="us-east-1",
        validation_alias="MINIO_REGION",
        description="Region that requests are signed for.",
    )
    ca_bundle: Path | None = Field(
        default=None,
        validation_alias="MINIO_CA_BUNDLE",
        description="PEM file with the certificates the endpoint is verified by; unset: the public ones.",
    )
    connect_timeout_s: float = Field(
        default=5.0,
        validation_alias="MINIO_CONNECT_TIMEOUT_SECONDS",
        ge=0.1,
        le=300,
        description="Seconds to connect.",
    )
    read_timeout_s: float = Field(
        default=30.0,
        validation_alias="MINIO_READ_TIMEOUT_SECONDS",
        ge=0.1,
        le=600,
        description="Longest silence while a file is read, in seconds.",
    )
    folder: Path | None = Field(
        default=None,
        validation_alias="STORAGE_FOLDER",
        description="A folder used as the object store instead of MinIO (its subfolders are the buckets).",
    )

    @property
    def configured(self) -> bool:
        """Whether there is an S3 endpoint to use; a folder goes before it."""
        return self.enabled and self.endpoint is not None and self.folder is None

    @property
    def readable_buckets(self) -> frozenset[str]:
        """Every bucket a task may name."""
        return frozenset((self.bucket_name, *self.allowed_buckets))

    def conflicts(self, wrong: Set[str] = frozenset()) -> Iterator[Problem]:
        if not self.enabled or self.folder is not None or {"enabled", "folder"} & wrong:
            return
        if self.endpoint is None and "endpoint" not in wrong:
            if "enabled" in self.model_fields_set:
                reason = "required while MINIO_ENABLED=True and STORAGE_FOLDER is unset"
                yield Problem(("MINIO_ENDPOINT",), reason)
            return
        keys = {"MINIO_ACCESS_KEY": self.access_key, "MINIO_SECRET_KEY": self.secret_key}
        if missing := tuple(name for name, value in keys.items() if value is None):
            yield Problem(missing, "required by MINIO_ENDPOINT")


class FileSettings(Group):
    """Files of a task, and their conversion to text."""

    max_bytes: int = Field(
        # GigaChat takes texts up to 40 MB; read as 10^6, so that it holds whichever way the vendor counts.
        default=40_000_000,
        validation_alias="FILE_MAX_BYTES",
        ge=1,
        le=10_000_000_000,
        description="Largest file that is taken, in bytes.",
    )
    download_timeout_s: float = Field(
        default=120.0,
        validation_alias="FILE_DOWNLOAD_TIMEOUT_SECONDS",
        ge=1,
        le=3600,
        description="Seconds for one file from the object store, however lively it comes.",
    )
    max_retries: int = Field(
        default=3,
        validation_alias="FILE_MAX_RETRIES",
        ge=0,
        le=20,
        description="How many times a broken download is begun anew; while the store is away a task waits instead.",
    )
    temp_folder: Path | None = Field(
        default=None,
        validation_alias="FILE_TEMP_FOLDER",
        description="Folder for files while they are worked on; unset: the system's temporary folder.",
    )
    conversion_processes: int = Field(
        default=1,
        validation_alias="CONVERSION_PROCESSES",
        ge=1,
        le=64,
        description="Processes that turn documents into text; each takes some 150 MB.",
    )
    conversion_timeout_s: float = Field(
        default=60.0,
        validation_alias="CONVERSION_TIMEOUT_SECONDS",
        ge=1,
        le=3600,
        description="Seconds for turning one document into text.",
    )
    conversion_cpu_s: int = Field(
        default=30,
        validation_alias="CONVERSION_CPU_SECONDS",
        ge=1,
        le=3600,
        description="Processor time for turning one document into text, in seconds; reading a scanned page takes 1 to 4.",
    )
    conversion_memory_mb: int = Field(
        default=512,
        validation_alias="CONVERSION_MEMORY_MB",
        ge=256,
        le=65_536,
        description="Memory one conversion process may take, in megabytes.",
    )
    conversion_max_pages: int = Field(
        default=2_000,
        validation_alias="CONVERSION_MAX_PAGES",
        ge=1,
        le=1_000_000,
        description="Most pages of one document that is turned into text: slides, chapters and frames count as pages.",
    )
    ocr_languages: str = Field(
        default="rus+eng",
        validation_alias="OCR_LANGUAGES",
        pattern=r"^[A-Za-z_]{2,40}(\+[A-Za-z_]{2,40}){0,9}$",
        description="Languages of pictures that are turned into text, by Tesseract's names; the extra ocr reads them.",
    )
    ocr_data_folder: Path | None = Field(
        default=None,
        validation_alias="OCR_DATA_FOLDER",
        description="Folder of Tesseract's trained data; unset: where the system keeps it.",
    )
    conversion_max_chars: int = Field(
        default=2_000_000,
        validation_alias="CONVERSION_MAX_CHARS",
        ge=1000,
        le=100_000_000,
        description="Longest text taken out of one document, in characters.",
    )
