"""Makes MINIO_BUCKET_NAME when it is missing, by the worker's settings: the compose file's one-shot job, and by hand."""

from __future__ import annotations

import sys

import click
import urllib3
from minio.error import MinioException

from llm_service.container.files import minio_connection
from llm_service.errors import SettingsInvalid
from llm_service.files.minio_store import client_for, pool_for
from llm_service.settings import load


def main() -> str | None:
    """What went wrong, in a sentence; None when the bucket is there."""
    try:
        settings = load()
    except SettingsInvalid as error:
        return error.message
    connection, bucket = minio_connection(settings), settings.minio.bucket_name
    if connection is None:
        return "MINIO_ENDPOINT, MINIO_ACCESS_KEY and MINIO_SECRET_KEY say where the bucket is to be; one is missing"
    with pool_for(connection) as pool:
        client = client_for(connection, pool)
        try:
            if client.bucket_exists(bucket_name=bucket):
                click.echo(f"bucket {bucket} is there")
            else:
                client.make_bucket(bucket_name=bucket)
                click.echo(f"bucket {bucket} made")
        except (MinioException, urllib3.exceptions.HTTPError, ValueError) as error:
            return f"bucket {bucket} at {connection.endpoint} could not be made: {error}"
    return None


if __name__ == "__main__":
    sys.exit(main())
