"""``check minio`` on a real store: each thing that can be wrong is named, with what to do."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path

import certifi
import pytest
import urllib3
from minio import MinioAdmin
from minio.credentials.providers import StaticProvider

from llm_service.cli.checking.finding import Verdict
from llm_service.cli.checking.minio import probe
from llm_service.resilience.clock import SystemClock
from llm_service.settings import load
from tests.integration.checked import answering, checked, http, silent
from tests.services.kafka import Kafka
from tests.services.minio import MinioServer
from tests.services.minio_tls import KEY, SECRET, minio_tls
from tests.services.ports import free_port
from tests.services.runtime import Unavailable


@pytest.fixture
def values(minio: MinioServer) -> dict[str, str]:
    """Settings of a bucket that is all right."""
    return {
        "MINIO_ENDPOINT": minio.endpoint,
        "MINIO_ACCESS_KEY": minio.access_key,
        "MINIO_SECRET_KEY": minio.secret_key,
        "MINIO_BUCKET_NAME": minio.bucket(),
    }


def user_who_may(minio: MinioServer, values: Mapping[str, str], *actions: str) -> dict[str, str]:
    """Settings of a new user with these rights alone, on that bucket."""
    name, bucket = f"user-{uuid.uuid4().hex[:8]}", values["MINIO_BUCKET_NAME"]
    pool = urllib3.PoolManager(ca_certs=certifi.where())
    keys = StaticProvider(minio.access_key, minio.secret_key)
    admin = MinioAdmin(endpoint=minio.endpoint, credentials=keys, secure=minio.secure, http_client=pool)
    resources = [f"arn:aws:s3:::{bucket}", f"arn:aws:s3:::{bucket}/*"]
    statement = {"Effect": "Allow", "Action": [f"s3:{action}" for action in actions], "Resource": resources}
    admin.user_add(name, "password-of-the-user")
    admin.policy_add(name, policy={"Version": "2012-10-17", "Statement": [statement]})
    admin.policy_set(name, user=name)
    pool.clear()
    return {**values, "MINIO_ACCESS_KEY": name, "MINIO_SECRET_KEY": "password-of-the-user"}


def keys_in(minio: MinioServer, values: Mapping[str, str]) -> list[str]:
    found = minio.client().list_objects(values["MINIO_BUCKET_NAME"], recursive=True)
    return [entry.object_name or "" for entry in found]


# --- the way there ------------------------------------------------------------------------------------


async def test_everything_is_fine_and_nothing_is_left_behind(
    values: Mapping[str, str], minio: MinioServer
) -> None:
    found = await checked(probe, values)
    assert set(found.verdicts().values()) == {Verdict.OK}, found.text()
    bucket = found.about(f"bucket {values['MINIO_BUCKET_NAME']}")
    assert bucket.seen == "a probe object was written, read and deleted"
    assert bucket.seconds is not None
    assert keys_in(minio, values) == []


async def test_hosts_and_ports_where_no_store_is(values: Mapping[str, str], kafka: Kafka) -> None:
    found = await checked(probe, {**values, "MINIO_ENDPOINT": "minio.invalid:9000"})
    assert "'minio.invalid' is not known here" in found.failed().seen
    found = await checked(probe, {**values, "MINIO_ENDPOINT": f"127.0.0.1:{free_port()}"})
    assert "nothing listens there" in found.failed().seen
    found = await checked(probe, {**values, "MINIO_ENDPOINT": kafka.bootstrap})
    assert "does not answer as HTTP" in found.failed().seen
    async with answering(http(200, "<html>MinIO Console</html>", "text/html")) as port:
        found = await checked(probe, {**values, "MINIO_ENDPOINT": f"127.0.0.1:{port}"})
        assert "is not S3 (HTTP 200)" in found.failed().seen
        assert "its console on 9001" in (found.failed().remedy or "")


async def test_a_store_that_is_silent_ends_in_time(values: Mapping[str, str]) -> None:
    async with silent() as port:
        found = await checked(probe, {**values, "MINIO_ENDPOINT": f"127.0.0.1:{port}"})
        assert "does not answer as HTTP" in found.failed().seen


async def test_tls_and_plain_told_apart(values: Mapping[str, str], tmp_path: Path) -> None:
    found = await checked(probe, {**values, "MINIO_USE_SSL": "True"})
    assert "speaks no TLS" in found.failed().seen
    assert "MINIO_USE_SSL=False" in (found.failed().remedy or "")
    try:
        with minio_tls(tmp_path) as (endpoint, bundle):
            keys = {"MINIO_ENDPOINT": endpoint, "MINIO_ACCESS_KEY": KEY, "MINIO_SECRET_KEY": SECRET}
            found = await checked(probe, {**values, **keys})
            assert "speaks TLS" in found.failed().seen
            assert "MINIO_USE_SSL=True" in (found.failed().remedy or "")
            found = await checked(probe, {**values, **keys, "MINIO_USE_SSL": "True"})
            assert "is not trusted" in found.failed().seen
            assert "MINIO_CA_BUNDLE" in (found.failed().remedy or "")
            trusting = {**keys, "MINIO_USE_SSL": "True", "MINIO_CA_BUNDLE": str(bundle)}
            found = await checked(probe, {**values, **trusting})
            # The certificates of the tests end in two days.
            assert found.about("certificate").verdict is Verdict.WARNING
            assert "there is no such bucket" in found.failed().seen
    except Unavailable as error:
        pytest.skip(str(error))


# --- keys, clocks, rights -----------------------------------------------------------------------------


async def test_a_wrong_key_is_told_apart_from_a_wrong_secret(values: Mapping[str, str]) -> None:
    found = await checked(probe, {**values, "MINIO_ACCESS_KEY": "nobody"})
    assert found.failed().seen == "the store knows no such access key"
    assert "MINIO_ACCESS_KEY" in (found.failed().remedy or "")
    found = await checked(probe, {**values, "MINIO_SECRET_KEY": "canary-secret"})
    assert found.failed().seen == "the secret does not fit the access key"
    assert "MINIO_SECRET_KEY" in (found.failed().remedy or "")


class _Ahead(SystemClock):
    def now(self) -> datetime:
        return datetime.now(UTC) + timedelta(minutes=20)


async def test_a_clock_that_is_off(values: Mapping[str, str]) -> None:
    findings = await probe(load(None, dict(values)), _Ahead())
    (failed,) = [finding for finding in findings if finding.verdict is Verdict.FAILED]
    assert failed.seen == "this machine is 20 minutes ahead of the store"
    assert "NTP" in (failed.remedy or "")


async def test_buckets_that_are_not_there(values: Mapping[str, str]) -> None:
    found = await checked(probe, {**values, "MINIO_BUCKET_NAME": "nobody-made-this"})
    assert found.failed().subject == "bucket nobody-made-this"
    assert found.failed().seen == "there is no such bucket"
    assert "MINIO_BUCKET_NAME" in (found.failed().remedy or "")
    found = await checked(probe, {**values, "MINIO_ALLOWED_BUCKETS": "nobody-made-that"})
    assert found.failed().subject == "bucket nobody-made-that"
    assert "MINIO_ALLOWED_BUCKETS" in (found.failed().remedy or "")


async def test_further_buckets_are_read_and_not_written(
    values: Mapping[str, str], minio: MinioServer
) -> None:
    further = minio.bucket()
    found = await checked(probe, {**values, "MINIO_ALLOWED_BUCKETS": further})
    assert found.about(f"bucket {further}").seen == "can be read"


async def test_a_user_who_may_only_read(values: Mapping[str, str], minio: MinioServer) -> None:
    found = await checked(probe, user_who_may(minio, values, "ListBucket", "GetObject"))
    bucket = f"bucket {values['MINIO_BUCKET_NAME']}"
    written, read = [finding for finding in found.findings if finding.subject == bucket]
    assert written.verdict is Verdict.FAILED
    assert "can't be written (AccessDenied)" in written.seen
    assert f"s3:PutObject on {values['MINIO_BUCKET_NAME']}/*" in (written.remedy or "")
    assert (read.verdict, read.seen) == (Verdict.OK, "can be read")


async def test_a_user_who_may_not_read_or_not_list(values: Mapping[str, str], minio: MinioServer) -> None:
    found = await checked(probe, user_who_may(minio, values, "ListBucket", "PutObject", "DeleteObject"))
    assert "GetObject is refused (AccessDenied)" in found.failed().seen
    assert keys_in(minio, values) == []
    found = await checked(probe, user_who_may(minio, values, "GetObject", "PutObject", "DeleteObject"))
    assert "ListBucket is refused (AccessDenied)" in found.failed().seen


async def test_a_user_who_may_not_delete_is_fine_and_one_small_object_stays(
    values: Mapping[str, str], minio: MinioServer
) -> None:
    limited = user_who_may(minio, values, "ListBucket", "GetObject", "PutObject")
    for _ in range(2):
        found = await checked(probe, limited)
        assert set(found.verdicts().values()) == {Verdict.OK}, found.text()
        (left,) = keys_in(minio, values)
        assert left.startswith(".llm-service-check/")
        assert f"{left} stays: 29 bytes" in found.text()


# --- a folder, and nothing ----------------------------------------------------------------------------


async def test_a_folder_as_store(tmp_path: Path) -> None:
    values = {"STORAGE_FOLDER": str(tmp_path), "MINIO_BUCKET_NAME": "documents"}
    found = await checked(probe, values)
    assert "there is no bucket 'documents'" in found.failed().seen
    assert f"{tmp_path}/documents" in (found.failed().remedy or "")
    (tmp_path / "documents").mkdir()
    found = await checked(probe, values)
    assert found.about("bucket documents").seen == "a probe file was written and read"
    assert list((tmp_path / "documents").iterdir()) == []
    found = await checked(probe, {**values, "STORAGE_FOLDER": str(tmp_path / "nobody-made-this")})
    assert "there is no such folder" in found.failed().seen


async def test_no_store_is_skipped() -> None:
    (only,) = (await checked(probe, {})).findings
    assert only.verdict is Verdict.SKIPPED
    assert "set MINIO_ENDPOINT" in only.seen
