"""The env block of the service this one replaces starts it, unchanged."""

from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from llm_service.settings import Settings, load
from llm_service.settings.root import Settings as Root
from llm_service.settings.tree import walk

DEPLOYMENT = Path(__file__).with_name("deployment.env")


def as_docker_passes_it(path: Path) -> Mapping[str, str]:
    """``docker run --env-file``: full-line comments are left out, all else is the value as it stands."""
    lines = path.read_text(encoding="utf-8").splitlines()
    return dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))


def from_file() -> Settings:
    return load(DEPLOYMENT, {})


def through_docker() -> Settings:
    return load(None, as_docker_passes_it(DEPLOYMENT))


@pytest.mark.parametrize("read", [from_file, through_docker])
def test_every_value_arrives(read: Callable[[], Settings]) -> None:
    settings = read()

    gigachat = settings.gigachat
    assert gigachat.access_token is not None
    assert gigachat.access_token.get_secret_value() == "your_token_here"
    assert gigachat.model == "GigaChat-Max"
    assert gigachat.scope == "GIGACHAT_API_B2B"
    assert gigachat.verify_ssl is False
    assert gigachat.request_timeout_seconds == 30
    assert gigachat.max_connections == 10
    assert gigachat.base_url == "https://gigachat.devices.sberbank.ru"
    assert gigachat.api_version == "api/v1"
    assert gigachat.oauth_url == "https://ngw.devices.sberbank.ru:9443/api/v2/oauth"
    assert settings.kafka.bootstrap_servers == "localhost:9092"
    assert settings.kafka.group_id == "llm-worker-group"
    assert settings.kafka.auto_offset_reset == "earliest"
    assert settings.kafka.consumer_poll_timeout_s == 1.0
    assert settings.minio.endpoint == "localhost:9000"
    assert settings.minio.access_key is not None
    assert settings.minio.access_key.get_secret_value() == "minioadmin"
    assert settings.minio.secret_key is not None
    assert settings.minio.secret_key.get_secret_value() == "minioadmin"
    assert settings.minio.bucket_name == "documents"
    assert settings.minio.use_ssl is False
    assert settings.minio.configured is True
    assert settings.postgres.enabled is True
    assert (settings.postgres.host, settings.postgres.port) == ("localhost", 5444)
    assert (settings.postgres.database, settings.postgres.user) == ("llm_worker", "postgres")
    assert settings.postgres.password is not None
    assert settings.postgres.password.get_secret_value() == "postgres"
    assert (settings.postgres.pool_min_size, settings.postgres.pool_max_size) == (1, 20)
    assert settings.worker.max_concurrent_tasks == 10
    assert settings.worker.executor_max_workers == 5
    assert (settings.breaker.failure_threshold, settings.breaker.timeout_s) == (5, 30)
    assert settings.retry.max_retries == 3
    assert (settings.retry.initial_delay_s, settings.retry.max_delay_s) == (2.0, 10.0)


def test_both_ways_in_mean_the_same() -> None:
    assert from_file().model_dump() == through_docker().model_dump()


def test_no_name_of_the_block_is_unknown_or_left_unread() -> None:
    known = {name for setting in walk(Root) for name in setting.names}
    assert set(as_docker_passes_it(DEPLOYMENT)) <= known


def test_what_is_unsafe_in_it_is_said_aloud() -> None:
    said = " ".join(from_file().warnings())

    assert "GIGACHAT_VERIFY_SSL" in said
    assert "GIGACHAT_CA_BUNDLE" in said
    assert "MINIO_SECRET_KEY" in said
    assert "POSTGRES_PASSWORD" in said
    assert "minioadmin" not in said
