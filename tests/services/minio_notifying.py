"""A MinIO that tells a Kafka topic of the files it gets, of the test's own."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from minio.notificationconfig import NotificationConfig, QueueConfig

from tests.services.cache import Cache
from tests.services.minio import MinioServer
from tests.services.minio_own import start
from tests.services.reaper import Reaper
from tests.services.wishes import Wishes

_TARGET = "DROPS"
_ARN = f"arn:minio:sqs::{_TARGET}:kafka"
EVERYTHING = ("s3:ObjectCreated:*", "s3:ObjectRemoved:*", "s3:ObjectAccessed:*")


@contextmanager
def minio_notifying(folder: Path, bootstrap: str, topic: str) -> Iterator[MinioServer]:
    """The server for the time of the context; no bucket of it tells anything before ``notify``. Raises Unavailable."""
    folder.mkdir()
    settings = {
        f"MINIO_NOTIFY_KAFKA_ENABLE_{_TARGET}": "on",
        f"MINIO_NOTIFY_KAFKA_BROKERS_{_TARGET}": bootstrap,
        f"MINIO_NOTIFY_KAFKA_TOPIC_{_TARGET}": topic,
        # What Kafka does not take at once is kept and told later.
        f"MINIO_NOTIFY_KAFKA_QUEUE_DIR_{_TARGET}": str(folder / "queue"),
    }
    reaper = Reaper()
    server = start(Cache(Wishes.read().cache, lambda _: None), reaper, folder, settings)
    try:
        yield server
    finally:
        server.stop()
        reaper.close()


def notify(server: MinioServer, bucket: str) -> None:
    """From now on the bucket tells every event, those that are no new files too."""
    queue = QueueConfig(queue=_ARN, events=list(EVERYTHING), config_id="drops")
    server.client().set_bucket_notification(
        bucket_name=bucket, config=NotificationConfig(queue_config_list=[queue])
    )
