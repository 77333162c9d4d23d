"""A misspelt name is told with the right one; what belongs to other software is not."""

from __future__ import annotations

from pathlib import Path

import pytest

from llm_service.settings import load

SAID = "is no setting and has no effect"


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("KAFKA_BOOTSTRAP_SERVER", "KAFKA_BOOTSTRAP_SERVERS"),
        ("KAKFA_BOOTSTRAP_SERVERS", "KAFKA_BOOTSTRAP_SERVERS"),
        ("KAFKA_GROUP", "KAFKA_GROUP_ID"),
        ("KAFKA_TOPIC", "KAFKA_TASKS_TOPIC"),
        ("GIGACHAT_TOKEN", "GIGACHAT_ACCESS_TOKEN"),
        ("GIGACHAT_ACCES_TOKEN_FILE", "GIGACHAT_ACCESS_TOKEN_FILE"),
        ("WORKER_MAX_CONCURENT_TASKS", "WORKER_MAX_CONCURRENT_TASKS"),
        ("MINIO_BUCKET", "MINIO_BUCKET_NAME"),
        ("POSTGRES_USERNAME", "POSTGRES_USER"),
        ("OLLAMA_BASEURL", "OLLAMA_BASE_URL"),
        ("CIRCUIT_BREAKER_TIMEOUT", "CIRCUIT_BREAKER_TIMEOUT_SEC"),
        ("CIRCUITBREAKER_TIMEOUT_SEC", "CIRCUIT_BREAKER_TIMEOUT_SEC"),
        ("LLM_MAX_RETRY", "LLM_MAX_RETRIES"),
        ("HTTP_PROT", "HTTP_PORT"),
        ("LOG_LEVL", "LOG_LEVEL"),
        ("FILE_MAX_BYTE", "FILE_MAX_BYTES"),
        ("CONVERSION_TIMEOUT", "CONVERSION_TIMEOUT_SECONDS"),
        ("kafka_group_id", "KAFKA_GROUP_ID"),
    ],
)
def test_a_misspelt_name_is_told_with_the_right_one(name: str, meant: str) -> None:
    (remark,) = load(None, {name: "/canary"}).warnings()
    assert remark.startswith(f"{name} (from the environment) {SAID}")
    assert meant in remark.partition("did you mean")[2]
    assert "canary" not in remark


def test_a_name_of_our_families_that_is_near_none_is_told_too() -> None:
    (remark,) = load(None, {"GIGACHAT_XYZZY_PLUGH": "1"}).warnings()
    assert "llm-service config" in remark


@pytest.mark.parametrize(
    "name",
    [
        *(
            "KAFKA_HOME",
            "KAFKA_OPTS",
            "KAFKA_HEAP_OPTS",
            "KAFKA_LOG4J_OPTS",
            "KAFKA_JMX_PORT",
            "KAFKA_CFG_NODE_ID",
        ),
        *(
            "KAFKA_ADVERTISED_LISTENERS",
            "KAFKA_LISTENERS",
            "KAFKA_BROKER_ID",
            "KAFKA_NODE_ID",
            "KAFKA_CLUSTERS_0_NAME",
        ),
        *("KAFKA_PROCESS_ROLES", "KAFKA_CONTROLLER_QUORUM_VOTERS", "KAFKA_OFFSETS_TOPIC_REPLICATION_FACTOR"),
        *("KAFKA_AUTO_CREATE_TOPICS_ENABLE", "KAFKA_GROUP_INITIAL_REBALANCE_DELAY_MS", "KAFKA_LOG_DIRS"),
        *("KAFKA_TRANSACTION_STATE_LOG_MIN_ISR", "KAFKA_NUM_PARTITIONS", "KAFKA_INTER_BROKER_LISTENER_NAME"),
        *("KAFKA_SSL_KEYSTORE_LOCATION", "KAFKA_LISTENER_SECURITY_PROTOCOL_MAP", "KAFKA_MIN_INSYNC_REPLICAS"),
        *("KAFKA_SERVICE_HOST", "KAFKA_SERVICE_PORT", "KAFKA_PORT_9092_TCP", "KAFKA_PORT_9092_TCP_ADDR"),
        *(
            "MINIO_ROOT_USER",
            "MINIO_ROOT_PASSWORD",
            "MINIO_BROWSER",
            "MINIO_VOLUMES",
            "MINIO_SERVER_URL",
            "MINIO_DOMAIN",
        ),
        *("POSTGRES_DB", "POSTGRES_INITDB_ARGS", "POSTGRES_HOST_AUTH_METHOD", "POSTGRES_SERVICE_HOST"),
        *("OLLAMA_HOST", "OLLAMA_MODELS", "OLLAMA_NUM_PARALLEL", "OLLAMA_DEBUG", "OLLAMA_FLASH_ATTENTION"),
        *("OLLAMA_MAX_LOADED_MODELS", "OLLAMA_ORIGINS", "OLLAMA_KV_CACHE_TYPE", "OLLAMA_LOAD_TIMEOUT"),
        *(
            "HTTP_PROXY",
            "HTTPS_PROXY",
            "http_proxy",
            "NO_PROXY",
            "HTTP_HOST",
            "LOG_FORMAT",
            "LOG_FILE",
            "APP_VERSION",
        ),
        *(
            "APP_NAME",
            "APP_HOME",
            "API_KEY",
            "API_URL",
            "BASE_DIR",
            "FILE_PATH",
            "STORAGE_ACCOUNT",
            "OAUTH_CLIENT_ID",
        ),
        *(
            "PATH",
            "HOME",
            "HOSTNAME",
            "LANG",
            "PYTHONPATH",
            "VIRTUAL_ENV",
            "SECRETS",
            "PROMPT_COMMAND",
            "WORKERS",
        ),
        *(
            "PGPASSWORD",
            "SSL_CERT_FILE",
            "REQUESTS_CA_BUNDLE",
            "GIT_EDITOR",
            "LLM_USER_PATH",
            "CI_API_V4_URL",
        ),
    ],
)
def test_what_other_software_has_is_not_told(name: str) -> None:
    assert load(None, {name: "/x"}).warnings() == ()


def test_in_the_file_a_name_that_is_near_is_told_whatever_it_begins_with(tmp_path: Path) -> None:
    file = tmp_path / ".env"
    file.write_text("EXECUTER_MAX_WORKER=1\nCOMPOSE_PROJECT_NAME=x\n")
    (remark,) = load(file, {}).warnings()
    assert remark == f"EXECUTER_MAX_WORKER (from {file}) {SAID}: did you mean EXECUTOR_MAX_WORKERS?"


def test_the_links_of_kubernetes_to_services_named_as_ours_are_no_ports() -> None:
    links = {
        "POSTGRES_PORT": "tcp://10.0.0.1:5432",
        "HTTP_PORT": "udp://10.0.0.1:80",
        "KAFKA_PORT": "tcp://10.0.0.1:9092",
    }
    settings = load(None, links)
    assert (settings.postgres.port, settings.http.port) == (5432, 8081)
    assert settings.origin("POSTGRES_PORT") == "default"
    assert settings.warnings() == ()
    assert load(None, {"POSTGRES_PORT": "5444"}).postgres.port == 5444


def test_an_installed_providers_names_are_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("llm_service.settings.loading.installed_families", lambda: ("LLM_ACME_", "OLLAMA_"))
    assert load(None, {"LLM_ACME_MODEL": "x"}).warnings() == ()
    assert load(None, {"OLLAMA_MODL": "x"}).warnings() != (), "a built-in one is checked"
