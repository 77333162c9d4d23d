from __future__ import annotations

from pathlib import Path

import pytest

from llm_service.errors import SettingsInvalid
from llm_service.settings.part import load_providers


def test_only_what_is_about_providers_is_read(tmp_path: Path) -> None:
    env_file = tmp_path / ".env"
    env_file.write_text(
        "OLLAMA_MODEL=tiny\nKAFKA_BOOTSTRAP_SERVERS=real:9092\nMINIO_ENDPOINT=real:9000\nHTTP_PORT=x\n"
    )
    environ = {"LLM_PROVIDER": "ollama", "WORKER_MAX_CONCURRENT_TASKS": "99", "ACME_KEY": "abc"}
    settings = load_providers({"KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:1"}, env_file, environ)
    assert (settings.ollama.model, settings.worker.default_provider) == ("tiny", "ollama")
    assert settings.kafka.bootstrap_servers == "127.0.0.1:1"
    assert settings.minio.endpoint is None
    assert settings.worker.max_concurrent_tasks == 10
    assert settings.provider_options("acme") == {"key": "abc"}


def test_what_is_fixed_wins_over_the_surroundings() -> None:
    settings = load_providers({"LLM_PROVIDER": "extractive"}, None, {"LLM_PROVIDER": "gigachat"})
    assert settings.worker.default_provider == "extractive"


def test_a_wrong_setting_is_named_and_a_secret_is_not_shown() -> None:
    environ = {"GIGACHAT_ACCESS_TOKEN": "c2VjcmV0", "GIGACHAT_SCOPE": "ALL", "KAFKA_SESSION_TIMEOUT_MS": "x"}
    with pytest.raises(SettingsInvalid) as raised:
        load_providers({}, None, environ)
    assert "GIGACHAT_SCOPE='ALL' (from the environment)" in raised.value.message
    assert "KAFKA" not in raised.value.message
    assert "c2VjcmV0" not in raised.value.message
